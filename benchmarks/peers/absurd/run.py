"""absurd: tasks on a queue. A client has one connection for all its threads, so several of them work in one process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import psycopg
from absurd_sdk import Absurd, AsyncAbsurd
from absurdctl import BUNDLED_SCHEMA_SQL

from benchmarks.peers import common
from benchmarks.protocol import Measurement, Reading, Sizes, answer, cannot

URL = os.environ["DATABASE_URL"]
QUEUE, CHILDREN = "measured", "children"

# Of 4, 8 and 16 clients, each with a connection and a thread, and of 3, 10 and 50 tasks a claim, these did most or as
# much as any. Those that have to answer at once look every 10 ms instead of every 250; with that, many clients would
# keep the database busy with looking.
CLIENTS, CHILD_CLIENTS = 8, 2
BATCH = 10
PROMPT_SECONDS = 0.01

Params = dict[str, Any]


def one_step(params: Params, ctx: Any) -> Any:
    return ctx.step("give_back", lambda: params["value"])


async def async_one_step(params: Params, ctx: Any) -> Any:
    return await ctx.step("give_back", partial(_same_soon, params["value"]))


async def async_sequence(params: Params, ctx: Any) -> Any:
    total = 0
    for index in range(params["value"]):
        total += await ctx.step("give_back", partial(_same_soon, index))
    return total


def sequence(params: Params, ctx: Any) -> Any:
    return sum(ctx.step("give_back", partial(_same, index)) for index in range(params["value"]))


def _same(value: float) -> float:
    return value


async def _same_soon(value: float) -> float:
    return value


def resumed(params: Params, ctx: Any) -> Any:
    ctx.await_event(f"go:{ctx.task_id}")
    return ctx.step("tell_time", time.time)


def late(params: Params, ctx: Any) -> Any:
    began = ctx.step("begin", time.time)
    ctx.sleep_for("sleep", params["value"])
    return ctx.step("end", time.time) - began - params["value"]


def sleeper(params: Params, ctx: Any) -> Any:
    ctx.sleep_until("sleep", params["value"])
    return 0


def fan_out(params: Params, ctx: Any) -> Any:
    began = time.time()
    ids = ctx.step("spawn", partial(_spawn_children, params["value"]))
    for id in ids:
        ctx.await_task_result(id, queue_name=CHILDREN)
    return time.time() - began


def _spawn_children(children: int) -> list[str]:
    with psycopg.connect(URL) as connection:  # one transaction
        client = Absurd(connection, queue_name=CHILDREN)
        return [str(client.spawn("child", {"value": number}, queue=CHILDREN)["task_id"]) for number in range(children)]


def child(params: Params, ctx: Any) -> Any:
    return params["value"]


HANDLERS: tuple[Callable[[Params, Any], Any], ...] = (one_step, sequence, resumed, late, sleeper, fan_out)
ASYNC_HANDLERS = (async_one_step, async_sequence)


class AbsurdPeer(common.Peer):
    """Its client, as another program would use it."""

    def __init__(self) -> None:
        super().__init__()
        self.client = Absurd(URL, queue_name=QUEUE)

    def start(self, workflow: str, value: float) -> str:
        return str(self.client.spawn(workflow, {"value": value}, queue=QUEUE)["task_id"])

    def start_many(self, workflow: str, values: Sequence[float]) -> list[str]:
        with psycopg.connect(URL) as connection:  # one transaction
            client = Absurd(connection, queue_name=QUEUE)
            return [str(client.spawn(workflow, {"value": value}, queue=QUEUE)["task_id"]) for value in values]

    def output(self, id: str) -> Any:
        query = f"SELECT completed_payload FROM absurd.t_{QUEUE} WHERE task_id = %s AND state = 'completed'"
        row = self.ask(query, [id])
        return None if row is None else row[0]

    def completed(self) -> int:
        return int(self.ask(f"SELECT count(*) FROM absurd.t_{QUEUE} WHERE state = 'completed'")[0])

    def span(self) -> tuple[float, float]:
        query = f"""
            SELECT extract(epoch FROM min(started_at))::float, extract(epoch FROM max(completed_at))::float
            FROM absurd.r_{QUEUE}
        """
        begin, end = self.ask(query)
        return float(begin), float(end)

    def signal(self, id: str) -> None:
        self.client.emit_event(f"go:{id}", 1, QUEUE)

    def parked(self) -> int:
        return int(self.ask(f"SELECT count(*) FROM absurd.t_{QUEUE} WHERE state = 'sleeping'")[0])


def prepare(sizes: Sizes) -> Reading:
    with psycopg.connect(URL, autocommit=True) as connection:
        connection.execute(BUNDLED_SCHEMA_SQL)
        for queue in (QUEUE, CHILDREN):
            connection.execute("SELECT absurd.create_queue(%s)", [queue])
    return Reading()


def work(mode: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if mode == "async":
        asyncio.run(work_soon())
        return
    clients = [_client(QUEUE, HANDLERS) for _ in range(CLIENTS if mode == "fast" else 1)]
    clients += [_client(CHILDREN, (child,)) for _ in range({"fast": CHILD_CLIENTS, "prompt": 1, "default": 0}[mode])]
    options: dict[str, dict[str, Any]] = {
        "fast": {"batch_size": BATCH},
        "prompt": {"poll_interval": PROMPT_SECONDS},
        "default": {},
    }
    for client in clients:
        threading.Thread(target=client.start_worker, kwargs=options[mode], daemon=True).start()
    _say_ready()
    threading.Event().wait()


async def work_soon() -> None:
    clients = [AsyncAbsurd(URL, queue_name=QUEUE) for _ in range(CLIENTS)]
    for client in clients:
        for handler in ASYNC_HANDLERS:
            client.register_task(handler.__name__)(handler)
    _say_ready()
    await asyncio.gather(*(client.start_worker(batch_size=BATCH, concurrency=BATCH) for client in clients))


def _say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def _client(queue: str, handlers: Sequence[Callable[[Params, Any], Any]]) -> Absurd:
    client = Absurd(URL, queue_name=queue)
    for handler in handlers:
        client.register_task(handler.__name__)(handler)
    return client


MEASUREMENTS: dict[str, Measurement] = {
    "prepare": prepare,
    **common.measurements(AbsurdPeer),
    "recovery": cannot("A task of a dead worker waits for the end of its claim, two minutes by default."),
}

if __name__ == "__main__":
    if sys.argv[1] == "work":
        work(sys.argv[2])
    else:
        answer(MEASUREMENTS, sys.argv[1:])
