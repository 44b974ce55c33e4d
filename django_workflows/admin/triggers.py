"""Triggers: what starts workflows from outside. Made, changed and fired here; checked by `triggers.registering`.

What comes from the code or from a definition is changed there; of those only `enabled` and its note are the operator's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_workflows import conf
from django_workflows.admin.base import EngineAdmin, audit, maker_of, payload_field
from django_workflows.admin.rendering import badge, link_to
from django_workflows.admin.verbs import DataField
from django_workflows.exceptions import InvalidInput, WorkflowsError
from django_workflows.models import Execution, Trigger, TriggerOrigin
from django_workflows.rights import Maker
from django_workflows.triggers import describing, manual, registering

MOST = 100  # triggers of one action
_BADGES = {"enabled": "running", "broken": "failed", "disabled": "paused", "retired": "cancelled"}
_GIVEN = ("workflow", "type", "pattern", "config")


class TriggerForm(forms.ModelForm):  # type: ignore[type-arg]  # only the stubs know it as generic
    """A trigger as an operator writes it: what is wrong is told at the field, in the words of the checks."""

    maker: Maker | None = None  # set by the page

    config = DataField(
        label=gettext_lazy("Configuration (JSON)"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "cols": 80}),
        help_text=gettext_lazy(
            'Event: {"where": {"order.country": "DE"}}. Schedule: {"tz": "Europe/Berlin", "overlap": "skip"}. '
            'Webhook: {"verify": "github", "secret": "GITHUB"}. All of them: {"input": {…}} for fixed arguments.'
        ),
    )

    class Meta:
        model = Trigger
        fields = ("workflow", "type", "pattern", "config", "enabled", "note")
        help_texts = {
            "pattern": gettext_lazy(
                'Event: a name, * for one word, ** for any number ("order.*"). Schedule: cron or words ("every weekday '
                'at 9am"). Webhook: the path below webhooks/.'
            )
        }

    def clean(self) -> dict[str, Any]:
        """Do it, see what is refused, and undo it: then there is one set of checks."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        alias = conf.database()
        with transaction.atomic(using=alias):
            try:
                write(self.instance, cleaned, self.maker)
            except InvalidInput as refusal:
                self._tell(refusal)
            transaction.set_rollback(True, using=alias)
        return cleaned

    def _tell(self, refusal: InvalidInput) -> None:
        for place, texts in refusal.errors.items():
            field, _dot, option = place.partition(".")
            for text in texts:
                self.add_error(field if field in self.fields else None, f"{option}: {text}" if option else text)


def write(trigger: Trigger, values: dict[str, Any], maker: Maker | None) -> Trigger:
    """Make or change what the form holds; read-only fields are absent. Raises `InvalidTrigger` and `NotPermitted`."""
    note, enabled = values.get("note", ""), values.get("enabled", True)
    if trigger._state.adding:
        stored = registering.create(*(values[name] for name in _GIVEN), by=maker)
    else:
        stored = Trigger.objects.using(conf.database()).get(pk=trigger.pk)
        given = {name: values[name] for name in ("workflow", "pattern", "config") if name in values}
        if any(getattr(stored, name) != value for name, value in given.items()):
            registering.update(stored, **given, by=maker)
    if enabled:
        registering.enable(stored, by=maker)
    else:
        registering.disable(stored, note)
    return stored


class TriggerActionForm(ActionForm):
    """A note for those who ask why it is disabled, data for what is fired."""

    note = forms.CharField(label=gettext_lazy("Note:"), required=False)
    payload = forms.CharField(label=gettext_lazy("Data (JSON):"), required=False)  # checked where it is used


Act = Callable[[HttpRequest, Trigger], str | None]  # what to tell and to log; None when there was nothing to do


