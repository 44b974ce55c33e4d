"""Is anything stuck, or broken? Every invariant of a healthy database, looked at now; what is wrong, in words.

Promise 8 is proven here: every unfinished execution has a reason to wake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from shlex import quote
from typing import Any
from uuid import UUID

from django_workflows import codec
from django_workflows.inspection import coverage, invariants, left_behind, trigger_health
from django_workflows.inspection.invariants import Snapshot
from django_workflows.inspection.phrases import span, stamp
from django_workflows.models import Execution

LIMIT = 20
HISTORY = timedelta(days=1)
MOST = 10_000  # what is counted beyond the limit

_REPORT = "This must never happen. Please report it, with the output of this command and of `manage.py workflows show`."


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong, and what to do. `execution_id` names it, or an example of `count`."""

    check: str
    problem: str
    remedy: str
    execution_id: UUID | None = None
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All findings; of a check with too many, the first ones, and in `more` how many others (at most `MOST`)."""

    findings: list[Finding] = field(default_factory=list)
    more: dict[str, int] = field(default_factory=dict)

    @property
    def is_healthy(self) -> bool:
        return not self.findings


def examine(*, limit: int = LIMIT, history: timedelta | None = HISTORY) -> Diagnosis:
    """Look at every unfinished execution, and at the histories of those created within `history` (None: of all)."""
    snapshot = Snapshot.today(history)
    diagnosis = Diagnosis()
    for check in CHECKS:
        _examine(snapshot, check, diagnosis, limit)
    for name, find in (*_OTHERS, *_HISTORY):
        found = list(find(snapshot))
        diagnosis.findings.extend(found[:limit])
        if len(found) > limit:
            diagnosis.more[name] = len(found) - limit
    return diagnosis


@dataclass(frozen=True, slots=True)
class Check:
    """An invariant of single executions: those that break it, what is wrong with one, what to do about it."""

    name: str
    rows: Callable[[Snapshot], invariants.Executions]
    problem: Callable[[Execution, Snapshot], str]
    remedy: Callable[[Execution], str]


def _examine(snapshot: Snapshot, check: Check, diagnosis: Diagnosis, limit: int) -> None:
    rows = check.rows(snapshot).order_by("created_at", "id").defer("input", "output", "error", "state")
    found = list(rows[: limit + 1])
    for execution in found[:limit]:
        finding = Finding(
            check=check.name,
            problem=f"{execution} ({execution.status}, queue {execution.queue}): {check.problem(execution, snapshot)}",
            remedy=check.remedy(execution),
            execution_id=execution.id,
        )
        diagnosis.findings.append(finding)
    if len(found) > limit:
        diagnosis.more[check.name] = rows[:MOST].count() - limit


# in words


def _wake(execution: Execution) -> str:
    return (
        "Wake it: UPDATE django_workflows_execution SET wake_at = CURRENT_TIMESTAMP "
        f"WHERE id = '{execution.id.hex}' AND status IN ('pending', 'waiting')."
    )


def _start_worker(execution: Execution) -> str:
    command = f"manage.py runworkflows --queue {quote(execution.queue)}"
    return f"Start a worker ({command}), or look into the log of those that run."


def _report(execution: Execution) -> str:
    return _REPORT


def _rest(execution: Execution) -> str:
    return (
        "Clear it: UPDATE django_workflows_execution SET wake_at = NULL, claimed_by = NULL "
        f"WHERE id = '{execution.id.hex}' AND status = '{execution.status}'."
    )


def _lease(execution: Execution, snapshot: Snapshot) -> str:
    if execution.wake_at is None:
        return "it has no lease, so nobody would take it over if its worker died."
    return f"its worker's lease ended {span(snapshot.now - execution.wake_at)} ago, and nobody has taken it over."


def _late(execution: Execution, snapshot: Snapshot) -> str:
    assert execution.wake_at is not None
    return (
        f"due since {stamp(execution.wake_at)}, {span(snapshot.now - execution.wake_at)} ago, and nobody has taken it."
    )


def _unheard(execution: Execution, snapshot: Snapshot) -> str:
    late = span(snapshot.now - execution.updated_at)
    return f"{execution.requested!r} was requested {late} ago, and no worker has carried it out."


def _unrest(execution: Execution, snapshot: Snapshot) -> str:
    if execution.is_finished and execution.completed_at is None:
        return "it has finished, without the time at which it did."
    if not execution.is_finished and execution.completed_at is not None:
        return "it has a time at which it finished, but has not."
    return f"it is {execution.status}, and still has a {'timer' if execution.wake_at else 'worker'}."


def _say(text: str) -> Callable[[Execution, Snapshot], str]:
    return lambda execution, snapshot: text


CHECKS = (
    Check("lost-lease", invariants.lost_leases, _lease, _start_worker),
    Check("never-due", invariants.never_due, _say("nothing will ever wake it: it has no time to wake at."), _wake),
    Check(
        "waiting-for-nothing",
        invariants.waiting_for_nothing,
        _say("it waits, but for nothing: no step is open."),
        _wake,
    ),
    Check(
        "unread-signal", invariants.unread_signals, _say("the signal that it waits for is stored, but unread."), _wake
    ),
    Check(
        "unread-event", invariants.unread_events, _say("the event that it waits for is delivered, but unread."), _wake
    ),
    Check(
        "untold-parent", invariants.untold_parents, _say("all children that it waits for have finished already."), _wake
    ),
    Check("overdue", lambda snapshot: _served(snapshot, invariants.overdue(snapshot)), _late, _start_worker),
    Check("unheard-request", invariants.unheard_requests, _unheard, _start_worker),
    Check(
        "not-stored",
        invariants.unstored,
        _say("the database refuses again and again to store what it has done; it goes on trying."),
        lambda execution: f"Its history says why: manage.py workflows show {execution.id.hex[:8]}.",
    ),
    Check("not-at-rest", invariants.not_at_rest, _unrest, _rest),
    Check(
        "open-after-the-end", invariants.open_after_the_end, _say("it has ended, but a step of it is open."), _report
    ),
    Check("orphan", invariants.orphans, _say("no step of its parent stands for it."), _report),
)


def _served(snapshot: Snapshot, rows: invariants.Executions) -> invariants.Executions:
    """Where no worker is at all, that is told once, and not for each execution."""
    covered = coverage.covered(snapshot)
    return rows if covered.serves_queue(coverage.EVERY_QUEUE) else rows.filter(queue__in=covered.queues)


def _unserved(snapshot: Snapshot) -> Iterator[Finding]:
    """Queues, workflows and versions that no worker serves."""
    covered = coverage.covered(snapshot)
    for demand in coverage.demands(snapshot):
        if covered.serves(demand):
            continue
        number = f"{demand.count} execution{'s' if demand.count > 1 else ''} of {demand.workflow}"
        if not covered.serves_queue(demand.queue):
            problem = f"no live worker serves the queue {demand.queue!r}, where {number} can go on."
            remedy = f"Start one: manage.py runworkflows --queue {quote(demand.queue)}."
        else:
            problem = f"no live worker of the queue {demand.queue!r} knows {number} in version {demand.version}."
            remedy = (
                "Deploy code that has it, let newer code take over (accepts={…}), or cancel what nobody wants any more."
            )
        yield Finding(
            check="unserved",
            problem=problem,
            remedy=remedy,
            execution_id=coverage.example(snapshot, demand),
            count=demand.count,
        )


def _undispatched(snapshot: Snapshot) -> Iterator[Finding]:
    rows = invariants.undispatched_events(snapshot).order_by("deliver_at")
    if (oldest := rows.first()) is not None and oldest.deliver_at is not None:
        late = span(snapshot.now - oldest.deliver_at)
        yield Finding(
            check="undispatched-events",
            problem=f"no worker has handed on the event {oldest.name!r} ({oldest.id}), which was due {late} ago"
            f"{': ' + codec.redact_text(oldest.reason)[:300] if oldest.reason else ''}.",
            remedy="Start a worker (manage.py runworkflows), or look into the log of those that run.",
            count=rows[:MOST].count(),
        )


def _set_aside(snapshot: Snapshot) -> Iterator[Finding]:
    rows = invariants.set_aside(snapshot).order_by("set_aside_at")
    if (first := rows.first()) is not None:
        yield Finding(
            check="set-aside-events",
            problem=f"the event {first.name!r} ({first.id}) is set aside: {codec.redact_text(first.reason)[:300]}",
            remedy=f"Mend what it starts, then: manage.py workflows redrive {first.id}.",
            count=rows[:MOST].count(),
        )


def _left_behind(snapshot: Snapshot) -> Iterator[Finding]:
    """Slots and threads that are taken by what nobody waits for any more."""
    for worker, left in left_behind.left_for(invariants.LATE, snapshot.now):
        yield Finding(
            check="left-behind",
            problem=f"the worker {worker.name} (process {worker.pid}) still runs {left.in_words(snapshot.now)}, though "
            "it was cancelled, taken over or timed out: nothing comes of it, and its thread or slot is taken.",
            remedy=f"Restart that worker (SIGTERM to its service) to be rid of it; so that it does not come again, let "
            f"{left.what} end by itself: a time-out for what it waits for, a call of ctx in its loop.",
            execution_id=left.execution_id,
        )


def _late_schedules(snapshot: Snapshot) -> Iterator[Finding]:
    rows = invariants.late_schedules(snapshot).order_by("next_at")
    if (oldest := rows.first()) is not None and oldest.next_at is not None:
        late = span(snapshot.now - oldest.next_at)
        yield Finding(
            check="late-schedules",
            problem=f"no worker has looked at the schedule {oldest.pattern!r} of {oldest.workflow}, due {late} ago.",
            remedy="Start a worker (manage.py runworkflows), or look into the log of those that run.",
            count=rows[:MOST].count(),
        )


def _idle(
    check: str, find: Callable[[Snapshot], Iterator[trigger_health.Idle]]
) -> Callable[[Snapshot], Iterator[Finding]]:
    return lambda snapshot: (
        Finding(check=check, problem=idle.problem, remedy=idle.remedy, count=idle.count) for idle in find(snapshot)
    )


def _double(snapshot: Snapshot) -> Iterator[Finding]:
    for row in invariants.double_outcomes(snapshot)[:MOST]:
        problem = f"step {row['key']} of execution {row['execution_id']} has {row['number']} outcomes."
        yield _broken("double-outcome", row["execution_id"], problem)


def _falling(snapshot: Snapshot) -> Iterator[Finding]:
    for step in invariants.falling_claims(snapshot)[:MOST]:
        problem = f"step {step.key} of execution {step.execution_id} was recorded by a worker that had lost it."
        yield _broken("falling-claim", step.execution_id, problem)


def _broken(check: str, execution_id: Any, problem: str) -> Finding:
    return Finding(check=check, problem=problem, remedy=_REPORT, execution_id=execution_id)


_OTHERS = (
    ("unserved", _unserved),
    ("undispatched-events", _undispatched),
    ("set-aside-events", _set_aside),
    ("left-behind", _left_behind),
    ("late-schedules", _late_schedules),
    ("unknown-workflow", _idle("unknown-workflow", trigger_health.unknown)),
    ("unreadable-schedule", _idle("unreadable-schedule", trigger_health.unreadable)),
    ("failing-trigger", _idle("failing-trigger", trigger_health.failing)),
)
_HISTORY = (("double-outcome", _double), ("falling-claim", _falling))
