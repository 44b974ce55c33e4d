"""procrastinate: jobs. It has no workflows: ten sequential steps are ten jobs, each of which defers the next."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

from benchmarks.peers import common
from benchmarks.protocol import Measurement, Reading, Sizes, answer, cannot

URL = os.environ["DATABASE_URL"]

# By mode, how many workers in one process, and how many jobs at once in each. Where jobs lie ready, four did more here
# than one, which fetches them one after the other; where each job defers the next, one did more, because every job that
# is deferred wakes them all. Jobs as short as these want a connection each and one more, says the documentation.
WORKERS = {"fast": (4, 10), "chain": (1, 30)}

# A worker speaks through an asynchronous connector, everybody else through the other.
logging.getLogger("procrastinate").setLevel(logging.ERROR)
is_worker = sys.argv[1:2] == ["work"]
workers, concurrency = WORKERS.get(sys.argv[2], (1, 1)) if is_worker else (1, 1)
connections = workers * (concurrency + 1)
pool = {"min_size": connections, "max_size": connections} if concurrency > 1 else {}
app = App(connector=PsycopgConnector(conninfo=URL, **pool) if is_worker else SyncPsycopgConnector(conninfo=URL))


@app.task(name="one_step")
def one_step(value: float) -> float:
    return value


@app.task(name="async_one_step")
async def async_one_step(value: float) -> float:
    return value


@app.task(name="sequence")
def sequence(value: int) -> None:
    if value > 1:
        sequence.defer(value=value - 1)


@app.task(name="async_sequence")
async def async_sequence(value: int) -> None:
    if value > 1:
        await async_sequence.defer_async(value=value - 1)


class Procrastinate(common.Peer):
    """Its client, as another program would use it."""

    def __init__(self) -> None:
        super().__init__()
        app.open()

    def mode(self, workflow: str) -> str:
        """It has one kind of worker for both colours."""
        return "chain" if workflow.endswith("sequence") else "fast"

    def start(self, workflow: str, value: float) -> str:
        return str(app.configure_task(workflow).defer(value=value))

    def start_many(self, workflow: str, values: Sequence[float]) -> list[str]:
        ids = app.configure_task(workflow).batch_defer(*[{"value": value} for value in values])
        return [str(id) for id in ids]

    def output(self, id: str) -> Any:
        query = "SELECT 1 FROM procrastinate_jobs WHERE id = %s AND status = 'succeeded'"
        return None if self.ask(query, [id]) is None else time.time()

    def completed(self) -> int:
        """Chains that are at their end."""
        query = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded' AND args->>'value' = '1'"
        return int(self.ask(query)[0])

    def span(self) -> tuple[float, float]:
        query = """
            SELECT extract(epoch FROM min(at) FILTER (WHERE type = 'started'))::float,
                extract(epoch FROM max(at) FILTER (WHERE type = 'succeeded'))::float
            FROM procrastinate_events
        """
        begin, end = self.ask(query)
        return float(begin), float(end)


def prepare(sizes: Sizes) -> Reading:
    with app.open():
        app.schema_manager.apply_schema()
    return Reading()


async def work() -> None:
    async with app.open_async():
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        one = partial(app.run_worker_async, concurrency=concurrency, install_signal_handlers=False)
        await asyncio.gather(*(one() for _ in range(workers)))


MEASUREMENTS: dict[str, Measurement] = {
    "prepare": prepare,
    **common.measurements(Procrastinate),
    "W4": cannot("A task cannot wait for a message."),
    "W4-sleep": cannot("A task cannot sleep without keeping its place in the worker."),
    "W5": cannot("A task cannot wait for others and has no result."),
    "W6": cannot("A task cannot sleep without keeping its place in the worker."),
    "recovery": cannot("What a dead worker was doing stays as it is until a program of the user looks for it."),
}

if __name__ == "__main__":
    if is_worker:
        asyncio.run(work())
    else:
        answer(MEASUREMENTS, sys.argv[1:])
