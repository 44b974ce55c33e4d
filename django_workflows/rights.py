"""What exists for a user and what he may do: the one rule, asked by every door that knows who asks, and by workers.

A permission counts when the user has it for everything or, through a backend that knows rows, for this row. Rows
outside `WORKFLOWS["API_SCOPE"]` do not exist for the user: he cannot find, name, make, replace or reach them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import DatabaseError
from django.db.models import Model, QuerySet
from django.utils.module_loading import import_string

from django_workflows import conf
from django_workflows.models import Execution

logger = logging.getLogger("django_workflows")

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


def found_by(user_id: str, model: type[Model], ids: Collection[UUID]) -> set[UUID]:
    """Those of the rows that exist for the user with this id, as a worker asks.

    None where the user is gone, or the project's function fails: what it would have said is not known.
    """
    if (user := user_of(user_id)) is None:
        logger.warning("The user %r is gone, so nothing exists for what came through that user.", user_id[:100])
        return set()
    try:
        return set(visible(user, model._default_manager.filter(pk__in=ids)).values_list("pk", flat=True))
    except DatabaseError:
        raise
    except Exception:
        logger.exception("WORKFLOWS['API_SCOPE'] failed for the user %r; until it works nothing is found.", user_id)
        return set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Who makes what will act later: a trigger, a definition. It may do what its maker may.

    An operator in the admin sees everything; one who is scoped does not, then and later, when what was made acts.
    """

    user: Any
    is_scoped: bool

    @property
    def id(self) -> str:
        """As the rows note it; empty for an operator, whose rows know no bounds."""
        return id_of(self.user) if self.is_scoped else ""

    def may(self, codename: str, row: Model | None = None) -> bool:
        return may(self.user, codename, row)

    def visible(self, rows: QuerySet[M]) -> QuerySet[M]:
        return visible(self.user, rows) if self.is_scoped else rows.using(conf.database())


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
