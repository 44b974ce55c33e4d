"""Finding one execution by what people have at hand: its id, the beginning of one, or its key."""

from __future__ import annotations

import re
from uuid import UUID

from django_workflows import conf
from django_workflows.exceptions import ExecutionNotFound, WorkflowsError
from django_workflows.models import Execution

_PREFIX = re.compile(r"[0-9a-f]{4}[0-9a-f-]{0,32}")
_SHOWN = 5


class AmbiguousId(WorkflowsError, LookupError):
    """Several executions have an id that begins so; more digits tell them apart."""


def id_range(text: str) -> tuple[UUID, UUID] | None:
    """The first and the last id that begin with `text`; None unless it has the first four digits of one, or more."""
    if not _PREFIX.fullmatch(text.lower()):
        return None
    digits = text.lower().replace("-", "")
    return (UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))) if len(digits) <= 32 else None


def find(text: str) -> Execution:
    """The execution with this id, or the only one whose id begins so, or the latest with the key in `workflow:key`.

    Raises `ExecutionNotFound` and `AmbiguousId`.
    """
    text = text.strip()
    if (bounds := id_range(text)) is not None and (found := _by_id(text, bounds)) is not None:
        return found
    workflow, colon, key = text.partition(":")
    if colon and (found := _by_key(workflow, key)) is not None:
        return found
    raise ExecutionNotFound(
        f"There is no execution {text[:300]!r}. Give an id, at least its first four digits, or workflow:key."
    )


def _by_id(text: str, bounds: tuple[UUID, UUID]) -> Execution | None:
    rows = Execution.objects.using(conf.database()).filter(id__range=bounds).order_by("id")
    found = list(rows[: _SHOWN + 1])
    if len(found) > 1:
        names = ", ".join(str(row) for row in found[:_SHOWN])
        raise AmbiguousId(f"{text!r} is the beginning of several ids: {names}{', …' if len(found) > _SHOWN else ''}.")
    return found[0] if found else None


def _by_key(workflow: str, key: str) -> Execution | None:
    """Whoever holds the key, else who had it last."""
    rows = Execution.objects.using(conf.database()).filter(workflow=workflow, key=key)
    holder = rows.filter(key_released=False, completed_at__isnull=True).first()
    return holder or rows.order_by("-created_at").first()
