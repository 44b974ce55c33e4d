"""Waiting for results, in threads and on event loops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection, Iterator
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from django.db import OperationalError, connections

from django_workflows import client, codec
from django_workflows.client import outcomes, polling
from django_workflows.exceptions import (
    ExecutionCancelled,
    ExecutionFailed,
    ExecutionNotFound,
    ExecutionTimedOut,
    PayloadError,
    ResultTimeout,
)
from django_workflows.models import Execution, Status
from tests.client.conftest import finish
from tests.client.samples import Receipt, door_anything, door_charge, door_order, door_receipt

pytestmark = pytest.mark.django_db

Ask = Callable[..., Any]


def ask_async(execution: Any, timeout: float | timedelta | None = None) -> Any:
    return async_to_sync(client.aresult)(execution, timeout)


@pytest.fixture(params=[client.result, ask_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    chosen: Ask = request.param
    return chosen


def test_the_output_of_a_completed_execution(ask: Ask) -> None:
    execution = door_order.start(7)
    finish(execution, output={"order": 7})
    assert ask(execution) == ask(execution.id) == ask(str(execution.id)) == {"order": 7}


def test_the_methods_of_a_handle_ask_too() -> None:
    execution = door_order.start(7)
    finish(execution, output={"order": 7})
    assert execution.result(timeout=1) == async_to_sync(execution.aresult)(1) == {"order": 7}


def test_the_output_has_the_type_that_the_workflow_declares(ask: Ask) -> None:
    execution = door_receipt.start(date(2026, 2, 28))
    finish(execution, output=Receipt("1", date(2026, 2, 28)))
    assert ask(execution) == Receipt("1", date(2026, 2, 28))


def test_the_output_of_unknown_code_is_plain_json(ask: Ask) -> None:
    execution = door_receipt.start(date(2026, 2, 28))
    finish(execution, output=Receipt("1", date(2026, 2, 28)), workflow="gone", version=3)
    assert ask(execution) == {"number": "1", "day": "2026-02-28"}


def test_an_output_that_no_longer_fits_its_type_is_an_error(ask: Ask) -> None:
    execution = door_receipt.start(date(2026, 2, 28))
    finish(execution, output=7)
    with pytest.raises(PayloadError):
        ask(execution)


def test_the_output_of_a_single_step(ask: Ask) -> None:
    execution = door_charge.start(7)
    finish(execution, output="charge-7")
    assert ask(execution) == "charge-7"


@pytest.mark.parametrize("output", [None, 0, "", [], {}, False])
def test_falsy_outputs_are_outputs(ask: Ask, output: Any) -> None:
    """EXE-10."""
    execution: Any = door_anything.start()
    finish(execution, output=output)
    assert ask(execution, timeout=0) == output


def test_a_failed_execution_raises_what_was_stored(ask: Ask) -> None:
    execution = door_order.start(7)
    finish(execution, Status.FAILED, error={"type": "CardDeclined", "message": "no funds"})
    with pytest.raises(ExecutionFailed, match="CardDeclined: no funds") as caught:
        ask(execution)
    assert (caught.value.workflow, caught.value.execution_id) == ("door_order", str(execution.id))


def test_an_execution_that_passed_its_timeout(ask: Ask) -> None:
    execution = door_order.start(7)
    finish(execution, Status.FAILED, error={"type": "WorkflowTimeout", "message": "after 1 h"})
    with pytest.raises(ExecutionTimedOut):
        ask(execution)


def test_a_cancelled_execution_raises_the_reason(ask: Ask) -> None:
    execution = door_order.start(7)
    finish(execution, Status.CANCELLED, reason="out of stock")
    with pytest.raises(ExecutionCancelled, match="out of stock") as caught:
        ask(execution)
    assert caught.value.error == {"message": "out of stock"}


def test_an_error_that_cannot_be_decoded_is_shown_as_it_is(ask: Ask) -> None:
    """SER-10."""
    execution = door_order.start(7)
    finish(execution, Status.FAILED)
    with connections["default"].cursor() as cursor:
        cursor.execute("UPDATE django_workflows_execution SET error = 'no JSON'")
    with pytest.raises(ExecutionFailed, match="no JSON"):
        ask(execution)


@pytest.mark.parametrize("timeout", [0, 0.01, timedelta(milliseconds=10)])
def test_an_execution_that_goes_on_raises_after_the_timeout(ask: Ask, timeout: Any) -> None:
    execution = door_order.start(7)
    with pytest.raises(ResultTimeout, match="pending") as caught:
        ask(execution, timeout)
    assert isinstance(caught.value, TimeoutError)


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_may_be_missing_is_named() -> None:
    """One that nobody has begun, asked for outside of a transaction."""
    with pytest.raises(ResultTimeout, match="Is a worker there"):
        door_order.start(7).result(timeout=0)


def test_an_open_transaction_is_named_as_a_likely_reason() -> None:
    with pytest.raises(ResultTimeout, match="before the commit"):
        client.result(door_order.start(7), timeout=0)


@pytest.mark.parametrize("id", ["missing", UUID("c0ffee00-0000-4000-8000-000000000000"), None])
def test_an_unknown_id_is_not_found_at_once(ask: Ask, id: Any) -> None:
    """EXE-12: no hang."""
    with pytest.raises(ExecutionNotFound):
        ask(id)


class Looks:
    """Every look at the database: in which thread, at which executions; and what is to happen before some of them."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.ids: list[set[UUID]] = []
        self.before: dict[int, Callable[[], object]] = {}

    def __call__(self, alias: str, ids: Collection[UUID]) -> dict[UUID, outcomes.Outcome]:
        self.threads.add(threading.get_ident())
        self.ids.append(set(ids))
        self.before.get(len(self.ids), lambda: None)()
        return outcomes.look(alias, ids)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Looks]:
    recording = Looks()
    monkeypatch.setattr("django_workflows.client.results.look", recording)
    monkeypatch.setattr(polling, "look", recording)
    yield recording
    assert polling._pollers == {}


