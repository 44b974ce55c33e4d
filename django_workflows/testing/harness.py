"""Runs workflows in the test's process, in its thread and in its transaction: no workers, no waiting."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from django_workflows import client, clock, conf, services
from django_workflows.authoring.ports import Duration
from django_workflows.engine.inline.driver import InlineDriver
from django_workflows.engine.verbs import apply
from django_workflows.expressions.durations import parse_duration
from django_workflows.models import Execution
from django_workflows.testing import journals
from django_workflows.testing.evicting import EvictingCommitter
from django_workflows.testing.fakes import Call, Fake, definition_of
from django_workflows.triggers import scheduling

MOST_TURNS = 10_000
TICK = timedelta(milliseconds=1)  # SQLite's clock is no finer
AHEAD = timedelta(milliseconds=100)  # a turn's clock runs ahead of the database's by a round trip, a slow one at most


class Workflows:
    """What a test does with workflows. `calls` are those of all fakes, in order.

    With `evict`, executions leave their turn at every wait and after every step, and replay all of it in the next one:
    a workflow that replays well gives the same results. Works in a `TestCase` as well as with committed rows. Parallel
    branches run one after the other here. Leaving it (`with`, `close()`) resets the clock and undoes the fakes.
    """

    def __init__(self, *, evict: bool = False) -> None:
        self.calls: list[Call] = []
        self._alias = conf.database()
        self._fakes: list[Fake] = []
        self._driver = InlineDriver(self._alias)
        if evict:
            self._driver.committer = EvictingCommitter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Undo what tests must not leave to each other: fakes and skipped time."""
        while self._fakes:
            self._fakes.pop().undo()
        clock.reset()

    # going on

    def run_until_idle(self, *, max_turns: int = MOST_TURNS) -> int:
        """Dispatch events, carry out verbs and give due executions their turns until nothing is due; how many turns.

        Higher priorities first, then the longest due. Executions whose code is not here are left alone. After
        `max_turns` an AssertionError names what still goes on.
        """
        turns, left_alone = 0, set[UUID]()
        while (id := self._next(left_alone)) is not None:
            if turns == max_turns:
                raise AssertionError(f"Still not idle after {max_turns} turns: {self._describe(id)}.")
            if self._driver.turn(id):
                turns += 1
            else:
                left_alone.add(id)
        return turns

    def run_to_end(self, *, max_turns: int = MOST_TURNS) -> int:
        """Run until idle, skip to the next moment at which something happens, and so on until nothing will."""
        turns = self.run_until_idle(max_turns=max_turns)
        while True:
            moment = self.skip_to_next()
            more = self.run_until_idle(max_turns=max_turns - turns)
            turns += more
            if moment is None and not more:  # time goes on: what was in the future may be due by now
                return turns

    def fire_schedules(self) -> list[Execution]:
        """Start what schedules are due by the clock of the test, as a worker would; those executions, not yet run.

        Nothing else here fires them: there is always a next moment, so `run_to_end()` would have no end.
        """
        started: list[Execution] = []
        strange: set[str] = set()  # whose code is not here
        while (fired := scheduling.fire_due(self._alias, strange=strange)).looked_at:
            started += fired.started
            strange |= fired.strange
        return started

    def result(self, execution: Any) -> Any:
        """Run to the end; the execution's output. Raises how it ended otherwise, `ResultTimeout` when it has not."""
        self.run_to_end()
        return client.result(execution, timeout=0)

    # time

    def skip(self, duration: Duration) -> None:
        """Move the database's clock, as this process sees it: "30 days", seconds or a timedelta.

        It moves by 0.1 seconds more, so that what was to last as long as that is surely over.
        """
        clock.skip(parse_duration(duration) + AHEAD)

    def skip_to_next(self) -> datetime | None:
        """Move the clock to the next moment at which an execution or an event falls due; None when there is none."""
        moment = self._driver.next_moment()
        if moment is not None:
            clock.skip(max(moment - clock.database_now(self._alias), timedelta(0)) + TICK)
        return moment

    def now(self) -> datetime:
        """The database's time, skipped time included."""
        return clock.database_now(self._alias)

    # fakes

    def fake(self, step: Any, *outcomes: Any) -> Fake:
        """Replace the body of a step, or of a child workflow, until the end of the test or of a `with` block.

        One outcome for each call, the last one for all that follow: a result, an exception to be raised, or a callable
        that gets the arguments. Copies made earlier by `using()` keep the original body.
        """
        fake = Fake(definition_of(step), outcomes, self.calls)
        self._fakes.append(fake)
        return fake

    # the journal

    def journal(self, execution: Any, *, generation: int | None = None) -> list[journals.Row]:
        """The journal in the order in which outcomes were recorded; by default of the latest generation."""
        return journals.read(self._alias, execution, generation)

    def assert_journal(
        self, execution: Any, expected: Iterable[tuple[Any, ...]], *, generation: int | None = None
    ) -> None:
        """Compare the journal with rows such as ("step", "charge", "succeeded", "ch-1"), each as far as it goes."""
        difference = journals.difference(self.journal(execution, generation=generation), list(expected))
        if difference is not None:
            raise AssertionError(difference)

    # what is due

    def _next(self, left_alone: set[UUID]) -> UUID | None:
        look = self._driver.look(left_alone)
        while look.has_events and services.dispatch(self._alias):
            look = self._driver.look(left_alone)
        if look.has_requests:
            apply.carry_out_all(self._alias)
            look = self._driver.look(left_alone)
        return look.due

    def _describe(self, id: UUID) -> str:
        execution = Execution.objects.using(self._alias).get(pk=id)
        at = f" at {execution.current_step}" if execution.current_step else ""
        return f"{execution} is {execution.status}{at}"
