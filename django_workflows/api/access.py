"""Who may do what: the app's own permissions, for all rows or for one, within the project's scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound, PermissionDenied

from django_workflows import conf
from django_workflows.models import Execution

M = TypeVar("M", bound=Model)
Scope = Callable[[Any, "QuerySet[Any]"], "QuerySet[Any]"]

VIEW, CONTROL, START = "view_execution", "control_execution", "start_execution"
PAYLOAD, SEND_EVENT = "view_payload", "send_event"


class Access:
    """What one user may see and do.

    A permission counts when the user has it for everything or, through a backend that knows rows, for this row. Rows
    outside `WORKFLOWS["API_SCOPE"]` do not exist for the user.
    """

    def __init__(self, user: Any) -> None:
        self.user = user

    @property
    def alias(self) -> str:
        """The engine's database."""
        return conf.database()

    def may(self, codename: str, row: Model | None = None) -> bool:
        """Whether the user has the permission, for all rows or for this one."""
        name = f"{Execution._meta.app_label}.{codename}"
        return bool(self.user.has_perm(name) or (row is not None and self.user.has_perm(name, row)))

    def require(self, *codenames: str, row: Model | None = None) -> None:
        """Raises `PermissionDenied` naming the first permission that is missing."""
        for codename in codenames:
            if not self.may(codename, row):
                raise PermissionDenied(
                    _("You need the permission %(name)s.") % {"name": f"{Execution._meta.app_label}.{codename}"}
                )

    def visible(self, rows: QuerySet[M]) -> QuerySet[M]:
        """The rows that exist for the user, on the engine's database."""
        rows = rows.using(conf.database())
        scope = self.scope
        return rows if scope is None else scope(self.user, rows)

    @property
    def scope(self) -> Scope | None:
        """The project's function that narrows what users find."""
        path = conf.api_scope()
        scope: Scope | None = import_string(path) if path else None
        return scope

    def row(self, rows: QuerySet[M], codename: str, missing: str) -> M:
        """The one row of a query that the user may do this to.

        Without the permission for all rows, somebody learns nothing about which exist: then the answer is 403 for
        those that do not exist, as for those that are forbidden.
        """
        found = next(iter(self.visible(rows)[:1]), None)
        if found is not None and self.may(codename, found):
            return found
        self.require(codename)
        raise NotFound(missing)

    def execution(self, id: object, codename: str = VIEW, *, without: tuple[str, ...] = ()) -> Execution:
        """An execution by its id. Raises `NotFound`, for texts that are no id too, and `PermissionDenied`."""
        uuid = uuid_of(id)
        rows = Execution.objects.filter(pk=uuid) if uuid is not None else Execution.objects.none()
        return self.row(rows.defer(*without), codename, _("There is no execution %(id).100r.") % {"id": str(id)})

    def reveals(self, row: Model | None = None) -> bool:
        """Whether the user may see inputs, outputs, errors and other data."""
        return self.may(PAYLOAD, row)


def uuid_of(text: object) -> UUID | None:
    """A UUID as people write it, or None."""
    if isinstance(text, UUID):
        return text
    try:
        return UUID(text) if isinstance(text, str) and len(text) in {32, 36} else None
    except ValueError:
        return None
