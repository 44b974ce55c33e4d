"""The bare database, with no engine at all: what it commits for one connection, and how soon one process hears of
another and answers. See `benchmarks.protocol`.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg

from benchmarks.protocol import Measurement, Reading, Sizes, answer, percentile

TABLE = "CREATE TABLE result (id uuid PRIMARY KEY, execution_id uuid, name text, output text, created_at timestamptz)"
ONE = "INSERT INTO result VALUES (%s, %s, %s, %s, now())"
MANY = "INSERT INTO result SELECT *, now() FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[])"

ANSWER = "answer"
LOOK_SECONDS = 0.0005
WARM_UP = 10


def prepare(sizes: Sizes) -> Reading:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute(TABLE)
    return Reading()


def commits(sizes: Sizes) -> Reading:
    """Rows a second with one row in a commit, and with many. The first is what W1 and W2 are compared with."""
    rows, batch = sizes["rows"], sizes.get("batch", 50)
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        began = time.perf_counter()
        for _ in range(rows):
            connection.execute(ONE, [uuid4(), uuid4(), "step", "1"])
        single = rows / (time.perf_counter() - began)
        began = time.perf_counter()
        for _ in range(rows // 4):
            ids = [uuid4() for _ in range(batch)]
            connection.execute(MANY, [ids, ids, ["step"] * batch, ["1"] * batch])
        many = rows // 4 * batch / (time.perf_counter() - began)
    return Reading(figures={"rate": single, "many": many})


def answered(sizes: Sizes) -> Reading:
    """From before a row is stored until this process sees the answer of another one to it: the two commits of whoever
    stores and notifies, and of whoever hears, claims and answers. No engine that commits what it does can be quicker.
    """
    values = []
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection, answering():
        for _ in range(WARM_UP + sizes["samples"]):
            time.sleep(random.uniform(0.02, 0.06))
            began, id = time.perf_counter(), uuid4()
            connection.execute(ONE, [id, None, "step", None])
            connection.execute("SELECT pg_notify('answer', %s)", [str(id)])
            while connection.execute("SELECT output FROM result WHERE id = %s", [id]).fetchone() == (None,):
                time.sleep(LOOK_SECONDS)
            values.append((time.perf_counter() - began) * 1000)
    values = values[WARM_UP:]
    return Reading(figures={"p50": percentile(values, 50), "p99": percentile(values, 99)})


@contextmanager
def answering() -> Iterator[None]:
    """A process that answers."""
    command = [sys.executable, "-m", "benchmarks.bare", ANSWER]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.terminate()


def answer_others() -> None:
    """Hear of rows, claim each in one commit, and answer it in another."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("LISTEN answer")
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            for heard in list(connection.notifies(stop_after=1)):  # while it is gone through, the connection is locked
                connection.execute("UPDATE result SET execution_id = %s WHERE id = %s", [uuid4(), heard.payload])
                connection.execute("UPDATE result SET output = '1' WHERE id = %s", [heard.payload])


MEASUREMENTS: dict[str, Measurement] = {
    "prepare": prepare,
    **dict.fromkeys(("W1", "W2", "database"), commits),
    "W3": answered,
}

if __name__ == "__main__":
    if sys.argv[1:] == [ANSWER]:
        answer_others()
    else:
        answer(MEASUREMENTS, sys.argv[1:])
