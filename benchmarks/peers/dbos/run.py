"""DBOS Transact: workflows on a queue, by its client in another process; `async def` for what sleeps."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from dbos import DBOS, DBOSClient, DBOSConfig

from benchmarks.peers import common
from benchmarks.protocol import Measurement, Reading, Sizes, answer

URL = os.environ["DATABASE_URL"]
QUEUE, VERSION = "measured", "1"

# Faster here than what else was tried (64 and 10 threads, a pool of 64, looks every 100 ms): as many threads as
# connections, no question whether a connection is alive each time one is taken from the pool, which is half of all
# transactions, and a queue that is looked at often and never waits for a slot. The default looks once a second.
CONNECTIONS = 20
POLL_SECONDS = 0.01
CONFIG = DBOSConfig(
    name="measured",
    system_database_url=URL,
    sys_db_pool_size=CONNECTIONS,
    db_engine_kwargs={"pool_pre_ping": False},
    max_executor_threads=CONNECTIONS,
    notification_listener_polling_interval_sec=0.01,
    application_version=VERSION,
    log_level="ERROR",
)
DEFAULTS = DBOSConfig(name="measured", system_database_url=URL, application_version=VERSION, log_level="ERROR")


@DBOS.step()
def give_back(number: float) -> float:
    return number


@DBOS.step()
async def give_back_soon(number: float) -> float:
    return number


@DBOS.step()
def tell_time() -> float:
    return time.time()


@DBOS.step()
async def take() -> None:
    await asyncio.sleep(0.025)


@DBOS.workflow()
def one_step(number: float) -> float:
    return give_back(number)


@DBOS.workflow()
async def async_one_step(number: float) -> float:
    return await give_back_soon(number)


@DBOS.workflow()
def sequence(steps: int) -> float:
    return sum(give_back(index) for index in range(steps))


@DBOS.workflow()
async def async_sequence(steps: int) -> float:
    total = 0.0
    for index in range(steps):
        total += await give_back_soon(index)
    return total


@DBOS.workflow()
def resumed(number: float) -> float:
    DBOS.recv("go", timeout_seconds=60)
    return tell_time()


@DBOS.workflow()
def late(seconds: float) -> float:
    began = tell_time()
    DBOS.sleep(seconds)
    return tell_time() - began - seconds


@DBOS.workflow()
def fan_out(children: int) -> float:
    began = time.time()
    handles = [DBOS.start_workflow(child, number) for number in range(children)]  # by a queue it took twice as long
    for handle in handles:
        handle.get_result()
    return time.time() - began


@DBOS.workflow()
def child(number: int) -> int:
    return number


@DBOS.workflow()
async def sleeper(until: float) -> float:
    await DBOS.sleep_async(until - time.time())
    return 0.0


@DBOS.workflow()
async def busy(steps: int) -> int:
    for _ in range(steps):
        await take()
    return steps


class Dbos(common.Peer):
    """Its client, as another program would use it."""

    def __init__(self) -> None:
        super().__init__()
        self.client = DBOSClient(system_database_url=URL)

    def start(self, workflow: str, value: float) -> str:
        options: Any = {"queue_name": QUEUE, "workflow_name": workflow, "app_version": VERSION}
        return str(self.client.enqueue(options, value).get_workflow_id())

    def start_many(self, workflow: str, values: Sequence[float]) -> list[str]:
        return [self.start(workflow, value) for value in values]

    def output(self, id: str) -> Any:
        query = "SELECT 1 FROM dbos.workflow_status WHERE workflow_uuid = %s AND status = 'SUCCESS'"
        if self.ask(query, [id]) is None:
            return None
        return self.client.retrieve_workflow(id).get_result()

    def completed(self) -> int:
        return int(self.ask("SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'")[0])

    def span(self) -> tuple[float, float]:
        query = "SELECT min(started_at_epoch_ms), max(completed_at) FROM dbos.workflow_status"
        begin, end = self.ask(query)
        return begin / 1000, end / 1000

    def signal(self, id: str) -> None:
        self.client.send(id, 1, "go")

    def parked(self) -> int:
        query = "SELECT count(*) FROM dbos.operation_outputs WHERE function_name = 'DBOS.sleep'"
        return int(self.ask(query)[0])


def journal(peer: common.Peer) -> int:
    return int(peer.ask("SELECT count(*) FROM dbos.operation_outputs")[0])


def prepare(sizes: Sizes) -> Reading:
    DBOS(config=CONFIG)
    DBOS.launch()
    DBOS.destroy()
    return Reading()


def work(mode: str) -> None:
    DBOS(config=DEFAULTS if mode == "default" else CONFIG)
    DBOS.launch()
    DBOS.register_queue(QUEUE, **({"polling_interval_sec": POLL_SECONDS} if mode != "default" else {}))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    stop.wait()
    os._exit(0)


MEASUREMENTS: dict[str, Measurement] = {
    "prepare": prepare,
    **common.measurements(Dbos, in_bulk=False),
    "recovery": lambda sizes: partial(common.recovery, Dbos(), journal=journal)(sizes),
}

if __name__ == "__main__":
    if sys.argv[1] == "work":
        work(sys.argv[2])
    else:
        answer(MEASUREMENTS, sys.argv[1:])
        os._exit(0)
