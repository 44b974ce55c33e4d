"""Read-only pages of what the engine wrote: steps, events, signals, workers, versions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import formats, timezone
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from django_workflows import operations
from django_workflows.admin.base import EngineAdmin, PayloadAdmin
from django_workflows.admin.rendering import badge, link_to
from django_workflows.clock import DatabaseNow
from django_workflows.inspection.attempts import Attempt, attempts_of
from django_workflows.inspection.left_behind import left_by
from django_workflows.inspection.situation import gone_after
from django_workflows.inspection.titles import error_type
from django_workflows.models import Event, Execution, Signal, StepResult, Worker, WorkflowVersion
from django_workflows.rights import SEND_EVENT, may

MOST_REDRIVEN = 1_000  # in one action


@admin.display(description=_("execution"))
def execution_link(row: Any) -> str:
    return link_to(Execution, row.execution_id, row.execution_id) if row.execution_id else "–"


@admin.display(description=_("each attempt"))
def attempts_list(step: StepResult) -> str:
    """When each attempt began and ended, on which worker, and the type of its error."""
    lines = [[_attempt_in_words(attempt)] for attempt in attempts_of([step]).get(step.id, [])]
    return format_html_join(mark_safe("<br>"), "{}", lines) or "–"  # nosec B308  # a constant


def _attempt_in_words(attempt: Attempt) -> str:
    began, ended = (
        "?" if moment is None else formats.date_format(timezone.localtime(moment), "Y-m-d H:i:s.u")
        for moment in (attempt.started_at, attempt.ended_at)
    )
    outcome = _("lost with its worker") if attempt.lost else error_type(attempt.error) if attempt.error else ""
    return " ".join(filter(None, (f"{attempt.number}: {began} – {ended}", attempt.worker, str(outcome))))


@admin.register(StepResult)
class StepResultAdmin(PayloadAdmin):
    """One step with its whole payloads; the journal links here, the index does not."""

    plain = (
        execution_link,
        "key",
        "name",
        "kind",
        "status",
        "former_status",
        "attempts",
        attempts_list,
        "lost",
        "worker",
        "deadline",
        "generation",
        "superseded",
        "claim",
        "created_at",
        "started_at",
        "completed_at",
    )
    payloads = ("input", "output", "error")
    list_display = ("name", "kind", "status", "key", execution_link)
    ordering = ()

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:
        return {}


@admin.register(Event)
class EventAdmin(PayloadAdmin):
    list_display = ("name", "type", execution_link, "source", "created_at", "dispatched_at", "set_aside_at")
    list_filter = ("type", ("set_aside_at", admin.EmptyFieldListFilter))
    actions = ("redrive",)
    list_select_related = False
    search_fields = ("name__startswith", "=event_id")
    ordering = ("-created_at",)
    sortable_by = ()
    plain = (
        "type",
        "name",
        execution_link,
        "source",
        "event_id",
        "deliver_at",
        "created_at",
        "dispatched_at",
        "set_aside_at",
    )
    payloads = ("data", "headers", "reason")

    def has_redrive_permission(self, request: HttpRequest) -> bool:
        return may(request.user, SEND_EVENT)

    @admin.action(description=_("Dispatch selected events again, that were set aside"), permissions=["redrive"])
    def redrive(self, request: HttpRequest, events: QuerySet[Event]) -> None:
        changed = 0
        for event in events.filter(set_aside_at__isnull=False)[:MOST_REDRIVEN]:
            if operations.redrive(event, by=request.user):
                self.log_change(request, event, gettext("Dispatched again"))
                changed += 1
        text = ngettext("%(count)s event is dispatched again.", "%(count)s events are dispatched again.", changed)
        self.message_user(request, text % {"count": changed})


@admin.register(Signal)
class SignalAdmin(PayloadAdmin):
    list_display = ("name", "number", execution_link, "created_at", "consumed_at")
    list_select_related = False
    search_fields = ("name__startswith", "=message_id")
    ordering = ("-created_at",)
    sortable_by = ()
    plain = (execution_link, "number", "name", "message_id", "event_id", "step_key", "created_at", "consumed_at")
    payloads = ("data",)


@admin.register(WorkflowVersion)
class WorkflowVersionAdmin(EngineAdmin):
    list_display = ("workflow", "version", "fingerprint", "created_at")
    search_fields = ("workflow__startswith",)
    ordering = ("workflow", "-version")


@admin.register(Worker)
class WorkerAdmin(EngineAdmin):
    list_display = (
        "name",
        "state",
        "hostname",
        "pid",
        "queue_names",
        "used",
        "left",
        "code_version",
        "started_at",
        "seen_at",
    )
    ordering = ("-seen_at",)
    sortable_by = ("seen_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset: QuerySet[Any] = super().get_queryset(request).annotate(now=DatabaseNow())
        return queryset

    @admin.display(description=_("state"))
    def state(self, worker: Any) -> str:
        if worker.stopped_at is not None:
            return badge("cancelled", str(_("stopped")))
        if worker.now - worker.seen_at > gone_after():
            return badge("failed", str(_("not seen lately")))
        return badge("running", str(_("alive")))

    @admin.display(description=_("queues"))
    def queue_names(self, worker: Worker) -> str:
        return ", ".join(map(str, worker.queues)) if isinstance(worker.queues, list) else str(worker.queues)

    @admin.display(description=_("slots used"))
    def used(self, worker: Worker) -> str:
        return f"{worker.slots_used}/{worker.slots}"

    @admin.display(description=_("left behind"))
    def left(self, worker: Any) -> str:
        """Links to what runs on there although nothing comes of it."""
        lines = [
            (link_to(Execution, left.execution_id, left.what), formats.localize(timezone.localtime(left.since)))
            for left in left_by(worker)
        ]
        return format_html_join(mark_safe("<br>"), gettext("{}, since {}"), lines) or "–"  # nosec B308  # a constant
