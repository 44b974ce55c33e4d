"""Messages addressed to one execution: kept until asked for, each consumed once, oldest first."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction

from django_workflows import AsyncContext, ExecutionFailed, TransitionError, client
from django_workflows.models import Execution, Signal, Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter, of


def waiter(colour: Colour, count: int = 1, timeout: Any = None) -> Any:
    """A workflow that waits so many times for `go` and returns what came."""

    @colour(name="waiter")
    async def wait(ctx: AsyncContext) -> list[Any]:
        seen = []
        for _ in range(count):
            message = await ctx.wait_for_signal("go", timeout=timeout)
            seen.append(message and message.data)
        return seen

    return wait


def test_a_signal_wakes_the_execution_that_waits_for_it(workflows: Workflows, colour: Colour) -> None:
    """EVT-01: with its data, once."""
    execution = waiter(colour).start()
    workflows.run_until_idle()
    assert (of(execution).status, of(execution).wake_at) == (Status.WAITING, None)
    execution.signal("go", {"by": "ada"})
    workflows.run_until_idle()
    assert execution.result(timeout=0) == [{"by": "ada"}]
    assert Signal.objects.get().consumed_at is not None


def test_a_signal_may_come_before_the_wait(workflows: Workflows, colour: Colour) -> None:
    """EVT-02: not lost, not delivered twice."""
    execution = waiter(colour, 2, timeout="1 hour").start()
    execution.signal("go", "early")
    assert workflows.result(execution) == ["early", None]


def test_a_signal_may_come_while_nobody_works(workflows: Workflows, colour: Colour) -> None:
    """EVT-04: it is stored with its execution."""
    execution = waiter(colour).start()
    workflows.run_until_idle()
    execution.signal("go", 1)
    workflows.skip("30 days")
    assert workflows.result(execution) == [1]


def test_signals_arrive_in_the_order_they_were_sent(workflows: Workflows, colour: Colour) -> None:
    """EVT-09: a hundred, some before and some while it waits."""
    execution = waiter(colour, 100).start()
    for n in range(50):
        execution.signal("go", n)
    workflows.run_until_idle()
    for n in range(50, 100):
        execution.signal("go", n)
        if n % 7 == 0:
            workflows.run_until_idle()
    assert workflows.result(execution) == list(range(100))


def test_a_wait_takes_only_its_own_name(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        second = await ctx.wait_for_signal("second")
        first = await ctx.wait_for_signal("a label", "first")
        return [second and second.data, first and first.data]

    execution = flow.start()
    execution.signal("first", 1)
    workflows.run_until_idle()
    assert of(execution).status == Status.WAITING
    execution.signal("second", 2)
    assert workflows.result(execution) == [2, 1]


def test_signals_may_come_shuffled(workflows: Workflows, colour: Colour) -> None:
    """EVT-22: the workflow puts them in order."""

    @colour()
    async def flow(ctx: AsyncContext) -> list[str]:
        parts: dict[int, str] = {}
        while len(parts) < 10:
            message = await ctx.wait_for_signal("part")
            assert message is not None
            parts[message.data["number"]] = message.data["text"]
        return [parts[n] for n in range(10)]

    execution = flow.start()
    numbers = list(range(10))
    random.Random(7).shuffle(numbers)
    for n in numbers:
        execution.signal("part", {"number": n, "text": f"part {n}"})
        workflows.run_until_idle()
    assert workflows.result(execution) == [f"part {n}" for n in range(10)]


def test_a_message_tells_its_name_id_and_time(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> list[str]:
        message = await ctx.wait_for_signal("go")
        assert message
        return [message.name, str(message.id), message.sent_at.isoformat()]

    execution = flow.start()
    sent: Any = execution.signal("go")
    assert workflows.result(execution) == ["go", str(sent.id), sent.created_at.isoformat()]


def test_the_same_message_id_counts_once(workflows: Workflows, colour: Colour) -> None:
    """EVT-08: one delivery."""
    execution = waiter(colour, 2, timeout="1 hour").start()
    for _ in range(3):
        execution.signal("go", "paid", message_id="delivery-7")
    assert workflows.result(execution) == ["paid", None]


def test_a_timeout_is_remembered(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """EVT-05: a replay sees it again; the late message is there for a later wait."""

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        first = await ctx.wait_for_signal("go", timeout="1 hour")
        await ctx.do(counter.count)
        await ctx.sleep("1 hour")
        second = await ctx.wait_for_signal("go", timeout="1 hour")
        return [first, second and second.data]

    execution = flow.start()
    workflows.run_until_idle()
    workflows.skip("61 minutes")
    workflows.run_until_idle()
    execution.signal("go", "late")
    assert workflows.result(execution) == [None, "late"]
    assert len(counter) == 1


@pytest.mark.parametrize("timeout", [0, -5])
def test_a_wait_without_patience_only_looks(workflows: Workflows, colour: Colour, timeout: int) -> None:
    execution = waiter(colour, 1, timeout).start()
    workflows.run_until_idle()
    assert execution.result(timeout=0) == [None]


def test_a_wait_without_patience_takes_what_is_there(workflows: Workflows, colour: Colour) -> None:
    execution = waiter(colour, 2, 0).start()
    execution.signal("go", "early")
    workflows.run_until_idle()
    assert execution.result(timeout=0) == ["early", None]


@pytest.mark.parametrize(("offset", "outcome"), [(-1, ["paid"]), (0, ["paid"]), (1, [None])], ids=str)
def test_a_signal_exactly_at_the_deadline_beats_it(
    workflows: Workflows, colour: Colour, offset: int, outcome: list[Any]
) -> None:
    """EVT-06, semantics 8: one last look after the deadline; the recorded times decide, not who looks when."""
    execution = waiter(colour, 1, timeout="1 hour").start()
    workflows.run_until_idle()
    deadline = workflows.journal(execution)[0].deadline
    assert deadline is not None
    execution.signal("go", "paid")
    Signal.objects.update(created_at=deadline + timedelta(microseconds=offset))
    workflows.skip("2 hours")
    assert workflows.result(execution) == outcome
    assert Signal.objects.filter(consumed_at=None).count() == outcome.count(None)


def test_a_signal_that_comes_during_the_last_look_is_seen(workflows: Workflows) -> None:
    """EVT-06: the timeout counts only if nothing has arrived when it is stored."""
    execution = waiter(Colour("def"), 1, timeout="1 hour").start()
    workflows.run_until_idle()
    workflows.skip("2 hours")
    flush = workflows._driver.committer.flush

    def send_first(turn: Any) -> None:
        workflows._driver.committer.flush = flush  # type: ignore[method-assign]  # a sender gets in between
        execution.signal("go", "in time")
        Signal.objects.update(created_at=workflows.journal(execution)[0].deadline)
        flush(turn)

    workflows._driver.committer.flush = send_first  # type: ignore[method-assign]  # as above
    workflows.run_until_idle()
    assert execution.result(timeout=0) == ["in time"]


def test_a_signal_to_a_finished_execution_is_refused(workflows: Workflows, colour: Colour) -> None:
    """EVT-12: never acknowledged and lost."""
    execution = waiter(colour, 0).start()
    workflows.run_until_idle()
    with pytest.raises(TransitionError, match="completed"):
        execution.signal("go")
    assert not Signal.objects.exists()


def test_an_unread_signal_stays_visible_after_the_end(workflows: Workflows, colour: Colour) -> None:
    """EVT-12: what nobody asked for is kept, unconsumed."""
    execution = waiter(colour).start()
    execution.signal("go", 1)
    execution.signal("go", 2)
    execution.signal("other", 3)
    assert workflows.result(execution) == [1]
    unread = Signal.objects.filter(consumed_at=None).order_by("number")
    assert [signal.data for signal in unread] == [2, 3]


def test_one_execution_signals_another(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """ctx.signal: once, however often the sender is replayed."""
    receiver = waiter(colour, 2, timeout="1 day").start()

    @colour()
    async def sender(ctx: AsyncContext, to: str) -> None:
        await ctx.signal(to, "go", {"number": 1})
        await ctx.do(counter.count)
        await ctx.sleep("1 hour")

    execution = sender.start(str(receiver.id))
    workflows.result(execution)
    assert Signal.objects.count() == 1
    assert workflows.result(receiver) == [{"number": 1}, None]
    assert ("send", "go", "succeeded") in [row.words[:3] for row in workflows.journal(execution)]


def test_an_execution_may_signal_itself(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> Any:
        await ctx.signal(ctx.execution.id, "go", 7)
        message = await ctx.wait_for_signal("go")
        return message and message.data

    assert workflows.result(flow.start()) == 7


def test_a_signal_from_a_workflow_to_nobody_is_dropped(workflows: Workflows, colour: Colour) -> None:
    """The sender cannot know whether its receiver has just finished: it goes on."""

    @colour()
    async def flow(ctx: AsyncContext, to: str) -> str:
        await ctx.signal(to, "go")
        return "sent"

    finished = waiter(colour, 0).start()
    workflows.run_until_idle()
    for receiver in (str(finished.id), "00000000-0000-4000-8000-000000000000"):
        assert workflows.result(flow.start(receiver)) == "sent"
    assert not Signal.objects.exists()


def test_what_is_no_id_is_an_error_of_the_workflow(workflows: Workflows, colour: Colour) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.signal("nobody", "go")

    with pytest.raises(ExecutionFailed):
        workflows.result(flow.start())


def test_a_delayed_execution_is_not_woken_by_a_signal(workflows: Workflows, colour: Colour) -> None:
    """Only what waits is woken; the message is kept."""
    execution = waiter(colour).using(delay="1 hour").start()
    execution.signal("go", 1)
    assert workflows.run_until_idle() == 0
    assert workflows.result(execution) == [1]


def test_a_paused_execution_keeps_its_signals(workflows: Workflows, colour: Colour) -> None:
    """PAU-05: delivered after resume."""
    execution = waiter(colour).start()
    workflows.run_until_idle()
    execution.pause()
    execution.signal("go", 1)
    assert workflows.run_until_idle() == 0
    assert of(execution).status == Status.PAUSED
    execution.resume()
    assert workflows.result(execution) == [1]


def test_a_signal_in_a_transaction_that_is_rolled_back_was_never_sent(workflows: Workflows, colour: Colour) -> None:
    """Semantics 13: it belongs to its sender's transaction."""
    execution = waiter(colour, 1, timeout="1 hour").start()
    workflows.run_until_idle()
    with transaction.atomic():
        execution.signal("go", 1)
        transaction.set_rollback(True)
    assert workflows.result(execution) == [None]
    assert Execution.objects.get().inbox == 0


def test_the_client_signals_by_id(workflows: Workflows, colour: Colour) -> None:
    execution = waiter(colour, 2).start()
    client.signal(execution.id, "go", 1)
    client.signal(str(execution.id), "go", 2)
    assert workflows.result(execution) == [1, 2]