def test_waiting_ends_with_the_execution(ask: Ask, looks: Looks) -> None:
    execution = door_order.start(7)
    looks.before[4] = lambda: finish(execution, output={"order": 7})
    assert ask(execution, timeout=30) == {"order": 7}
    assert len(looks.ids) == 4


def test_waiting_ends_when_the_execution_is_deleted(ask: Ask, looks: Looks) -> None:
    execution = door_order.start(7)
    looks.before[4] = Execution.objects.all().delete
    with pytest.raises(ExecutionNotFound):
        ask(execution, timeout=30)


def in_a_new_loop(main: Callable[[], Awaitable[Any]]) -> Any:
    """As in an ASGI server: nobody above the loop, and each waiter in the context of its own request."""

    async def body() -> Any:
        return await main()

    return asyncio.run(body())


async def as_a_request(execution: Any) -> Any:
    async with ThreadSensitiveContext():
        return await client.aresult(execution, timeout=30)


@pytest.mark.django_db(transaction=True)
def test_two_hundred_waiters_share_one_thread_and_one_connection(looks: Looks) -> None:
    """EXE-13: all wake with the result."""
    execution = door_order.start(7)
    looks.before[5] = lambda: finish(execution, output={"order": 7})
    threads = threading.active_count()

    async def main() -> list[Any]:
        return await asyncio.gather(*(as_a_request(execution) for _ in range(200)))

    assert in_a_new_loop(main) == [{"order": 7}] * 200
    assert len(looks.threads) == 1
    assert len(looks.ids) == 5
    assert threading.active_count() <= threads + 1


@pytest.mark.django_db(transaction=True)
def test_waiters_for_many_executions_share_their_queries(looks: Looks) -> None:
    executions = client.start_many(door_order, [{"order_id": number} for number in range(20)])

    def finish_all() -> None:
        for number, execution in enumerate(executions):
            finish(execution, output={"order": number})

    looks.before[3] = finish_all

    async def main() -> list[Any]:
        return await asyncio.gather(*(as_a_request(execution) for execution in executions))

    assert in_a_new_loop(main) == [{"order": number} for number in range(20)]
    assert looks.ids == [{execution.id for execution in executions}] * 3


@pytest.mark.django_db(transaction=True)
def test_a_waiter_that_is_cancelled_leaves_the_others_waiting(looks: Looks) -> None:
    execution = door_order.start(7)

    async def main() -> Any:
        given_up = asyncio.create_task(as_a_request(execution))
        patient = asyncio.create_task(as_a_request(execution))
        while len(looks.ids) < 3:
            await asyncio.sleep(0.001)
        given_up.cancel()
        looks.before[len(looks.ids) + 2] = lambda: finish(execution, output={"order": 7})
        answer = await patient
        assert given_up.cancelled()
        return answer

    assert in_a_new_loop(main) == {"order": 7}


@pytest.mark.django_db(transaction=True)
def test_polling_ends_when_nobody_waits(looks: Looks) -> None:
    execution = door_order.start(7)

    async def main() -> None:
        with pytest.raises(ResultTimeout):
            await client.aresult(execution, timeout=0.01)
        while polling._pollers:
            await asyncio.sleep(0.001)
        seen = len(looks.ids)
        await asyncio.sleep(0.02)
        assert len(looks.ids) == seen

    in_a_new_loop(main)


@pytest.mark.django_db(transaction=True)
def test_who_asks_while_polling_ends_is_answered(looks: Looks) -> None:
    execution = door_order.start(7)
    finish(execution, output={"order": 7})

    async def main() -> list[Any]:
        return [await client.aresult(execution) for _ in range(20)]

    assert in_a_new_loop(main) == [{"order": 7}] * 20


@pytest.mark.django_db(transaction=True)
def test_a_database_error_reaches_every_waiter_and_the_next_look_is_a_new_one(looks: Looks) -> None:
    execution = door_order.start(7)

    def fail() -> None:
        raise OperationalError("gone")

    looks.before[2] = fail
    looks.before[4] = lambda: finish(execution, output={"order": 7})

    async def main() -> list[Any]:
        answers = await asyncio.gather(*(client.aresult(execution) for _ in range(3)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [OperationalError] * 3
        return [await client.aresult(execution)]

    assert in_a_new_loop(main) == [{"order": 7}]


@pytest.mark.django_db(transaction=True)
def test_waiters_do_not_keep_the_loop_of_a_stopped_server_busy(looks: Looks) -> None:
    execution = door_order.start(7)

    async def main() -> None:
        waiter = asyncio.create_task(client.aresult(execution))
        await asyncio.sleep(0.02)
        assert not waiter.done()

    in_a_new_loop(main)


def test_sync_code_may_be_called_beside_a_waiter() -> None:
    """The poller takes its turns in the thread for sync code, without blocking it."""
    execution = door_order.start(7)

    async def main() -> Any:
        waiter = asyncio.create_task(client.aresult(execution, 30))
        await asyncio.sleep(0)
        await sync_to_async(finish)(execution, output=codec.decode('{"order": 7}'))
        return await waiter

    assert async_to_sync(main)() == {"order": 7}
