"""What an attempt came to is stored as a whole, whenever the pump comes by."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows import Retry, step
from django_workflows.authoring.context import Context
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.clock import DatabaseClock, monotonic
from django_workflows.engine.claims.loading import Loaded
from django_workflows.engine.commit.values import Receipt, Verdict, Write
from django_workflows.engine.inline.driver import CallerThread
from django_workflows.engine.runners.threads import ThreadRunner
from django_workflows.engine.turn.turn import Turn
from tests.engine.test_turn import NOW, _claimed


class StoresWhateverIsNoted:
    """A pump that comes by at every word about a turn, and after every line that is added to its history."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stored: list[Write] = []
        log = Turn.log

        def log_and_store(turn: Turn, *args: Any) -> None:
            log(turn, *args)
            if not turn.flags.changed._is_owned():  # type: ignore[attr-defined]  # what another thread would have to wait for
                self.flush(turn)

        monkeypatch.setattr(Turn, "log", log_and_store)

    def note(self, turn: Turn) -> None:
        self.flush(turn)

    def flush(self, turn: Turn) -> None:
        if (write := turn.take_write()) is not None:
            self.stored.append(write)
            turn.receive(write, Receipt(verdict=Verdict.STORED, inbox=write.seen_inbox))


@pytest.mark.parametrize("most", [1, 2])
def test_a_failed_attempt_and_its_place_in_the_history_are_one_write(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """A crash between the two would have the attempt made, and told, twice."""

    def fail() -> None:
        raise ValueError("no")

    def flow(ctx: Context) -> None:
        ctx.do(step(fail, retry=Retry(max_attempts=most)))

    committer = StoresWhateverIsNoted(monkeypatch)
    definition: WorkflowDefinition[..., Any] = WorkflowDefinition(flow, {"name": "w"})
    clock = DatabaseClock(NOW, monotonic())
    ThreadRunner(
        Loaded(claimed=_claimed()),
        definition,
        clock=clock,
        committer=committer,
        alias="default",
        helpers=CallerThread(),
    ).run()
    (told,) = [write for write in committer.stored if write.events]
    assert [entry.status for entry in told.entries.values()] == ["failed" if most == 1 else "scheduled"]
