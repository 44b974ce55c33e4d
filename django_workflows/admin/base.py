"""What the admin pages share: the right database, no writing by hand, no counting of millions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property

from django_workflows import conf, operations
from django_workflows.admin.rendering import as_html
from django_workflows.models import Execution
from django_workflows.rights import Maker

STYLE = "django_workflows/admin.css"


class BoundedPaginator(Paginator):  # type: ignore[type-arg]  # only the stubs know it as generic
    """Counts no further than `most`: nobody turns a hundred pages, and an exact count reads the whole table."""

    most = 10_000

    @cached_property
    def count(self) -> int:
        return min(self._found, self.most)

    @property
    def is_cut(self) -> bool:
        """Whether there are more rows than can be reached by turning pages."""
        return self._found > self.most

    @cached_property
    def _found(self) -> int:
        rows = self.object_list[: self.most + 1]
        return rows.count() if isinstance(rows, QuerySet) else len(rows)


class EngineAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # as above
    """Rows of the engine: looked at, never added, changed or deleted by hand."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    list_per_page = 100
    actions_on_bottom = False

    class Media:
        css = {"all": [STYLE]}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        queryset: QuerySet[Any] = self.model._default_manager.using(conf.database())
        ordering = self.get_ordering(request)
        return queryset.order_by(*ordering) if ordering else queryset

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class PayloadAdmin(EngineAdmin):
    """Rows with payloads, which need a permission of their own."""

    payloads: Sequence[str] = ()
    plain: Sequence[Any] = ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        hidden = () if may_see_payloads(request) else self.payloads
        return [*self.plain, *(payload_field(self.model, name) for name in self.payloads if name not in hidden)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self.get_fields(request, obj)


def may_see_payloads(request: HttpRequest) -> bool:
    """Whether the user may see inputs, outputs and errors."""
    return request.user.has_perm("django_workflows.view_payload")


def may_control(request: HttpRequest, execution: Execution | None = None) -> bool:
    """Whether the user may pause, resume, cancel, retry and signal: this execution, or any."""
    return operations.may(request.user, "pause", execution)


def maker_of(request: HttpRequest) -> Maker:
    """Whom triggers and definitions are made by: an operator, who sees everything."""
    return Maker(user=request.user, is_scoped=False)


def payload_field(model: type[Model], name: str, *, as_written: bool = False) -> Callable[[Any], str]:
    """A payload as a read-only field of an admin page; `as_written` where it is configuration, which names secrets."""

    def display(row: Any) -> str:
        return as_html(getattr(row, name), as_written=as_written)

    display.short_description = model._meta.get_field(name).verbose_name  # type: ignore[attr-defined,union-attr]  # the admin's way to name a column
    display.__name__ = name
    return display
