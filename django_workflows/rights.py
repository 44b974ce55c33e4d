"""What exists for a user and what he may do: the one rule, asked by every door that knows who asks, and by workers.

A permission counts when the user has it for everything or, through a backend that knows rows, for this row. Rows
outside `WORKFLOWS["API_SCOPE"]` do not exist for the user: he cannot find, name, make, replace or reach them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.utils.module_loading import import_string

from django_workflows import conf
from django_workflows.models import Execution

M = TypeVar("M", bound=Model)
Scope = Callable[[Any, "QuerySet[Any]"], "QuerySet[Any]"]

VIEW, CONTROL, START = "view_execution", "control_execution", "start_execution"
PAYLOAD, SEND_EVENT = "view_payload", "send_event"


def full_name(codename: str) -> str:
    """A permission as Django asks for it."""
    return f"{Execution._meta.app_label}.{codename}"


def may(user: Any, codename: str, row: Model | None = None) -> bool:
    """Whether the user has the permission, for all rows or for this one."""
    name = full_name(codename)
    return bool(user.has_perm(name) or (row is not None and user.has_perm(name, row)))


def scope() -> Scope | None:
    """The project's function that narrows what users find."""
    path = conf.api_scope()
    found: Scope | None = import_string(path) if path else None
    return found


def visible(user: Any, rows: QuerySet[M]) -> QuerySet[M]:
    """The rows that exist for the user, on the engine's database. For nobody (a user who is gone) none does."""
    rows = rows.using(conf.database())
    narrow = scope()
    if narrow is None:
        return rows
    return rows.none() if user is None else narrow(user, rows)


def exists_for(user: Any, row: Model) -> bool:
    """Whether a row that was found in another way exists for the user."""
    return scope() is None or visible(user, type(row)._default_manager.filter(pk=row.pk)).exists()


def id_of(user: Any) -> str:
    """The user as rows note who made them."""
    return str(user.pk)


def user_of(id: str) -> Any:
    """The user with this id; None when he is gone."""
    model = get_user_model()
    try:
        return model._default_manager.filter(pk=id).first()
    except (ValueError, ValidationError):  # of another kind than the project's ids are now
        return None
