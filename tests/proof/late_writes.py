"""A holder that has lost its claim without knowing it: all that it may still want to write, and how it was lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from django.contrib.auth.models import Group
from django.db import connection

from django_workflows import operations
from django_workflows.engine.claims.claims import Claimed, claim_one, release_all
from django_workflows.engine.commit.values import End, Ending, NewEvent, NewExecution, NewSignal, Write
from django_workflows.engine.database.dialects import dialect_of
from django_workflows.engine.database.transactions import transact
from django_workflows.engine.history.journal import Entry
from django_workflows.engine.verbs import apply
from django_workflows.models import Event, Execution, Signal, Status, StepKind, StepResult
from tests.factories import ago, make_execution, make_signal, make_step, make_wait, now

CLAIM = 7
WORKFLOW = "proof_leaf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """An execution that the zombie holds under `CLAIM`, and everybody it may write to."""

    zombie: UUID
    parent: Execution
    held: Execution
    child: Execution
    other: Execution
    done: StepResult
    wait: StepResult
    message: Signal

    def write(self, *entries: Entry, **more: Any) -> Write:
        """What the zombie's turn hands to the committer."""
        return Write(
            execution_id=self.held.pk,
            claim=CLAIM,
            generation=0,
            parent_id=self.parent.pk,
            deadline=None,
            seen_inbox=self.held.inbox,
            had_crashes=True,
            entries={entry.id: entry for entry in entries},
            **more,
        )


def set_scene() -> Scene:
    zombie, parent = uuid4(), make_execution(Status.WAITING, awaiting=1)
    held = make_execution(
        Status.RUNNING, workflow=WORKFLOW, parent=parent, claim=CLAIM, claimed_by=zombie, state={"seen": 1}
    )
    make_wait(parent, StepKind.CHILD, WORKFLOW, child_id=held.pk)
    return Scene(
        zombie=zombie,
        parent=parent,
        held=held,
        child=make_execution(Status.WAITING, parent=held),
        other=make_execution(Status.WAITING),
        done=make_step(held, "done"),
        wait=make_wait(held, StepKind.SIGNAL, "go"),
        message=make_signal(held, "go"),
    )


def everything() -> dict[str, list[dict[str, Any]]]:
    """All rows of all tables that a turn may write to."""
    tables: tuple[Any, ...] = (Execution, StepResult, Signal, Event, Group)
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in tables}


# late writes


def _entry(kind: str = "step", status: str = "succeeded", **values: Any) -> Entry:
    """A row at a position that is still free."""
    return Entry(
        id=uuid4(), key="9", seq=9, name="late", kind=kind, status=status, attempts=1, created_at=now(), **values
    )


def _settled(wait: StepResult) -> Entry:
    """The outcome of a wait that was open."""
    return Entry(id=wait.pk, key=wait.key, seq=9, name=wait.name, kind="signal", status="succeeded", created_at=now())


def _event(execution: UUID | None) -> NewEvent:
    return NewEvent(id=uuid4(), type="event", name="late", execution_id=execution, data="1", created_at=now())


def _signal(target: Execution) -> NewSignal:
    return NewSignal(id=uuid4(), execution_id=target.pk, name="late", data="1", created_at=now())


def _start_child(scene: Scene) -> Write:
    child = NewExecution(
        id=uuid4(),
        workflow=WORKFLOW,
        version=1,
        input="{}",
        queue="default",
        priority=0,
        tags=None,
        parent_id=scene.held.pk,
        parent_close="cancel",
        wake_at=now(),
        deadline=None,
        expires_at=None,
    )
    return scene.write(_entry("child", "scheduled", child_id=child.id), children=[child])


def _time_out(scene: Scene) -> Write:
    outcome = _settled(scene.wait)
    return scene.write(unless_moved={outcome.id: outcome})


def _end(end: End) -> Callable[[Scene], Write]:
    ending = Ending(end=end, output='"late"', error='{"type": "LateTurn"}', reason="late", input='{"number": 9}')
    return lambda scene: scene.write(_entry(), ending=ending)


WRITES: dict[str, Callable[[Scene], Write]] = {
    "a result": lambda scene: scene.write(_entry(output='"late"')),
    "a failure": lambda scene: scene.write(_entry(status="failed", error="{}"), events=[_event(scene.held.pk)]),
    "a back-off": lambda scene: scene.write(_entry(status="scheduled", deadline=now())),
    "a running row": lambda scene: scene.write(_entry(status="running")),
    "a consumed signal": lambda scene: scene.write(_settled(scene.wait), consumed=[scene.message.pk]),
    "a timeout": _time_out,
    "a child": _start_child,
    "the end of a child": lambda scene: scene.write(cancelled=[scene.child.pk]),
    "a sent signal": lambda scene: scene.write(_entry("send"), signals=[_signal(scene.other)]),
    "a published event": lambda scene: scene.write(_entry("send"), events=[_event(None)]),
    "state": lambda scene: scene.write(state='{"seen": 2}'),
    "a forgotten iteration": lambda scene: scene.write(forgotten=[scene.done.pk]),
    **{f"its end, {end.value}": _end(end) for end in End},
}


# how a claim is lost


def run_out(scene: Scene) -> None:
    """The lease runs out."""
    Execution.objects.filter(pk=scene.held.pk).update(wake_at=ago(seconds=1))


def take(scene: Scene, worker: UUID) -> Claimed | None:
    """A worker claims it, if it is due."""
    dialect, served = dialect_of(connection), [(WORKFLOW, 1)]
    return transact(
        "default", lambda cursor: claim_one(cursor, dialect, scene.held.pk, served, worker=worker, lease=30.0)
    )


def release(scene: Scene) -> int:
    """The keeper gives back what a worker held that is gone."""
    dialect = dialect_of(connection)
    return transact("default", lambda cursor: release_all(cursor, dialect, [scene.zombie], crashed=True))


def _be_taken_over(scene: Scene) -> None:
    run_out(scene)
    assert take(scene, uuid4()) is not None


def _be_claimed_again(scene: Scene) -> None:
    run_out(scene)
    assert take(scene, scene.zombie) is not None


def _be_released(scene: Scene) -> None:
    assert release(scene) == 1


def _be_completed(scene: Scene) -> None:
    _be_taken_over(scene)
    ended = {"status": Status.COMPLETED, "completed_at": now(), "wake_at": None, "claimed_by": None}
    Execution.objects.filter(pk=scene.held.pk).update(**ended)


def _be_parked(scene: Scene) -> None:
    run_out(scene)
    Execution.objects.filter(pk=scene.held.pk).update(requested="pause")
    dialect = dialect_of(connection)
    assert transact("default", lambda cursor: apply.carry_out(cursor, dialect))


def _be_cancelled_by_sql(scene: Scene) -> None:
    Execution.objects.filter(pk=scene.held.pk).update(requested="cancel")


THEFTS: dict[str, Callable[[Scene], Any]] = {
    "another worker took it over": _be_taken_over,
    "the same worker claimed it again": _be_claimed_again,
    "the keeper released it": _be_released,
    "it was completed elsewhere": _be_completed,
    "an operator cancelled it": lambda scene: operations.cancel(scene.held),
    "a cancel was typed as SQL": _be_cancelled_by_sql,
    "a pause was carried out after its lease": _be_parked,
    "it was deleted": lambda scene: scene.held.delete(),
}
