"""Pausing and resuming: what runs is stored, nothing new begins, nothing is lost meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import AsyncContext, ExecutionFailed, Retry, TransitionError, step
from django_workflows.engine.commit import transaction
from django_workflows.models import Execution, Status, allowed_verbs
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter, Provider, of


def test_pausing_between_steps(workflows: Workflows, counter: Counter) -> None:
    """PAU-01: step 1 finishes and is stored, step 2 does not start; resume completes."""

    def pause_me() -> str:
        counter.count("first")
        of(execution).pause("lunch")
        return "stored"

    @Colour("def")()
    async def flow(ctx: AsyncContext) -> list[Any]:
        return [await ctx.do(pause_me), await ctx.do(counter.count, "second")]

    execution = flow.start()
    workflows.run_to_end()
    assert (of(execution).status, counter.calls) == (Status.PAUSED, ["first"])
    workflows.assert_journal(execution, [("step", "pause_me", "succeeded", "stored")])
    of(execution).resume()
    assert workflows.result(execution) == ["stored", 2]
    assert counter.calls == ["first", "second"]


def test_a_pause_that_is_taken_back_while_a_step_runs(workflows: Workflows, counter: Counter) -> None:
    """PAU-01: the execution goes on by itself, and nothing is done twice."""

    def think_again() -> str:
        counter.count("first")
        of(execution).pause("lunch")
        of(execution).resume("eaten")
        return "stored"

    @Colour("def")()
    async def flow(ctx: AsyncContext) -> list[Any]:
        return [await ctx.do(think_again), await ctx.do(counter.count, "second")]

    execution = flow.start()
    assert workflows.result(execution) == ["stored", 2]
    assert (counter.calls, of(execution).reason) == (["first", "second"], "")


def test_a_pause_that_is_taken_back_while_its_worker_parks(
    workflows: Workflows, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PAU-01: the turn has ended, and what it came to is about to be stored."""
    look = transaction.lock

    def take_back(cursor: Any, dialect: Any, ids: Any) -> Any:
        if "parks" not in counter.calls and Execution.objects.filter(pk=execution.id, requested="pause").exists():
            counter.count("parks")
            of(execution).resume("eaten")
        return look(cursor, dialect, ids)

    def pause_me() -> None:
        of(execution).pause("lunch")
        monkeypatch.setattr(transaction, "lock", take_back)

    @Colour("def")()
    async def flow(ctx: AsyncContext) -> Any:
        await ctx.do(pause_me)
        return await ctx.do(counter.count, "second")

    execution = flow.start()
    workflows.run_to_end()
    assert (of(execution).status, counter.calls) == (Status.COMPLETED, ["parks", "second"])


def test_pausing_a_sleeper(workflows: Workflows, colour: Colour) -> None:
    """PAU-04: no wake-up while paused; after resume it goes on at once, as its time has passed."""

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        await ctx.sleep("2 hours")
        return "awake"

    execution = flow.start()
    workflows.run_until_idle()
    of(execution).pause()
    workflows.skip("5 hours")
    assert workflows.run_to_end() == 0
    assert (of(execution).status, of(execution).wake_at) == (Status.PAUSED, None)
    of(execution).resume()
    workflows.run_until_idle()
    assert execution.result(timeout=0) == "awake"


def test_resuming_a_sleeper_before_its_time(workflows: Workflows, colour: Colour) -> None:
    """PAU-04: it sleeps on until the recorded deadline."""

    @colour()
    async def flow(ctx: AsyncContext) -> str:
        await ctx.sleep("2 hours")
        return "awake"

    execution = flow.start()
    workflows.run_until_idle()
    of(execution).pause()
    workflows.skip("1 hour")
    of(execution).resume()
    workflows.run_until_idle()
    assert of(execution).status == Status.WAITING
    workflows.skip("61 minutes")
    workflows.run_until_idle()
    assert execution.result(timeout=0) == "awake"


def test_a_child_that_ends_while_its_parent_is_paused(workflows: Workflows, colour: Colour) -> None:
    """PAU-05: its result is there after resume."""

    @colour(name="child")
    async def child(ctx: AsyncContext) -> str:
        await ctx.sleep("1 hour")
        return "done"

    @colour()
    async def flow(ctx: AsyncContext) -> Any:
        return await ctx.run("child")

    execution = flow.start()
    workflows.run_until_idle()
    of(execution).pause()
    workflows.run_to_end()
    assert of(execution).status == Status.PAUSED
    of(execution).resume()
    assert workflows.result(execution) == "done"


