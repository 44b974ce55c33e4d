"""Who may do what: the app's own permissions, for all rows or for one, within the project's scope."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound, PermissionDenied

from django_workflows import conf, rights
from django_workflows.engine.database.transactions import transact
from django_workflows.exceptions import KeyConflict
from django_workflows.models import Execution
from django_workflows.rights import CONTROL, PAYLOAD, SEND_EVENT, START, VIEW, Maker

__all__ = ["CONTROL", "PAYLOAD", "SEND_EVENT", "START", "VIEW", "Access", "outside", "uuid_of"]

M = TypeVar("M", bound=Model)


class Access:
    """What one user may see and do, by the rule of `rights`, with the API's answers to what he may not."""

    def __init__(self, user: Any) -> None:
        self.user = user

    @property
    def alias(self) -> str:
        """The engine's database."""
        return conf.database()

    def may(self, codename: str, row: Model | None = None) -> bool:
        """Whether the user has the permission, for all rows or for this one."""
        return rights.may(self.user, codename, row)

    def require(self, *codenames: str, row: Model | None = None) -> None:
        """Raises `PermissionDenied` naming the first permission that is missing."""
        for codename in codenames:
            if not self.may(codename, row):
                raise PermissionDenied(_("You need the permission %(name)s.") % {"name": rights.full_name(codename)})

    def visible(self, rows: QuerySet[M]) -> QuerySet[M]:
        """The rows that exist for the user, on the engine's database."""
        return rights.visible(self.user, rows)

    @property
    def maker(self) -> Maker:
        """Whom triggers and definitions are made by."""
        return Maker(user=self.user, is_scoped=True)

    @property
    def is_scoped(self) -> bool:
        """Whether the project narrows what users find."""
        return rights.scope() is not None

    def check_exists(self, row: Model) -> None:
        """Raises `PermissionDenied` for a row that does not exist for the user."""
        if not rights.exists_for(self.user, row):
            raise outside()

    def check_replaceable(self, holder: Execution) -> None:
        """Whether an execution may give way to another one: it is cancelled, so whoever asks must be allowed to."""
        self.check_exists(holder)
        self.require(CONTROL, row=holder)

    def within(self, act: Callable[[], tuple[M, bool]]) -> tuple[M, bool]:
        """What `act` makes, or finds by a key, and whether it is new: undone and refused if it is outside the scope.

        Both have one answer, so that keys, ids and names tell nothing of what others have.
        """
        if not self.is_scoped:
            return act()
        with self.hiding():
            return transact(self.alias, lambda cursor: self._existing(*act()))

    def _existing(self, row: M, is_new: bool) -> tuple[M, bool]:
        self.check_exists(row)
        return row, is_new

    @contextmanager
    def hiding(self) -> Iterator[None]:
        """An error that names an execution outside the scope becomes the answer for all that is there."""
        try:
            yield
        except KeyConflict as error:
            uuid = uuid_of(error.execution_id)
            if uuid is None or not self.visible(Execution.objects.filter(pk=uuid)).exists():
                raise outside() from None
            raise

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


def outside() -> PermissionDenied:
    """The answer to all that lies outside the scope: what is taken there, and what would be made there."""
    return PermissionDenied(
        _("This lies outside of what you may see, or belongs to somebody there. Choose another key, id or name.")
    )


def uuid_of(text: object) -> UUID | None:
    """A UUID as people write it, or None."""
    if isinstance(text, UUID):
        return text
    try:
        return UUID(text) if isinstance(text, str) and len(text) in {32, 36} else None
    except ValueError:
        return None
