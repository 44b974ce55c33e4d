"""One client of an HTTP API, a process of its own: `python -m benchmarks.caller CALLS`. Standard library only.

It keeps one connection, says "ready" when the warm-up is over, waits for a line, calls, and answers with one line of
JSON: when it began and ended (seconds of the clock that all processes of this machine share), the milliseconds of each
call, and the first answer that was not the one wanted.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from http.client import HTTPConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What one client sends, again and again."""

    port: int
    path: str
    body: str
    authorization: str
    count: int
    warm_up: int
    wanted: int = 201  # status


@dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """What came of it."""

    began: float
    ended: float
    milliseconds: list[float]
    refused: str = ""


def call(connection: HTTPConnection, calls: Calls) -> str:
    """The answer, if it is not the one wanted."""
    headers = {"Content-Type": "application/json", "Authorization": calls.authorization}
    connection.request("POST", calls.path, calls.body.encode(), headers)
    answer = connection.getresponse()
    content = answer.read()
    return "" if answer.status == calls.wanted else f"{answer.status} {content[:500].decode(errors='replace')}"


def main(calls: Calls) -> Called:
    with closing(HTTPConnection("127.0.0.1", calls.port, timeout=60)) as connection:
        refused = [call(connection, calls) for _ in range(calls.warm_up)]
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        milliseconds = []
        began = ended = time.monotonic()
        for _ in range(calls.count):
            before = ended
            refused.append(call(connection, calls))
            ended = time.monotonic()
            milliseconds.append((ended - before) * 1000)
    return Called(began=began, ended=ended, milliseconds=milliseconds, refused=next(filter(None, refused), ""))


if __name__ == "__main__":
    sys.stdout.write(f"{json.dumps(asdict(main(Calls(**json.loads(sys.argv[1])))))}\n")
