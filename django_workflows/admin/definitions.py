"""Workflows: those that are code can be enabled and disabled here, those that are data are written here as JSON."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from django_workflows import conf, definitions
from django_workflows.admin.base import EngineAdmin, maker_of, payload_field
from django_workflows.admin.verbs import DataField
from django_workflows.exceptions import InvalidInput
from django_workflows.models import Workflow
from django_workflows.rights import Maker

EXAMPLE = {
    "name": "welcome",
    "steps": [
        {"id": "greet", "action": "app.step", "input": {"email": "$.input.email"}},
        {"id": "later", "sleep": "2 days"},
    ],
}


class DocumentField(DataField):
    """JSON with a line for each value, for people to change."""

    def prepare_value(self, value: Any) -> Any:
        is_typed = isinstance(value, str | forms.fields.InvalidJSONInput)
        return value if is_typed else json.dumps(value, indent=2, ensure_ascii=False)


class DefinitionForm(forms.ModelForm):  # type: ignore[type-arg]  # only the stubs know it as generic
    """A definition as JSON: what is wrong with it is told with its path. `expected`: the version that was shown."""

    maker: Maker | None = None  # set by the page

    document = DocumentField(
        label=_("Definition (JSON)"),
        widget=forms.Textarea(attrs={"rows": 30, "cols": 100, "spellcheck": "false"}),
        help_text=_("Each change is a new version; executions keep the version that they began with."),
    )
    expected = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Workflow
        fields = ("enabled",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        document = EXAMPLE if self.instance._state.adding else definitions.current_document(self.instance.name)
        self.initial.setdefault("document", document)
        self.initial.setdefault("expected", 0 if self.instance._state.adding else self.instance.version)

    def clean(self) -> dict[str, Any]:
        """Do it, see what is refused, and undo it: then there is one set of checks."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            alias = conf.database()
            with transaction.atomic(using=alias):
                try:
                    write(self.instance, cleaned, self.maker)
                except InvalidInput as refusal:
                    for problem in refusal.problems:
                        self.add_error("document", f"{problem['path']}: {problem['message']}".removeprefix(": "))
                transaction.set_rollback(True, using=alias)
        return cleaned


def write(workflow: Workflow, values: dict[str, Any], maker: Maker | None) -> definitions.Saved:
    """Save what the form holds. Raises `InvalidDefinition` and `NotPermitted`."""
    name = None if workflow._state.adding else workflow.name
    return definitions.save(values["document"], name=name, expected=values.get("expected"), by=maker)


def is_data(workflow: Workflow | None) -> bool:
    return workflow is not None and definitions.current_document(workflow.name) is not None


@admin.register(Workflow)
class WorkflowAdmin(EngineAdmin):
    """Of what is code only `enabled` is written: a deploy may change the other columns meanwhile."""

    form = DefinitionForm
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
        payload_field(Workflow, "retry", as_written=True),
        "executions",
        "created_at",
        "updated_at",
    )

    # who may what

    def has_add_permission(self, request: HttpRequest) -> bool:
        return admin.ModelAdmin.has_add_permission(self, request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The code would bring back its own."""
        return admin.ModelAdmin.has_delete_permission(self, request, obj) and is_data(obj)

    # the page

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        if obj is None:
            return ["document", "expected"]
        written = ["document", "expected"] if self._may_write(request, obj) else []
        return ["enabled", *written, *self.plain]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [] if obj is None else list(self.plain)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None and not self._may_write(request, obj):
            kwargs["form"] = forms.ModelForm
        texts = {"enabled": _("While it is off nothing starts it, and what is under way goes on.")}
        form: Any = super().get_form(request, obj, change, help_texts=texts, **kwargs)
        form.maker = maker_of(request)  # a class of this request alone
        return form

    def _may_write(self, request: HttpRequest, obj: Workflow) -> bool:
        return self.has_change_permission(request, obj) and is_data(obj)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if "document" in form.cleaned_data:
            saved = write(obj, form.cleaned_data, maker_of(request))
            obj.pk, obj.name, obj.version = saved.workflow.pk, saved.workflow.name, saved.version.version
            obj._state.adding = False
        if change:
            obj.save(using=conf.database(), update_fields=["enabled", "updated_at"])

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Its executions stay, and those under way go on."""
        definitions.delete(obj.name)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """One by one: most of what a list shows is code."""
        return {name: act for name, act in super().get_actions(request).items() if name != "delete_selected"}

    @admin.display(description=_("executions"))
    def executions(self, workflow: Workflow) -> str:
        url = reverse("admin:django_workflows_execution_changelist")
        return format_html('<a href="{}?workflow={}">{}</a>', url, workflow.name, _("show"))
