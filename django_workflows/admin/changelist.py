"""The list of executions, at a bounded cost however many there are."""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Max, Min, Q, QuerySet
from django.http import HttpRequest
from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_workflows import codec
from django_workflows.admin.base import DeclaredList, may_see_payloads
from django_workflows.admin.rendering import error_line, took
from django_workflows.inspection import id_range, queues
from django_workflows.inspection.situation import open_steps, situation_of
from django_workflows.inspection.why import explain
from django_workflows.models import Execution, Status, Workflow

MOST_CHOICES = 200


class ExecutionList(DeclaredList):
    """Knows for each row on the page why it waits, what went wrong and how long it has taken."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Execution]:
        return super().get_queryset(request, exclude_parameters).defer("input", "output", "state")

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        reveal = may_see_payloads(request)
        situation = situation_of(rows, open_steps(rows), reveal=reveal)
        for row in rows:
            row.situation_text = explain(row, situation) or _ending(row, reveal=reveal)
            row.duration_text = took(row.started_at, row.completed_at or situation.now)
        self.result_list = rows

    @property
    def dates(self) -> dict[str, Any]:
        """The date hierarchy, made from the first and the last day: Django would read every row for it."""
        return DateChoices(self).context()


def _ending(row: Execution, *, reveal: bool) -> str:
    """What went wrong, or why it was cancelled."""
    reason = codec.redact_text(row.reason) if reveal and row.status == Status.CANCELLED else ""
    return error_line(row.error, reveal=reveal) or reason


class DateChoices:
    """Years, months or days between the oldest and the newest execution, as links."""

    def __init__(self, changes: ChangeList) -> None:
        self.changes = changes
        chosen = [changes.params.get(f"created_at__{unit}") for unit in ("year", "month", "day")]
        self.chosen = [int(str(value)) for value in chosen if str(value or "").isdigit()]

    def context(self) -> dict[str, Any]:
        span = self.changes.root_queryset.order_by().aggregate(first=Min("created_at"), last=Max("created_at"))
        if span["first"] is None:
            return {"show": False}
        first, last = (_day(span[name]) for name in ("first", "last"))
        choices = list(self._choices(first, last))
        return {"show": True, "back": self._back(), "choices": choices}

    def _choices(self, first: date, last: date) -> Iterator[dict[str, str]]:
        match self.chosen:
            case []:
                for year in range(first.year, last.year + 1):
                    yield self._choice(str(year), year)
            case [year]:
                for month in range(1, 13):
                    if (first.year, first.month) <= (year, month) <= (last.year, last.month):
                        yield self._choice(formats.date_format(date(year, month, 1), "YEAR_MONTH_FORMAT"), year, month)
            case [year, month] if 1 <= year <= 9999 and 1 <= month <= 12:
                for number in range(1, calendar.monthrange(year, month)[1] + 1):
                    if first <= (day := date(year, month, number)) <= last:
                        yield self._choice(formats.date_format(day, "MONTH_DAY_FORMAT"), year, month, number)
            case [year, month, number]:
                yield {"title": f"{year:04}-{month:02}-{number:02}"}

    def _choice(self, title: str, *chosen: int) -> dict[str, str]:
        return {"title": title, "link": self._link(*chosen)}

    def _back(self) -> dict[str, str] | None:
        if not self.chosen:
            return None
        return {"title": _("Back"), "link": self._link(*self.chosen[:-1])}

    def _link(self, *chosen: int) -> str:
        units = dict(zip(("created_at__year", "created_at__month", "created_at__day"), chosen, strict=False))
        return self.changes.get_query_string(units, ["created_at__"])


def _day(moment: datetime) -> date:
    return timezone.localtime(moment).date()


class WorkflowFilter(admin.SimpleListFilter):
    """By workflow: the names come from the table of workflows, not from the executions."""

    title = gettext_lazy("workflow")
    parameter_name = "workflow"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = Workflow.objects.using(model_admin.get_queryset(request).db).values_list("name", flat=True)
        return [(name, name) for name in names.order_by("name")[:MOST_CHOICES]]

    def has_output(self) -> bool:
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Execution]) -> QuerySet[Execution]:
        return queryset.filter(workflow=self.value()) if self.value() else queryset


class QueueFilter(admin.SimpleListFilter):
    """By queue, as far as anything waits for its time there."""

    title = gettext_lazy("queue")
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in queues()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Execution]) -> QuerySet[Execution]:
        return queryset.filter(queue=self.value()) if self.value() else queryset


def search(queryset: QuerySet[Execution], term: str) -> QuerySet[Execution]:
    """By id or the beginning of one; else by key or the beginning of one."""
    term = term.strip()
    if not term:
        return queryset
    if (bounds := id_range(term)) is not None:
        by_id = queryset.filter(id__range=bounds)
        if by_id.exists():
            return by_id
    return queryset.filter(Q(key=term) | Q(key__startswith=term))
