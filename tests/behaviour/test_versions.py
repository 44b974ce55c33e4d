"""Changed code under running executions: noticed before any new effect, never mixed, mended by going back."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from django_workflows import AsyncContext, Context, current_step, workflow
from django_workflows.authoring.registry import registry
from django_workflows.models import Event, Execution, Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter, of

Code = Callable[[AsyncContext], Any]


@pytest.fixture
def ledger() -> Counter:
    """What was really done."""
    return Counter()


class Deployer:
    """Puts one body after the other under the name `flow`."""

    def __init__(self, colour: Colour, ledger: Counter) -> None:
        self.colour, self.ledger = colour, ledger

    def do(self, ctx: AsyncContext, name: str, *args: Any) -> Any:
        return ctx.do(name, self.ledger.count, name, *args)

    def deploy(self, body: Any, **keywords: Any) -> Any:
        return self.colour(name="flow", **keywords)(body)


@pytest.fixture
def project(colour: Colour, ledger: Counter) -> Deployer:
    return Deployer(colour, ledger)


def old(project: Deployer) -> Any:
    async def flow(ctx: AsyncContext) -> str:
        await project.do(ctx, "a")
        await project.do(ctx, "b")
        await ctx.sleep("1 day")
        await project.do(ctx, "c")
        return "old"

    return flow


def changed(project: Deployer, change: str) -> Any:
    async def flow(ctx: AsyncContext) -> str:
        if change != "removed":
            await project.do(ctx, "inserted" if change == "inserted" else "a")
        if change == "inserted":
            await project.do(ctx, "a")
        match change:
            case "renamed":
                await project.do(ctx, "new name")
            case "a sleep instead":
                await ctx.sleep("b", "1 hour")
            case "an event instead":
                await ctx.wait_for_event("b")
            case "branches instead":
                await ctx.gather(lambda c: project.do(c, "b"), lambda c: project.do(c, "x"))
            case "a loop instead":
                await ctx.loop(lambda c, state: project.do(c, "b"))
            case "reordered":
                pass
            case _:
                await project.do(ctx, "b")
        await ctx.sleep("1 day")
        await project.do(ctx, "c")
        return "new"

    async def reordered(ctx: AsyncContext) -> str:
        await project.do(ctx, "b")
        await project.do(ctx, "a")
        await ctx.sleep("1 day")
        return "new"

    async def shortened(ctx: AsyncContext) -> str:
        await project.do(ctx, "a")
        return "new"

    return {"reordered": reordered, "shortened": shortened}.get(change, flow)


CHANGES = [
    "renamed",
    "removed",
    "inserted",
    "reordered",
    "shortened",
    "a sleep instead",
    "an event instead",
    "branches instead",
    "a loop instead",
]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_code_is_noticed_before_any_new_effect(
    workflows: Workflows, project: Deployer, ledger: Counter, settings: Any, change: str
) -> None:
    """VER-01, VER-04: left to others first, then paused with expected and found; the old code finishes it."""
    execution = project.deploy(old(project)).start()
    workflows.run_until_idle()
    assert ledger.calls == ["a", "b"]
    before = workflows.journal(execution)

    project.deploy(changed(project, change))
    workflows.skip("25 hours")
    workflows.run_to_end()
    row = of(execution)
    assert row.status == Status.PAUSED
    assert "no longer matches the journal" in row.reason
    assert ledger.calls == ["a", "b"]
    assert workflows.journal(execution) == before

    project.deploy(old(project))
    row.resume()
    assert workflows.result(execution) == "old"
    assert ledger.calls == ["a", "b", "c"]


def test_it_may_only_be_an_old_worker(workflows: Workflows, project: Deployer, ledger: Counter) -> None:
    """Semantics 2: released three times, 30 s apart, for one that has the right code; nothing is counted."""
    execution = project.deploy(old(project)).start()
    workflows.run_until_idle()
    project.deploy(changed(project, "renamed"))
    workflows.skip("25 hours")
    workflows.run_until_idle()
    row = of(execution)
    assert (row.status, row.crashes) == (Status.PENDING, 0)
    assert row.wake_at is not None
    # never early, so it may be late by what a statement took when it was made
    assert 25 < (row.wake_at - workflows.now()).total_seconds() < 31
    project.deploy(old(project))
    assert workflows.result(execution) == "old"
    mismatch = Event.objects.get(execution=execution.id, name="code does not match the journal")
    assert mismatch.data == {"step": "2", "expected": "step 'b'", "found": "step 'new name'"}


def test_a_mismatch_cannot_be_caught(workflows: Workflows, project: Deployer, ledger: Counter) -> None:
    """Semantics 2: neither `except Exception` nor `except BaseException` makes the new code go on."""
    execution = project.deploy(old(project)).start()
    workflows.run_until_idle()

    async def sly(ctx: AsyncContext) -> str:
        for name in ("x", "y"):
            try:
                await project.do(ctx, name)
            except BaseException:
                ledger.count("caught")
        return "new"

    project.deploy(sly)
    workflows.skip("25 hours")
    workflows.run_to_end()
    assert of(execution).status == Status.PAUSED
    assert not {"x", "y"} & set(ledger.calls)


def test_a_step_appended_at_the_end_is_fine(workflows: Workflows, project: Deployer, ledger: Counter) -> None:
    """VER-02: the history is a prefix."""
    execution = project.deploy(old(project)).start()
    workflows.run_until_idle()

    async def longer(ctx: AsyncContext) -> str:
        await project.do(ctx, "a")
        await project.do(ctx, "b")
        await ctx.sleep("1 day")
        await project.do(ctx, "c")
        await project.do(ctx, "d")
        return "longer"

    project.deploy(longer)
    assert workflows.result(execution) == "longer"
    assert ledger.calls == ["a", "b", "c", "d"]


def test_other_arguments_of_a_finished_step_are_ignored(workflows: Workflows, project: Deployer) -> None:
    """VER-05: the result is remembered, whatever it would be asked today."""

    async def first(ctx: AsyncContext) -> list[int]:
        result = await ctx.do("size", len, "abc")
        await ctx.sleep("1 hour")
        return [result]

    async def second(ctx: AsyncContext) -> list[int]:
        result = await ctx.do("size", len, "other")
        await ctx.sleep("1 hour")
        return [result]

    execution = project.deploy(first).start()
    workflows.run_until_idle()
    project.deploy(second)
    assert workflows.result(execution) == [3]


def test_another_duration_of_a_sleep_under_way_is_ignored(workflows: Workflows, project: Deployer) -> None:
    """VER-05: the deadline was fixed when it was reached."""

    async def first(ctx: AsyncContext) -> None:
        await ctx.sleep("1 hour")

    async def second(ctx: AsyncContext) -> None:
        await ctx.sleep("30 days")

    execution = project.deploy(first).start()
    workflows.run_until_idle()
    project.deploy(second)
    workflows.skip("61 minutes")
    workflows.run_until_idle()
    assert of(execution).status == Status.COMPLETED


def test_one_execution_that_does_not_match_harms_no_other(workflows: Workflows, project: Deployer) -> None:
    """VER-06: it is parked without a hot loop; the others complete."""
    execution = project.deploy(old(project)).start()
    workflows.run_until_idle()
    fresh = project.deploy(changed(project, "renamed"))
    others = fresh.start_many([{}] * 9)
    turns = workflows.run_to_end()
    assert [other.result(timeout=0) for other in others] == ["new"] * 9
    assert of(execution).status == Status.PAUSED
    assert turns < 200


def test_an_execution_keeps_its_version(workflows: Workflows, project: Deployer, ledger: Counter) -> None:
    """Semantics 12: several versions under one name; a new start takes the newest."""
    first = project.deploy(old(project)).start()
    workflows.run_until_idle()
    second = project.deploy(changed(project, "renamed"), version=2).start()
    assert (of(first).version, of(second).version) == (1, 2)
    assert workflows.result(first) == "old"
    assert workflows.result(second) == "new"


def test_newer_code_may_adopt_older_executions(workflows: Workflows, project: Deployer, ledger: Counter) -> None:
    """VER-12: accepts={1}."""
    execution = project.deploy(old(project)).start()
    workflows.run_until_idle()
    registry._workflows.pop("flow")
    project.deploy(old(project), version=2, accepts={1})
    assert workflows.result(execution) == "old"


def test_a_version_that_is_not_here_waits(workflows: Workflows, project: Deployer, ledger: Counter) -> None:
    """VER-13: without using an attempt; it can be cancelled."""
    execution = project.deploy(old(project)).start()
    workflows.run_until_idle()
    registry._workflows.pop("flow")
    project.deploy(changed(project, "renamed"), version=2)
    workflows.run_to_end()
    row = of(execution)
    assert (row.status, row.crashes, ledger.calls) == (Status.WAITING, 0, ["a", "b"])
    row.cancel()
    assert of(execution).status == Status.CANCELLED


@pytest.mark.parametrize("seed", range(5))
def test_code_that_decides_by_chance_is_found_out_or_happens_to_agree(
    workflows: Workflows, project: Deployer, ledger: Counter, seed: int
) -> None:
    """VER-16: never mixed: of a pair of steps that belong together both or none are done."""
    dice = random.Random(seed)

    async def flow(ctx: AsyncContext) -> str:
        side = "a" if dice.random() < 0.5 else "b"
        await project.do(ctx, f"open {side}")
        await ctx.sleep("1 minute")
        await project.do(ctx, f"close {side}")
        return side

    execution = project.deploy(flow).start()
    workflows.run_to_end()
    row = of(execution)
    assert row.status in {Status.COMPLETED, Status.PAUSED}
    sides = [call.split()[1] for call in ledger.calls]
    assert len(set(sides)) == 1
    assert len(ledger) == (2 if row.status == Status.COMPLETED else 1)


def test_the_same_code_in_two_places_is_one_workflow_only_by_name(workflows: Workflows, project: Deployer) -> None:
    """A rename of the function is a new workflow: what runs under the old name waits for it."""
    execution = project.deploy(old(project)).start()
    workflows.run_until_idle()
    registry._workflows.pop("flow")
    workflows.run_to_end()
    assert of(execution).status == Status.WAITING
    assert Execution.objects.due().get().id == execution.id


@pytest.mark.parametrize("before", ["no sleep", "a message that was there"])
def test_a_wait_that_is_gone_is_noticed_though_its_worker_died_right_after_it(
    workflows: Workflows, before: str
) -> None:
    """VER-01, STP-02: or the step would be done again under another idempotency key, as it has moved up."""
    keys: list[str] = []

    def charge() -> None:
        keys.append(current_step().idempotency_key)
        raise SystemExit

    def flow(ctx: Context) -> None:
        if before == "no sleep":
            ctx.sleep(0)
        else:
            ctx.wait_for_signal("go")
        ctx.do(charge)

    def without_wait(ctx: Context) -> None:
        ctx.do(charge)

    execution = workflow(name="flow")(flow).start()
    execution.signal("go")
    with pytest.raises(SystemExit):
        workflows.run_until_idle()
    workflow(name="flow")(without_wait)
    workflows.skip("2 hours")  # its lease is over
    workflows.run_to_end()
    assert "no longer matches the journal" in of(execution).reason
    assert len(keys) == 1
