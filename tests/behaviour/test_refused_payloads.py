"""Values that no database would hold the same way: refused at once, named, and without harm to anybody else."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import AsyncContext, ExecutionFailed, InvalidInput, PayloadError
from django_workflows.models import Execution, Status
from django_workflows.testing import Workflows
from tests.behaviour.colours import Colour
from tests.behaviour.common import Counter, of
from tests.factories import damage

CYCLE: list[Any] = []
CYCLE.append(CYCLE)

REFUSED: dict[str, Any] = {
    "NaN": float("nan"),
    "infinity": [float("-inf")],
    "NUL": "a\x00b",
    "NUL in a key": {"a\x00": 1},
    "lone surrogate": {"text": "\ud800"},
    "too deep": eval("[" * 100 + "]" * 100),
    "too large": "x" * 2_000_000,
    "an object": object(),
    "a function": len,
    "a cycle": CYCLE,
    "a generator": (n for n in range(3)),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_result_that_cannot_be_stored_fails_once_with_the_reason(
    workflows: Workflows, colour: Colour, counter: Counter, kind: str
) -> None:
    """SER-06, SER-08: no retry, no broken row, on every database the same."""

    def give() -> Any:
        counter.count()
        return REFUSED[kind]

    @colour()
    async def flow(ctx: AsyncContext) -> None:
        await ctx.do(give)

    execution = flow.start()
    with pytest.raises(ExecutionFailed) as caught:
        workflows.result(execution)
    assert len(counter) == 1
    (row,) = workflows.journal(execution)
    assert row.error["type"] in {"Unserializable", "PayloadTooDeep", "PayloadTooLarge"}
    assert row.error["message"] in str(caught.value)


@pytest.mark.parametrize("kind", REFUSED)
def test_an_output_that_cannot_be_stored_fails_the_execution(workflows: Workflows, colour: Colour, kind: str) -> None:
    """SER-06, SER-08: the same for what the workflow returns."""

    @colour()
    async def flow(ctx: AsyncContext) -> Any:
        return REFUSED[kind]

    execution = flow.start()
    with pytest.raises(ExecutionFailed, match=r"Unserializable|PayloadTooDeep|PayloadTooLarge"):
        workflows.result(execution)
    assert of(execution).status == Status.FAILED


@pytest.mark.parametrize("kind", REFUSED)
def test_input_that_cannot_be_stored_makes_no_row(workflows: Workflows, colour: Colour, kind: str) -> None:
    """SER-06, SER-08: refused where it is started, and named."""

    @colour()
    async def flow(ctx: AsyncContext, value: Any) -> None: ...

    with pytest.raises((InvalidInput, PayloadError)):
        flow.start(REFUSED[kind])
    assert not Execution.objects.exists()


@pytest.mark.parametrize("kind", REFUSED)
def test_a_message_that_cannot_be_stored_is_refused_where_it_is_sent(
    workflows: Workflows, colour: Colour, kind: str
) -> None:
    """SER-06, SER-08: the receiver goes on waiting, unharmed; a workflow that sends it fails."""

    @colour()
    async def receiver(ctx: AsyncContext) -> Any:
        message = await ctx.wait_for_signal("go")
        return message and message.data

    @colour()
    async def sender(ctx: AsyncContext, to: str) -> None:
        await ctx.signal(to, "go", REFUSED[kind])

    waiting = receiver.start()
    workflows.run_until_idle()
    with pytest.raises(PayloadError):
        waiting.signal("go", REFUSED[kind])
    with pytest.raises(ExecutionFailed, match=r"Unserializable|PayloadTooDeep|PayloadTooLarge"):
        workflows.result(sender.start(str(waiting.id)))
    waiting.signal("go", "fine")
    assert workflows.result(waiting) == "fine"


@pytest.mark.parametrize("kind", REFUSED)
def test_a_published_state_that_cannot_be_stored_fails_the_execution(
    workflows: Workflows, colour: Colour, kind: str
) -> None:
    @colour()
    async def flow(ctx: AsyncContext) -> None:
        ctx.state["value"] = REFUSED[kind]
        await ctx.do(abs, 1)

    execution = flow.start()
    with pytest.raises(ExecutionFailed, match=r"Unserializable|PayloadTooDeep|PayloadTooLarge"):
        workflows.result(execution)


def test_just_below_the_limit_is_fine(workflows: Workflows, colour: Colour) -> None:
    """SER-06: 1 MiB of JSON text in every place."""
    text = "x" * (1024 * 1024 - 100)

    def give() -> str:
        return text

    @colour()
    async def flow(ctx: AsyncContext, given: str) -> str:
        message = await ctx.wait_for_signal("go")
        assert message is not None
        return given if await ctx.do(give) == given == message.data else ""

    execution = flow.start(text)
    execution.signal("go", text)
    assert workflows.result(execution) == text


def test_a_step_may_be_given_what_cannot_be_stored(workflows: Workflows, colour: Colour) -> None:
    """Arguments of a step are for people to read; they are not needed for a replay."""

    @colour()
    async def flow(ctx: AsyncContext) -> int:
        return await ctx.do(len, REFUSED["a cycle"])

    assert workflows.result(flow.start()) == 1


@pytest.mark.parametrize("column", ["input", "output"])
def test_a_stored_row_that_cannot_be_read_pauses_its_execution_alone(
    workflows: Workflows, colour: Colour, column: str
) -> None:
    """SER-10: parked with the reason; others go on."""

    @colour()
    async def flow(ctx: AsyncContext, n: int) -> int:
        result = await ctx.do(abs, n)
        await ctx.sleep("1 hour")
        return result

    broken, whole = flow.start(-1), flow.start(-2)
    workflows.run_until_idle()
    damage(of(broken) if column == "input" else of(broken).steps.get(name="abs"), column)
    workflows.run_to_end()
    assert whole.result(timeout=0) == 2
    assert (of(broken).status, of(broken).wake_at) == (Status.PAUSED, None)
    assert of(broken).reason.startswith("A stored value cannot be read")


def test_a_stored_message_that_cannot_be_read_pauses_its_receiver(workflows: Workflows, colour: Colour) -> None:
    """SER-10: nothing is lost, and somebody looks."""

    @colour()
    async def flow(ctx: AsyncContext) -> Any:
        message = await ctx.wait_for_signal("go")
        return message and message.data

    execution = flow.start()
    signal: Any = execution.signal("go", 7)
    damage(signal, "data")
    workflows.run_to_end()
    assert of(execution).status == Status.PAUSED
    damage(signal, "data", "8")
    of(execution).resume()
    assert workflows.result(execution) == 8
