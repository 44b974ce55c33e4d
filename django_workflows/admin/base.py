"""What the admin pages share: the right database, no writing by hand, no counting of millions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import cached_property
from django.utils.translation import gettext as _

from django_workflows import codec, conf, operations
from django_workflows.admin.rendering import as_html
from django_workflows.models import Execution
from django_workflows.rights import Maker

STYLE = "django_workflows/admin.css"

MOST_VALUES = 50  # of one filter, one or the other: SQLite nests alternatives no deeper than 1,000
LONGEST_SEARCH = 300  # each word of it is a condition; keys and names are shorter


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


class DeclaredList(ChangeList):
    """Filters by what a page declares, and sorts by what it says can be sorted by; nothing else is looked up.

    Django would take any look-up of the model's own columns from the address: `?input__contains=` reads payloads letter
    by letter, `?error__regex=` holds a process of the web server for as long as it likes.
    """

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        for values in self.filter_params.values():
            if len(values) > MOST_VALUES or not is_storable(*values):
                raise IncorrectLookupParameters
        queryset: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        return queryset

    def get_filters(self, request: HttpRequest) -> Any:
        given = self.get_filters_params()
        try:
            found = super().get_filters(request)
        except (ValueError, OverflowError) as error:  # the hierarchy of dates knows no year after 9998
            raise IncorrectLookupParameters(error) from error
        if undeclared := found[2].keys() - self._dates(given):
            raise DisallowedModelAdminLookup(f"Filtering by {min(undeclared)} is not allowed.")
        return found

    def _dates(self, given: Mapping[str, Any]) -> set[str]:
        """What the hierarchy of dates has made of a year."""
        dates = self.date_hierarchy
        return {f"{dates}__gte", f"{dates}__lt"} if dates and f"{dates}__year" in given else set()

    def get_ordering_field(self, field_name: Any) -> Any:
        return super().get_ordering_field(field_name) if field_name in (self.sortable_by or ()) else None


def is_storable(*texts: str) -> bool:
    """Whether a database takes them: PostgreSQL has no NUL, UTF-8 no half of a pair."""
    return not any("\0" in text or any("\ud800" <= character <= "\udfff" for character in text) for text in texts)


def audit(act: object, reason: str) -> str:
    """What the audit log says: what was done, and why."""
    return f"{act}: {codec.redact_text(reason)}" if reason else str(act)


def audited(message: str, *, reveal: bool) -> str:
    """A message of the audit log as others may see it. Django's own are JSON, and name fields only."""
    if message.startswith("["):
        return message
    return codec.redact_text(message) if reveal else message.partition(": ")[0]


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

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[DeclaredList]:
        return DeclaredList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Also for the boxes of other pages that complete what is typed, which check nothing."""
        if not is_storable(search_term) or len(search_term) > LONGEST_SEARCH:
            return queryset.none(), False
        return self.search(request, queryset, search_term)

    def search(self, request: HttpRequest, queryset: QuerySet[Any], term: str) -> tuple[QuerySet[Any], bool]:
        found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, term)
        return found

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Django asks the database for whatever was posted as a row's id, which is an error where it can be none."""
        if not all(map(self._is_key, request.POST.getlist(ACTION_CHECKBOX_NAME))):
            self.message_user(request, _("There is no such row."), messages.ERROR)
            return None
        answer: HttpResponse | None = super().response_action(request, queryset, *args, **kwargs)
        return answer

    def _is_key(self, text: str) -> bool:
        try:
            self.opts.pk.to_python(text)
        except ValidationError:
            return False
        return is_storable(text)

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The audit log of one row: reasons may quote payloads, so they are shown to whom payloads are."""
        answer = super().history_view(request, object_id, extra_context)
        if isinstance(answer, TemplateResponse) and answer.context_data is not None:
            reveal = may_see_payloads(request)
            for entry in answer.context_data["action_list"]:
                entry.change_message = audited(entry.change_message, reveal=reveal)
        return answer

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
