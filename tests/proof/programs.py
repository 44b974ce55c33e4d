"""Random programs: one workflow that executes any of them, in both colours, and a model of what must come out.

A program is a list of instructions, each a list that begins with a word. A label is the place of its instruction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from django_workflows import AsyncContext, Retry, StepFailed, step
from tests.behaviour.colours import Colour

ATTEMPTS = 3
SIGNALS = ("a", "b")

Program = list[list[Any]]


@dataclass(slots=True)
class Outside:
    """What step bodies do to the world, and what somebody has mended there."""

    calls: Counter[str] = field(default_factory=Counter)
    mended: set[str] = field(default_factory=set)


outside = Outside()


@step(retry=Retry(max_attempts=ATTEMPTS, initial_interval=1, jitter=0))
def proof_instruct(label: str, failures: int) -> str:
    outside.calls[label] += 1
    if outside.calls[label] <= failures:
        raise ConnectionError(label)
    return label


@step(atomic=True)
def proof_instruct_atomic(label: str) -> str:
    outside.calls[label] += 1
    return label


@step(retry=Retry(max_attempts=1))
def proof_fragile(label: str) -> str:
    if label not in outside.mended:
        raise ConnectionError(label)
    outside.calls[label] += 1
    return label


class Interpreter:
    """Executes programs by a context; children are executed by the workflow of the same colour."""

    def __init__(self, colour: str) -> None:
        self.name = f"proof_program_{colour.replace(' ', '_')}"
        self.workflow = Colour(colour)(name=self.name)(self._execute)

    async def _execute(self, ctx: AsyncContext, program: list[Any], place: str) -> list[Any]:
        return [await self._perform(ctx, place, number, *line) for number, line in enumerate(program)]

    async def _perform(self, ctx: AsyncContext, place: str, number: int, word: str, *args: Any) -> Any:
        return await getattr(self, f"_{word}")(ctx, f"{place}.{number}", *args)

    async def _step(self, ctx: AsyncContext, label: str, failures: int) -> Any:
        try:
            return await ctx.do(proof_instruct, label, failures)
        except StepFailed:
            return "failed"

    async def _atomic(self, ctx: AsyncContext, label: str) -> Any:
        return await ctx.do(proof_instruct_atomic, label)

    async def _fragile(self, ctx: AsyncContext, label: str) -> Any:
        return await ctx.do(proof_fragile, label)

    async def _sleep(self, ctx: AsyncContext, label: str, seconds: int) -> None:
        await ctx.sleep(seconds)

    async def _never(self, ctx: AsyncContext, label: str, seconds: int) -> Any:
        return await ctx.wait_for_signal("never", timeout=seconds)

    async def _signal(self, ctx: AsyncContext, label: str, name: str) -> Any:
        message = await ctx.wait_for_signal(name)
        return message and message.data

    async def _child(self, ctx: AsyncContext, label: str, program: list[Any]) -> Any:
        return await ctx.run(self.name, program, label)

    async def _gather(self, ctx: AsyncContext, label: str, *programs: list[Any]) -> Any:
        async def branch(ctx: AsyncContext, number: int) -> Any:
            return await self._execute(ctx, programs[number], f"{label}.{number}")

        numbers = range(len(programs))
        return await ctx.gather(*[lambda ctx, number=number: branch(ctx, number) for number in numbers])


INTERPRETERS = {colour: Interpreter(colour) for colour in ("def", "async def")}


# the model


class Stops(Exception):
    """The program goes no further. `failed`: by an error, or else by a signal that has not come."""

    def __init__(self, failed: bool) -> None:
        self.failed = failed


@dataclass(slots=True)
class Model:
    """What a program comes to, given the signals that were sent and what is mended."""

    signals: Mapping[str, Sequence[Any]]
    mended: set[str]
    calls: Counter[str] = field(default_factory=Counter)  # that have taken place by then
    read: Counter[str] = field(default_factory=Counter)

    def execute(self, program: Program, place: str) -> list[Any]:
        return [self._perform(f"{place}.{number}", *line) for number, line in enumerate(program)]

    def _perform(self, label: str, word: str, *args: Any) -> Any:
        match word:
            case "step":
                self.calls[label] = min(args[0] + 1, ATTEMPTS)
                return label if args[0] < ATTEMPTS else "failed"
            case "atomic":
                self.calls[label] = 1
                return label
            case "fragile":
                if label not in self.mended:
                    raise Stops(failed=True)
                self.calls[label] = 1
                return label
            case "signal":
                return self._signal(args[0])
            case "child":
                return self.execute(args[0], label)
            case "gather":
                return self._gather(label, args)
        return None

    def _signal(self, name: str) -> Any:
        self.read[name] += 1
        if self.read[name] > len(self.signals.get(name, ())):
            raise Stops(failed=False)
        return self.signals[name][self.read[name] - 1]

    def _gather(self, label: str, programs: Sequence[Program]) -> list[Any]:
        """All branches go as far as they get; then the first error counts."""
        outputs, stops = [], []
        for number, program in enumerate(programs):
            try:
                outputs.append(self.execute(program, f"{label}.{number}"))
            except Stops as stop:
                stops.append(stop)
        if stops:
            raise stops[0]
        return outputs


# how they are drawn

_leaves = st.one_of(
    st.tuples(st.just("step"), st.integers(0, ATTEMPTS)),
    st.tuples(st.just("atomic")),
    st.tuples(st.just("fragile")),
    st.tuples(st.just("sleep"), st.integers(0, 100)),
    st.tuples(st.just("never"), st.integers(1, 100)),
).map(list)


def _nest(inner: st.SearchStrategy[list[Any]]) -> st.SearchStrategy[list[Any]]:
    program = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.tuples(st.just("child"), program),
        st.tuples(st.just("gather"), program, program),
    ).map(list)


_signal = st.tuples(st.just("signal"), st.sampled_from(SIGNALS)).map(list)  # in no branch: who gets it would be luck

programs = st.lists(st.one_of(_signal, _leaves, _nest(st.recursive(_leaves, _nest, max_leaves=4))), max_size=5)