@admin.register(Trigger)
class TriggerAdmin(EngineAdmin):
    form = TriggerForm
    list_display = (
        "in_words",
        "type",
        "workflow",
        "state",
        "note",
        "last_triggered_at",
        "trigger_count",
        "next_at",
    )
    list_filter = ("type", "enabled", "origin", ("retired_at", admin.EmptyFieldListFilter))
    search_fields = ("workflow", "pattern")
    ordering = ("workflow", "type", "pattern")
    action_form = TriggerActionForm
    actions = ("enable_selected", "disable_selected", "fire_selected")
    facts = (
        "in_words",
        "next_times",
        "origin",
        "broken",
        "broken_at",
        "retired_at",
        "last_triggered_at",
        "trigger_count",
        "last_skipped_at",
        "skipped_count",
        "latest",
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
        belongs = obj is not None and obj.origin != TriggerOrigin.OPERATOR and obj.retired_at is None
        return not belongs and admin.ModelAdmin.has_delete_permission(self, request, obj)

    def has_fire_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("django_workflows.start_execution")

    # the page

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        if obj is None:
            return [*_GIVEN, "enabled", "note"]
        given = list(_GIVEN) if self._is_ours(request, obj) else ["workflow", "type", "pattern", _config]
        return [*given, "enabled", "note", *self.facts]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        if obj is None:
            return []
        fixed = ["type"] if self._is_ours(request, obj) else ["workflow", "type", "pattern", _config]
        return [*fixed, *self.facts]

    def _is_ours(self, request: HttpRequest, obj: Trigger) -> bool:
        return obj.origin == TriggerOrigin.OPERATOR and self.has_change_permission(request, obj)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.maker = maker_of(request)  # a class of this request alone
        return form

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        stored = write(obj, form.cleaned_data, maker_of(request))
        obj.pk, obj._state.adding = stored.pk, False

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        registering.delete(obj)

    # what it is

    @admin.display(description=gettext_lazy("starts on"))
    def in_words(self, trigger: Trigger) -> str:
        return describing.in_words(trigger)

    @admin.display(description=gettext_lazy("state"))
    def state(self, trigger: Trigger) -> str:
        word = describing.state_of(trigger)
        return badge(_BADGES[word], _(word))

    @admin.display(description=gettext_lazy("next times"))
    def next_times(self, trigger: Trigger) -> SafeString | str:
        times = describing.next_times(trigger)
        return format_html_join("", "<div>{}</div>", ((time,) for time in times)) if times else "–"

    @admin.display(description=gettext_lazy("latest executions"))
    def latest(self, trigger: Trigger) -> SafeString | str:
        rows = Execution.objects.using(conf.database()).filter(trigger_id=trigger.pk).order_by("-created_at")[:10]
        links = [(link_to(Execution, row.pk, row.pk), badge(row.status, row.get_status_display())) for row in rows]
        return format_html_join("", "<div>{} {}</div>", links) if links else "–"

    # what is done with it

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without the deletion of many: some of them belong to the code."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    @admin.action(permissions=["change"], description=gettext_lazy("Enable selected triggers"))
    def enable_selected(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> None:
        def act(request: HttpRequest, trigger: Trigger) -> str | None:
            return _("Enabled") if registering.enable(trigger, by=maker_of(request)) else None

        self._apply(request, queryset, act)

    @admin.action(permissions=["change"], description=gettext_lazy("Disable selected triggers"))
    def disable_selected(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> None:
        note = request.POST.get("note", "").strip()

        def act(_request: HttpRequest, trigger: Trigger) -> str | None:
            return audit(_("Disabled"), note) if registering.disable(trigger, note) else None

        self._apply(request, queryset, act)

    @admin.action(permissions=["fire"], description=gettext_lazy("Fire selected triggers now"))
    def fire_selected(self, request: HttpRequest, queryset: QuerySet[Trigger]) -> None:
        try:
            data = DataField(required=False).clean(request.POST.get("payload", "").strip() or None)
        except forms.ValidationError as error:
            self.message_user(request, " ".join(error.messages), messages.ERROR)
            return
        self._apply(request, queryset, lambda _request, trigger: _fired(manual.fire(trigger, data)))

    def _apply(self, request: HttpRequest, queryset: QuerySet[Trigger], act: Act) -> None:
        """Do it to each; say what was done and what was refused, and keep it in the audit log."""
        done = 0
        for trigger in queryset[:MOST]:
            try:
                text = act(request, trigger)
            except WorkflowsError as error:
                self.message_user(request, f"{trigger}: {error}", messages.ERROR)
                continue
            if text is not None:
                self.log_change(request, trigger, text)
                done += 1
        text = ngettext("%(count)s trigger: done.", "%(count)s triggers: done.", done) % {"count": done}
        self.message_user(request, text, messages.SUCCESS)


_config = payload_field(Trigger, "config", as_written=True)


def _fired(execution: Execution) -> str:
    return _("Fired: execution %(id)s") % {"id": execution.pk}