def test_a_paused_execution_holds_its_key(workflows: Workflows, colour: Colour) -> None:
    """Semantics 9: it counts as in progress."""

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.sleep("1 hour")

    execution = flow.using(key="k").start()
    workflows.run_until_idle()
    of(execution).pause()
    assert flow.using(key="k").start().id == execution.id


def test_a_workflow_pauses_itself(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """ctx.pause: with its reason; after resume it goes on behind the call."""

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        await ctx.do(counter.count)
        await ctx.pause("please check the address")
        return await ctx.do(counter.count)

    execution = flow.start()
    workflows.run_to_end()
    assert (of(execution).status, of(execution).reason) == (Status.PAUSED, "please check the address")
    assert len(counter) == 1
    of(execution).resume()
    assert workflows.result(execution) == 2
    workflows.assert_journal(execution, [("step", "count"), ("pause", "pause"), ("step", "count")])


def test_a_deadline_is_looked_at_on_resume(workflows: Workflows, colour: Colour) -> None:
    @colour(timeout="1 hour")
    async def flow(ctx: AsyncContext) -> None:
        await ctx.pause()

    execution = flow.start()
    workflows.run_until_idle()
    workflows.skip("1 day")
    assert workflows.run_to_end() == 0
    of(execution).resume()
    with pytest.raises(ExecutionFailed, match="deadline"):
        workflows.result(execution)


VERBS = ("pause", "resume", "cancel", "retry")


def in_status(workflows: Workflows, colour: Colour, status: Status) -> Execution:
    @colour(name="any")
    async def flow(ctx: AsyncContext) -> None:
        match status:
            case Status.WAITING | Status.CANCELLED:
                await ctx.sleep("1 hour")
            case Status.PAUSED:
                await ctx.pause()
            case Status.FAILED:
                raise LookupError

    execution = of(flow.start())
    if status != Status.PENDING:
        workflows.run_until_idle()
    if status == Status.CANCELLED:
        execution.cancel()
    return of(execution)


@pytest.mark.parametrize("status", [status for status in Status if status not in {Status.RUNNING, Status.ROLLING_BACK}])
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_applies_or_changes_nothing(workflows: Workflows, colour: Colour, status: Status, verb: str) -> None:
    """PAU-09: the state machine is closed."""
    execution = in_status(workflows, colour, status)
    assert execution.status == status
    if verb in allowed_verbs(status):
        getattr(execution, verb)()
        assert of(execution).status != status
        return
    before = Execution.objects.filter(pk=execution.id).values().get()
    with pytest.raises(TransitionError, match=f"Cannot {verb} an execution that is {status.value}"):
        getattr(execution, verb)()
    assert Execution.objects.filter(pk=execution.id).values().get() == before


def test_a_retry_begins_at_the_failed_step(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """FRK-01: earlier results are kept, the failed step has all its attempts again."""
    provider = Provider(3)

    @colour()
    async def flow(ctx: AsyncContext) -> list[Any]:
        first = await ctx.do(counter.count)
        return [first, await ctx.do(step(provider.charge, retry=Retry(max_attempts=3)))]

    execution = flow.start()
    with pytest.raises(ExecutionFailed):
        workflows.result(execution)
    of(execution).retry("the provider is back")
    assert workflows.result(execution) == [1, "paid"]
    assert (len(counter), provider.attempts) == (1, [1, 2, 3, 1])


def test_a_retry_asks_the_code_again(workflows: Workflows, colour: Colour, counter: Counter) -> None:
    """FRK-01: the steps are kept, the code is asked again."""
    broken = [True]

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        result = await ctx.do(counter.count)
        if broken[0]:
            raise ZeroDivisionError
        return result

    execution = flow.start()
    with pytest.raises(ExecutionFailed):
        workflows.result(execution)
    broken[0] = False
    of(execution).retry()
    assert workflows.result(execution) == 1
    assert len(counter) == 1


def test_a_failed_child_is_retried_with_its_parent(workflows: Workflows, colour: Colour) -> None:
    """Semantics 15."""
    provider = Provider(1)

    @colour(name="child", retry=Retry(max_attempts=1))
    async def child(ctx: AsyncContext) -> str:
        return await ctx.do(provider.charge)

    @colour()
    async def flow(ctx: AsyncContext) -> Any:
        return await ctx.run("child")

    execution = flow.start()
    with pytest.raises(ExecutionFailed):
        workflows.result(execution)
    of(execution).retry()
    assert workflows.result(execution) == "paid"
    assert of(execution).children.count() == 1
