"""Looking at executions: lists, one, its history, journal and timeline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast
from django.utils.translation import gettext as _
from rest_framework import serializers

from django_workflows import clock, codec, conf, inspection
from django_workflows.api import fields, paging
from django_workflows.api.access import VIEW, Access
from django_workflows.api.problems import invalid
from django_workflows.api.requests import checked
from django_workflows.api.serializers import executions as shapes
from django_workflows.api.serializers import history as histories
from django_workflows.inspection.instants import Instant
from django_workflows.inspection.sizes import fitting
from django_workflows.inspection.spans import spans
from django_workflows.models import Execution, Status, StepResult

# A search in errors reads so many executions for one page, and says where it stopped.
SEARCHED = 1_000


class ExecutionQuery(paging.Paging):
    """Which executions. Every filter has an index; a search in errors reads a bounded number for each page."""

    workflow = fields.Name(required=False)
    status = fields.Choice(choices=Status.values, required=False)
    key = fields.Key(required=False)
    tag = serializers.ListField(
        child=fields.Text(max_length=500),
        required=False,
        max_length=10,
        help_text="name:value; several must all be there.",
    )
    parent = serializers.UUIDField(required=False)  # type: ignore[assignment]  # the metaclass takes fields out of the class
    created_after = fields.Moment(required=False)
    created_before = fields.Moment(required=False)
    error = fields.Text(
        required=False,
        min_length=3,
        max_length=200,
        help_text="A text in the error of failed executions; needs the permission view_payload. A page may be empty "
        "though more follow: go on while there is a `next`.",
    )


class HistoryQuery(paging.Paging):
    """A page of a history, oldest first; the `cursor` is the position of an item."""


def list_executions(access: Access, query: Mapping[str, Any]) -> paging.Page:
    """A page of the executions that match, newest first."""
    query = checked(ExecutionQuery, query)
    access.require(VIEW)
    rows = access.visible(_matching(query))
    limit, reveal = paging.limit_of(query), access.reveals()
    if "error" in query:
        access.require("view_payload")
        return _search(rows, query, limit)
    rows = paging.newest_first(rows.defer("input", "output", "state"), query.get("cursor"))
    page, cursor = paging.read(rows, limit, _place, ("error", "reason", "tags"))
    return paging.Page(results=shapes.summaries(page, reveal=reveal), cursor=cursor)


def _place(execution: Execution) -> tuple[Any, Any]:
    return execution.created_at, execution.id


def _matching(query: Mapping[str, Any]) -> QuerySet[Execution]:
    rows: QuerySet[Execution] = Execution.objects.all()
    for name in ("workflow", "status", "key", "parent"):
        if name in query:
            rows = rows.filter(**{name: query[name]})
    if "created_after" in query:
        rows = rows.filter(created_at__gte=_instant(query["created_after"]).first)
    if "created_before" in query:
        rows = rows.filter(_instant(query["created_before"]).before("created_at"))
    for tag in query.get("tag", ()):
        rows = _with_tag(rows, tag)
    return rows


def _instant(moment: datetime) -> Instant:
    return Instant.of(conf.database(), moment)


def _with_tag(rows: QuerySet[Execution], tag: str) -> QuerySet[Execution]:
    """Those with the tag; a query has only texts, so `n:5` finds the number too."""
    name, colon, text = tag.partition(":")
    if not colon or not name:
        raise invalid("tag", _("Write name:value, for example tenant:acme."))
    found = Execution.objects.using(rows.db).with_tag(name, text).values("pk")
    others = [value for value in (_number(text), {"true": True, "false": False}.get(text)) if value is not None]
    condition = Q(pk__in=found)
    for value in others:
        condition |= Q(pk__in=Execution.objects.using(rows.db).with_tag(name, value).values("pk"))
    return rows.filter(condition)


def _number(text: str) -> int | float | None:
    if text.removeprefix("-").isdecimal() and len(text) < 16:
        return int(text)
    try:
        number = float(text) if "." in text else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _search(rows: QuerySet[Execution], query: Mapping[str, Any], limit: int) -> paging.Page:
    """A page of failed executions with a text in their error, out of the next `SEARCHED`."""
    rows = paging.newest_first(rows.filter(status=Status.FAILED), query.get("cursor"))
    looked_at = list(rows.values_list("created_at", "id")[:SEARCHED])
    end = looked_at[-1] if len(looked_at) == SEARCHED else None
    text = Cast("error", CharField())  # the column encodes what it is compared with as JSON
    within = rows.filter(pk__in=[id for _, id in looked_at]).alias(_error=text)
    candidates = within.filter(_error__icontains=query["error"]).defer("input", "output", "state")
    found, is_cut = fitting(candidates, ("error",), limit=SEARCHED, most=conf.api_max_page_bytes())
    hits = [row for row in found if _shows(row.error, query["error"])]
    if len(hits) >= limit:
        end = _place(hits[limit - 1])
    elif is_cut:
        end = _place(found[-1])
    results = shapes.summaries(hits[:limit], reveal=True)
    return paging.Page(results=results, cursor=None if end is None else paging.to_cursor(*end))


def _shows(error: Any, text: str) -> bool:
    """Whether the text is there for all to see: a search must not find out what is hidden."""
    return text.casefold() in codec.encode(codec.redact(error)).casefold()


def get_execution(access: Access, id: object) -> dict[str, Any]:
    """One execution with all there is to know."""
    execution = access.execution(id)
    reveal = access.reveals(execution)
    return shapes.detail(execution, inspection.why_waiting(execution, reveal=reveal), reveal=reveal)


def get_history(access: Access, id: object, query: Mapping[str, Any]) -> paging.Page:
    """A page of what happened, oldest first."""
    query = checked(HistoryQuery, query)
    execution = access.execution(id, without=("input", "output", "state", "error"))
    limit, reveal = paging.limit_of(query), access.reveals(execution)
    items, has_next = inspection.timeline_page(
        execution, limit=limit, after=query.get("cursor", ""), most_bytes=conf.api_max_page_bytes()
    )
    cursor = items[-1].position if items and has_next else None
    return paging.Page(results=[histories.history_document(item, reveal=reveal) for item in items], cursor=cursor)


def get_steps(access: Access, id: object, query: Mapping[str, Any]) -> paging.Page:
    """A page of the journal, in the order in which outcomes were recorded."""
    query = checked(paging.Paging, query)
    execution = access.execution(id, without=("input", "output", "state", "error"))
    limit, reveal = paging.limit_of(query), access.reveals(execution)
    rows = StepResult.objects.using(execution._state.db).filter(execution_id=execution.id)
    if cursor := query.get("cursor"):
        generation, seq, step = paging.from_cursor(cursor, paging.number, paging.number, paging.identity)
        same = Q(generation=generation)
        rows = rows.filter(Q(generation__gt=generation) | same & (Q(seq__gt=seq) | Q(seq=seq, id__gt=step)))
    payloads = ("input", "output")
    rows = rows.order_by("generation", "seq", "id").defer(*(() if reveal else payloads))
    large = ("error", *(payloads if reveal else ()))
    page, cursor = paging.read(rows, limit, lambda step: (step.generation, step.seq, step.id), large)
    return paging.Page(results=histories.step_documents(list(page), reveal=reveal), cursor=cursor)


def get_timeline(access: Access, id: object) -> dict[str, Any]:
    """Spans for drawing."""
    execution = access.execution(id, without=("input", "output", "state", "error"))
    found, complete = spans(execution)
    return {"now": clock.database_now(), "spans": [asdict(span) for span in found], "complete": complete}
