"""Executions: the list with its actions, and the page of each with its buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.utils import unquote
from django.contrib.messages import WARNING
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_POST

from django_workflows import conf
from django_workflows.admin import detail
from django_workflows.admin.base import EngineAdmin, may_control
from django_workflows.admin.changelist import ExecutionList, QueueFilter, WorkflowFilter, search
from django_workflows.admin.rendering import badge
from django_workflows.admin.verbs import MOST, VERBS, ReasonForm, SignalForm, Verb, apply, send_signal
from django_workflows.models import Event, Execution, Signal, Status, StepResult

PAGE = "admin:django_workflows_execution_change"


def _action(verb: Verb) -> Callable[[Any, HttpRequest, QuerySet[Execution]], None]:
    """The list's action for a verb."""

    @admin.action(permissions=["control"], description=verb.action)
    def act(model_admin: ExecutionAdmin, request: HttpRequest, queryset: QuerySet[Execution]) -> None:
        executions = list(queryset[: MOST + 1])
        apply(model_admin, request, verb, executions[:MOST], request.POST.get("reason", "").strip())
        if len(executions) > MOST:
            text = _("Only the first %(count)s were looked at; do it again for the others.") % {"count": MOST}
            model_admin.message_user(request, text, WARNING)

    act.__name__ = f"{verb.name}_selected"
    return act


@admin.action(permissions=["delete"], description=gettext_lazy("Delete selected executions that have finished"))
def delete_finished(model_admin: ExecutionAdmin, request: HttpRequest, queryset: QuerySet[Execution]) -> Any:
    """Django's own action, for those that have finished."""
    if unfinished := queryset.unfinished()[: MOST + 1].count():  # type: ignore[attr-defined]  # an ExecutionQuerySet
        text = ngettext(
            "%(count)s execution is left out, as it has not finished: cancel it first.",
            "%(count)s executions are left out, as they have not finished: cancel them first.",
            unfinished,
        )
        model_admin.message_user(request, text % {"count": unfinished}, WARNING)
    finished = queryset.finished()  # type: ignore[attr-defined]  # an ExecutionQuerySet
    return delete_selected(model_admin, request, finished) if finished.exists() else None


delete_finished.__name__ = "delete_selected"  # the name that the confirmation page posts


@admin.register(Execution)
class ExecutionAdmin(EngineAdmin):
    """State columns are never editable: whatever moves an execution is a verb."""

    list_display = ("status_badge", "workflow", "key", "situation", "created_at", "duration")
    list_display_links = ("status_badge", "workflow")
    list_filter = ("status", WorkflowFilter, QueueFilter)
    list_select_related = False
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    sortable_by = ("created_at",)
    search_fields = ("id", "key")
    search_help_text = gettext_lazy("An id or a key, or the beginning of one.")
    action_form = ReasonForm
    actions = (*(_action(verb) for verb in VERBS.values()), delete_finished)
    change_list_template = "admin/django_workflows/execution/change_list.html"

    # the list

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ExecutionList]:
        return ExecutionList

    def search(
        self, request: HttpRequest, queryset: QuerySet[Execution], term: str
    ) -> tuple[QuerySet[Execution], bool]:
        return search(queryset, term), False

    @admin.display(description=gettext_lazy("status"))
    def status_badge(self, row: Execution) -> str:
        return badge(row.status, row.get_status_display())

    @admin.display(description=gettext_lazy("why it waits, or what went wrong"))
    def situation(self, row: Any) -> str:
        if row.status != Status.FAILED:
            return str(row.situation_text)
        return format_html('<span class="workflows-error">{}</span>', row.situation_text)

    @admin.display(description=gettext_lazy("duration"))
    def duration(self, row: Any) -> str:
        return str(row.duration_text)

    # the page

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        name = "django_workflows_execution"
        own = [
            path("<path:object_id>/verb/<str:name>/", view(require_POST(self.verb_view)), name=f"{name}_verb"),
            path("<path:object_id>/signal/", view(require_POST(self.signal_view)), name=f"{name}_signal"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        execution = self._get(request, object_id)
        return self._page(request, execution) if execution else self._missing(request, object_id)

    def verb_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        execution = self._get_controlled(request, object_id)
        if name not in VERBS:
            raise Http404(name)
        if execution is None:
            return self._missing(request, object_id)
        apply(self, request, VERBS[name], [execution], request.POST.get("reason", "").strip()[:500])
        return HttpResponseRedirect(reverse(PAGE, args=[execution.pk]))

    def signal_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        execution = self._get_controlled(request, object_id)
        if execution is None:
            return self._missing(request, object_id)
        form = SignalForm(request.POST)
        if send_signal(self, request, execution, form):
            return HttpResponseRedirect(reverse(PAGE, args=[execution.pk]))
        return self._page(request, execution, form)

    def _page(self, request: HttpRequest, execution: Execution, form: SignalForm | None = None) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            **detail.context(request, execution, form),
            "title": _("Execution of %(workflow)s") % {"workflow": execution.workflow},
            "subtitle": execution.key or str(execution.id),
            "opts": self.opts,
            "media": self.media,
            "may_delete": self.has_delete_permission(request, execution),
        }
        return TemplateResponse(request, "admin/django_workflows/execution/detail.html", context)

    def _get(self, request: HttpRequest, object_id: str) -> Execution | None:
        execution = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, execution):
            raise PermissionDenied
        return execution

    def _get_controlled(self, request: HttpRequest, object_id: str) -> Execution | None:
        execution = self._get(request, object_id)
        if not may_control(request, execution):
            raise PermissionDenied
        return execution

    def _missing(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]  # what Django's own views answer

    # permissions

    def has_control_permission(self, request: HttpRequest) -> bool:
        return may_control(request)

    def has_delete_permission(self, request: HttpRequest, obj: Execution | None = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj) and (obj is None or obj.is_finished)

    # deleting

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """What goes with finished executions, counted instead of loaded; the permission to delete them covers it."""
        ids = [execution.pk for execution in objs]
        counts = {str(self.opts.verbose_name_plural): len(ids)}
        for model in (StepResult, Event, Signal):
            rows = model._default_manager.using(conf.database()).filter(execution_id__in=ids)
            counts[str(model._meta.verbose_name_plural)] = rows.count()
        return [str(execution) for execution in objs], counts, set(), []

    def delete_model(self, request: HttpRequest, obj: Execution) -> None:
        self.delete_queryset(request, self.get_queryset(request).filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Execution]) -> None:
        """Delete those that are finished still: an operator may have retried one since the page was shown."""
        with transaction.atomic(using=conf.database()):
            ids = [row.pk for row in queryset.order_by("pk").select_for_update() if row.is_finished]
            self.get_queryset(request).filter(pk__in=ids).delete()
