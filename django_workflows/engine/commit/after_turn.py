"""What becomes of an execution when its turn ends.

One decision from an ending and the row that the commit meets: `transaction` stores it, the statement in `one_statement`
is held to it by a test on every combination, and `forecast` asks it what will be due.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from django_workflows.engine.commit.values import End, Ending, Receipt, Write
from django_workflows.models import FINISHED, Requested, Status
from django_workflows.models.statuses import TRANSITIONS

# The engine's verb in the table of transitions by which a turn ends.
VERBS: dict[End, str] = {
    End.SUSPEND: "suspend",
    End.COMPLETE: "complete",
    End.FAIL: "fail",
    End.CANCEL: "cancel itself",
    End.PAUSE: "park",
    End.RENEW: "continue as new",
    End.RELEASE: "release",
}

STATUS_AFTER: dict[End, Status] = {end: TRANSITIONS[verb][Status.RUNNING] for end, verb in VERBS.items()}


class Met(msgspec.Struct, frozen=True, kw_only=True):
    """What the commit meets in the row: its inbox, what was requested, how many awaited children had finished."""

    inbox: int
    requested: str = ""
    finished: int = 0


class After(msgspec.Struct, frozen=True, kw_only=True):
    """The columns after the turn. `reason` None keeps what is stored."""

    status: Status
    wake_at: datetime | None
    awaiting: int
    requested: str
    reason: str | None

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED


def status_after(ending: Ending, requested: str) -> Status:
    """The status after a turn that ends so; a pause that was requested meanwhile is carried out with it."""
    status = STATUS_AFTER[ending.unless_taken_back(requested).end]
    if requested == Requested.PAUSE and status in TRANSITIONS["pause"]:
        return TRANSITIONS["pause"][status]
    return status


def after_turn(write: Write, ending: Ending, met: Met, now: datetime) -> After:
    """The columns of an execution after a turn that ends so, if its commit comes at `now`."""
    ending, status, awaiting = ending.unless_taken_back(met.requested), status_after(ending, met.requested), 0
    if ending.end is End.SUSPEND:
        awaiting = max(ending.needed - met.finished, 0)
    cancels = ending.end is End.CANCEL or (met.requested == Requested.CANCEL and status not in FINISHED)
    return After(
        status=status,
        wake_at=_wake_at(write, ending, met, awaiting, now) if status in {Status.WAITING, Status.PENDING} else None,
        awaiting=awaiting,
        requested=Requested.CANCEL.value if cancels else "",
        reason=ending.reason if ending.reason or status is not Status.PAUSED else None,
    )


def _wake_at(write: Write, ending: Ending, met: Met, awaiting: int, now: datetime) -> datetime | None:
    """When a worker must look at it next."""
    if ending.end is not End.SUSPEND:
        return ending.deadline or now
    has_moved = met.inbox != write.seen_inbox and not ending.only_children
    if has_moved or (ending.children and not awaiting):
        return now
    return earliest(ending.deadline, write.deadline)


def forecast(write: Write, receipt: Receipt, now: datetime) -> datetime | None:
    """When the execution falls due once this write is stored, as far as one can tell without its children."""
    if write.ending is None:
        return None
    return after_turn(write, write.ending, Met(inbox=receipt.inbox, requested=receipt.requested), now).wake_at


def earliest(*moments: datetime | None) -> datetime | None:
    """The first of these moments, or None if there is none."""
    return min((moment for moment in moments if moment is not None), default=None)
