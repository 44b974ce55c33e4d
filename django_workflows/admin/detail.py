"""What the page of one execution shows: facts, payloads, journal, history and unread signals, each with a bound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models.functions import Left
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_workflows import clock, codec, conf
from django_workflows.admin.base import may_control, may_see_payloads
from django_workflows.admin.origins import started_by
from django_workflows.admin.rendering import (
    Shown,
    badge,
    error_line,
    link_to,
    shown,
    shown_text,
    tags_of,
    took,
    traceback_of,
)
from django_workflows.admin.verbs import VERBS, SignalForm, Verb
from django_workflows.inspection import HistoryItem, recent, why_waiting
from django_workflows.inspection.timeline import InvalidPosition
from django_workflows.models import Execution, Signal, StepResult

STEPS = 100
HISTORY = 100
SIGNALS = 50
# Of a step's payload the journal shows so much; the step's own page shows all.
STEP_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A line of the journal."""

    step: StepResult
    link: SafeString | str
    badge: SafeString
    child: SafeString | str
    took: str
    error: str
    traceback: str
    payloads: list[Shown] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """A line of the history."""

    item: HistoryItem
    data: Shown | None


def context(request: HttpRequest, execution: Execution, signal_form: SignalForm | None = None) -> dict[str, Any]:
    """The template's context."""
    reveal, control = may_see_payloads(request), may_control(request, execution)
    allowed = execution.allowed_verbs if control else []
    steps = _steps(request, execution)
    history = _history(request, execution)
    return {
        "execution": execution,
        "badge": badge(execution.status, execution.get_status_display()),
        "why": why_waiting(execution, reveal=reveal),
        "reveal": reveal,
        "facts": list(_facts(request, execution)),
        "reason": codec.redact_text(execution.reason) if reveal else "",
        "error": error_line(execution.error, reveal=reveal),
        "traceback": traceback_of(execution.error) if reveal else "",
        "payloads": list(_payloads(execution)) if reveal else [],
        "verbs": _verbs(allowed),
        "signal_form": signal_form or (SignalForm() if "signal" in allowed else None),
        "steps": steps,
        "step_rows": [_step_row(step, reveal=reveal) for step in steps],
        "history": [_history_row(item, reveal=reveal) for item in history],
        "older": history[0].position if len(history) == HISTORY else "",
        "signals": _signals(execution, reveal=reveal),
    }


def _verbs(allowed: list[str]) -> list[Verb]:
    return [verb for name, verb in VERBS.items() if name in allowed]


def _facts(request: HttpRequest, execution: Execution) -> Iterator[tuple[str, Any]]:
    """What to know about it, without what is empty."""
    now = clock.database_now()
    trigger, event = started_by(request, execution)
    parent = link_to(Execution, execution.parent_id, execution.parent_id) if execution.parent_id else ""
    facts: tuple[tuple[str, Any], ...] = (
        (_("Id"), execution.id),
        (_("Workflow"), f"{execution.workflow} v{execution.version}"),
        (_("Key"), execution.key),
        (_("Idempotency key"), execution.idempotency_key),
        (_("Current step"), execution.current_step if not execution.is_finished else ""),
        (_("Queue and priority"), f"{execution.queue}, {execution.priority}"),
        (_("Tags"), tags_of(execution.tags)),
        (_("Parent"), parent),
        (_("Trigger"), trigger),
        (_("Event"), event),
        (_("Created"), execution.created_at),
        (_("Started"), execution.started_at),
        (_("Ended"), execution.completed_at),
        (_("Duration"), took(execution.started_at, execution.completed_at or now)),
        (_("Wakes at"), execution.wake_at),
        (_("Deadline"), execution.deadline),
        (_("Generation"), execution.generation),
        (_("Claim"), execution.claim),
        (_("Crashes without progress"), execution.crashes),
    )
    return ((label, value) for label, value in facts if value not in (None, "", 0))


def _payloads(execution: Execution) -> Iterator[Shown]:
    for name in ("input", "state", "output"):
        if (value := getattr(execution, name)) is not None:
            yield shown(str(Execution._meta.get_field(name).verbose_name), value)  # type: ignore[union-attr]  # a column


def _steps(request: HttpRequest, execution: Execution) -> Page[Any]:
    """One page of the journal, the last one unless the request asks for another; payloads only as far as shown."""
    rows = (
        StepResult.objects.using(conf.database())
        .filter(execution_id=execution.id)
        .order_by("generation", "seq", "created_at")
        .defer("input", "output")
        .annotate(
            input_text=Left("input", STEP_CHARACTERS + 1),
            output_text=Left("output", STEP_CHARACTERS + 1),
        )
    )
    paginator = Paginator(rows, STEPS)
    return paginator.get_page(request.GET.get("steps", paginator.num_pages))


def _step_row(step: Any, *, reveal: bool) -> StepRow:
    payloads = ((_("Input"), step.input_text), (_("Output"), step.output_text))
    return StepRow(
        step=step,
        link=link_to(StepResult, step.pk, step.name or step.get_kind_display()),
        badge=badge(step.status, step.get_status_display()),
        child=link_to(Execution, step.child_id, _("child")) if step.child_id else "",
        took=took(step.started_at or step.created_at, step.completed_at),
        error=error_line(step.error, reveal=reveal),
        traceback=traceback_of(step.error) if reveal else "",
        payloads=[shown_text(label, text, STEP_CHARACTERS) for label, text in payloads if text] if reveal else [],
    )


def _history(request: HttpRequest, execution: Execution) -> list[HistoryItem]:
    try:
        return recent(execution, limit=HISTORY, before=request.GET.get("before", ""))
    except InvalidPosition:
        return recent(execution, limit=HISTORY)


def _history_row(item: HistoryItem, *, reveal: bool) -> HistoryRow:
    return HistoryRow(item=item, data=shown("", item.data, STEP_CHARACTERS) if reveal and item.data else None)


def _signals(execution: Execution, *, reveal: bool) -> list[tuple[Signal, Shown | None]]:
    """Messages that nobody asked for yet, oldest first."""
    unread = Signal.objects.using(conf.database()).filter(execution_id=execution.id, consumed_at__isnull=True)
    return [
        (signal, shown("", signal.data, STEP_CHARACTERS) if reveal else None)
        for signal in unread.order_by("number")[:SIGNALS]
    ]
