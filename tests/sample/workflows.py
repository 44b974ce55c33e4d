"""The workflows of the acceptance tests; their names begin with `sample_`, as they share a registry with others."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from django_workflows import AsyncContext, Context, step, workflow
from tests.sample import children as children  # its workflows are found here
from tests.sample import faults
from tests.sample.ledger import here

__all__ = ["faults"]

# steps


@step
def sample_note(label: str, gate: str = "") -> str:
    """Leave a line in the ledger; with a gate, wait for it."""
    here().enter(label)
    if gate:
        here().pass_gate(gate)
    return label


@step
async def sample_note_async(label: str, gate: str = "") -> str:
    here().enter(label)
    if gate:
        await asyncio.to_thread(here().pass_gate, gate)
    return label


# one after the other


@workflow
def sample_line(ctx: Context, label: str, steps: int = 3, gated: int = -1) -> list[str]:
    """Steps `label-0`, `label-1`, …; the one numbered `gated` waits at a gate of its own name."""
    names = [f"{label}-{number}" for number in range(steps)]
    return [ctx.do(sample_note, name, name if number == gated else "") for number, name in enumerate(names)]


@workflow
async def sample_line_async(ctx: AsyncContext, label: str, steps: int = 3, gated: int = -1) -> list[str]:
    names = [f"{label}-{number}" for number in range(steps)]
    return [await ctx.do(sample_note_async, name, name if number == gated else "") for number, name in enumerate(names)]


@workflow(queue="mail")
def sample_mail(ctx: Context, label: str) -> str:
    return ctx.do(sample_note, label)


if not os.environ.get("SAMPLE_IS_OLD"):

    @workflow
    def sample_new(ctx: Context, label: str) -> str:
        """What only new code knows."""
        return ctx.do(sample_note, label)

    @step
    def sample_new_note(label: str) -> str:
        """The same, of steps: for definitions that call it."""
        return sample_note(label)


@workflow
def sample_link(ctx: Context) -> Any:
    """Leave the address of a link in the ledger, and wait for the answer."""
    link = ctx.token(timeout="1 hour")
    ctx.do(sample_note, link.url)
    return link.wait()


# side by side


@workflow
def sample_branches(ctx: Context, label: str, count: int = 3) -> list[str]:
    """Branches with a gated step each, and another step after it."""
    return ctx.gather(*[_branch(f"{label}-{number}") for number in range(count)])


def _branch(name: str) -> Callable[[Context], Any]:
    def branch(ctx: Context) -> str:
        ctx.do(sample_note, f"{name}-first", name)
        return ctx.do(sample_note, f"{name}-second")

    return branch


# waits


@workflow
def sample_sleeper(ctx: Context, label: str, seconds: float) -> str:
    ctx.do(sample_note, f"{label}-before")
    ctx.sleep(seconds)
    return ctx.do(sample_note, f"{label}-after")


@workflow
async def sample_alarm(ctx: AsyncContext, at: float) -> float:
    """Sleep until a moment (seconds since 1970), and no more."""
    await ctx.sleep_until(faults.moment(at))
    return at


@workflow
def sample_receiver(ctx: Context, label: str) -> Any:
    """Wait for a signal, then note what it brought."""
    message = ctx.wait_for_signal("go")
    assert message is not None
    return ctx.do(sample_note, f"{label}-{message.data}")


@workflow
def sample_subscriber(ctx: Context, number: int) -> Any:
    """Wait for an event that names this number."""
    message = ctx.wait_for_event("sample.happened", match={"number": number})
    assert message is not None
    return ctx.do(sample_note, f"event-{message.data['number']}")


# families


@workflow
def sample_child(ctx: Context, number: int) -> int:
    ctx.do(sample_note, f"child-{number}")
    return number


@workflow
def sample_parent(ctx: Context, count: int) -> list[int]:
    return ctx.map(sample_child, range(count))


@workflow
def sample_correspondent(ctx: Context, label: str) -> str:
    """A child on another queue."""
    return ctx.run(sample_mail, label)


@workflow
def sample_gated_parent(ctx: Context, label: str) -> list[str]:
    return ctx.run(sample_line, label, 1, 0)


@workflow
def sample_dynasty(ctx: Context, label: str, depth: int) -> str:
    """Children and grandchildren: one sleeps, one is in a step, one has descendants."""
    if depth == 0:
        ctx.do(sample_note, label, f"{label}-gate")
        ctx.sleep("1 hour")
        return label
    ctx.start(sample_sleeper, f"{label}-sleeper", 3600.0)
    first = ctx.start(sample_dynasty, f"{label}-first", depth - 1)
    second = ctx.start(sample_dynasty, f"{label}-second", depth - 1)
    return first.result() + second.result()


# a bit of everything


@workflow
def sample_mixed(ctx: Context, number: int) -> int:
    """What an execution of number n does depends on n: steps, sleeps, children, signals, events, branches."""
    ctx.do(sample_note, f"mixed-{number}-first")
    kind = number % 5
    if kind == 1:
        ctx.sleep(0.3)
    elif kind == 2:
        ctx.run(sample_child, number)
    elif kind == 3:
        ctx.gather(*[lambda ctx, i=i: ctx.do(sample_note, f"mixed-{number}-{i}") for i in range(2)])
    elif kind == 4:
        ctx.do(faults.sample_count, f"mixed-{number}")
    ctx.do(sample_note, f"mixed-{number}-last")
    return number


@workflow
async def sample_mixed_async(ctx: AsyncContext, number: int) -> int:
    await ctx.do(sample_note_async, f"mixed-{number}-first")
    if number % 2:
        await asyncio.gather(ctx.do(sample_note_async, f"mixed-{number}-a"), ctx.sleep(0.2))
    await ctx.do(sample_note, f"mixed-{number}-last")
    return number


# events


@workflow
def sample_publisher(ctx: Context, id: str) -> str:
    """Publish an event under an id that somebody else may be about to use."""
    ctx.send_event("sample.published", {"by": str(ctx.execution.id)}, id=id)
    return "published"
