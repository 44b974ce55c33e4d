"""The bare database, with no engine at all: what it commits for one connection. See `benchmarks.protocol`."""

from __future__ import annotations

import os
import sys
import time
from uuid import uuid4

import psycopg

from benchmarks.protocol import Measurement, Reading, Sizes, answer

TABLE = "CREATE TABLE result (id uuid PRIMARY KEY, execution_id uuid, name text, output text, created_at timestamptz)"
ONE = "INSERT INTO result VALUES (%s, %s, %s, %s, now())"
MANY = "INSERT INTO result SELECT *, now() FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[])"


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


MEASUREMENTS: dict[str, Measurement] = {"prepare": prepare, **dict.fromkeys(("W1", "W2", "database"), commits)}

if __name__ == "__main__":
    answer(MEASUREMENTS, sys.argv[1:])
