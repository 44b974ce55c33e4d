"""Rows as the caller gets them: instances of the models, made without reading them back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet

from django_workflows import codec, conf
from django_workflows.authoring.plans import Plan, Request
from django_workflows.exceptions import ExecutionNotFound
from django_workflows.models import Execution

M = TypeVar("M", bound=Model)
Times = Sequence[datetime | None]


class Handles:
    """Makes the executions that one INSERT has stored; `times` are their created_at, wake_at, deadline, expires_at."""

    def __init__(self, alias: str, plan: Plan, times: Times) -> None:
        created_at, wake_at, deadline, expires_at = times
        self._alias, self._tags = alias, plan.tags
        self._row = _row(
            Execution,
            workflow=plan.workflow,
            version=plan.version,
            queue=plan.queue,
            priority=plan.priority,
            parent_close=plan.parent_close,
            parent_id=plan.parent,
            trigger_id=plan.trigger,
            created_at=created_at,
            updated_at=created_at,
            wake_at=wake_at,
            deadline=deadline,
            expires_at=expires_at,
        )

    def of(self, request: Request) -> Execution:
        row = self._row | {
            "id": request.id,
            "input": codec.decode(request.input),
            "key": request.key,
            "idempotency_key": request.idempotency_key,
            "tags": dict(self._tags),
        }
        return Execution.from_db(self._alias, row.keys(), row.values())


def instance(model: type[M], alias: str, **values: Any) -> M:
    """A row that was just inserted by SQL, as if it had been read from the database; the rest are defaults."""
    row = _row(model, **values)
    return model.from_db(alias, row.keys(), row.values())


def _row(model: type[Model], **values: Any) -> dict[str, Any]:
    """Every column in its order."""
    return {name: values[name] if name in values else default() for name, default in _defaults_of(model).items()}


@functools.cache
def _defaults_of(model: type[Model]) -> dict[str, Callable[[], Any]]:
    return {field.attname: field.get_default for field in model._meta.concrete_fields}


def first_of(rows: QuerySet[M]) -> M | None:
    """Any one of them. `.first()` would sort, and might tempt a planner to walk the primary key."""
    return next(iter(rows[:1]), None)


def id_of(execution: Any) -> UUID:
    """The id of an execution or handle, given as such, as a UUID or as text. Raises `ExecutionNotFound` for others."""
    id = getattr(execution, "id", execution)
    if isinstance(id, UUID):
        return id
    try:
        return UUID(id)
    except (ValueError, TypeError, AttributeError):
        raise ExecutionNotFound(f"There is no execution {id!r:.200}.") from None


def not_found(id: UUID) -> ExecutionNotFound:
    """The error to be raised for an id that no row has."""
    return ExecutionNotFound(f"There is no execution {id}. It may have been deleted, or was never committed.")


def get(execution: Any) -> Execution:
    """The execution with this id, as it is stored now. Raises `ExecutionNotFound`."""
    id = id_of(execution)
    if (found := first_of(Execution.objects.using(conf.database()).filter(pk=id))) is None:
        raise not_found(id)
    return found
