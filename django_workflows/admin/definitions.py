"""Workflows: what they are comes from the code or a definition; whether they are enabled is the operator's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from django_workflows.admin.base import EngineAdmin, payload_field
from django_workflows.models import Workflow


class DefinitionAdmin(EngineAdmin):
    """Only `enabled` can be changed, and only that column is written: a deploy may change the others meanwhile."""

    plain: Sequence[Any] = ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return ["enabled", *self.plain]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return list(self.plain)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.save(update_fields=["enabled", "updated_at"])


@admin.register(Workflow)
class WorkflowAdmin(DefinitionAdmin):
    list_display = ("name", "description", "version", "queue", "enabled", "executions")
    search_fields = ("name",)
    plain = (
        "name",
        "description",
        "tags",
        "version",
        "queue",
        "timeout",
        "on_error",
        payload_field(Workflow, "retry"),
        "executions",
        "created_at",
        "updated_at",
    )

    @admin.display(description=_("executions"))
    def executions(self, workflow: Workflow) -> str:
        url = reverse("admin:django_workflows_execution_changelist")
        return format_html('<a href="{}?workflow={}">{}</a>', url, workflow.name, _("show"))
