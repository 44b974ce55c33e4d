"""The operator's verbs from the admin: the permission, the verb, a message, an entry in the audit log.

What a verb does, and to whom it applies, is decided by `operations`; here it is only asked for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import ActionForm
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_workflows import operations
from django_workflows.admin.base import audit, is_storable
from django_workflows.exceptions import WorkflowsError
from django_workflows.models import Execution

# An action stops after so many executions, and so many of the errors are shown.
MOST = 1_000
MOST_ERRORS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """A verb as the pages name it, in texts that are translated when shown."""

    name: str
    label: Any
    action: Any
    help: Any


VERBS = {
    verb.name: verb
    for verb in (
        Verb(
            name="pause",
            label=gettext_lazy("Pause"),
            action=gettext_lazy("Pause selected executions"),
            help=gettext_lazy("Steps that are running finish and are stored; nothing new begins."),
        ),
        Verb(
            name="resume",
            label=gettext_lazy("Resume"),
            action=gettext_lazy("Resume selected executions"),
            help=gettext_lazy("Goes on from where it was paused."),
        ),
        Verb(
            name="retry",
            label=gettext_lazy("Retry"),
            action=gettext_lazy("Retry selected executions"),
            help=gettext_lazy("Goes on from the step that failed; earlier results are kept."),
        ),
        Verb(
            name="cancel",
            label=gettext_lazy("Cancel"),
            action=gettext_lazy("Cancel selected executions"),
            help=gettext_lazy("Ends it for good, and its children."),
        ),
    )
}


class ReasonForm(ActionForm):
    """The actions of the list take a reason, for the history."""

    reason = forms.CharField(label=gettext_lazy("Reason:"), required=False, max_length=500)


class DataField(forms.JSONField):
    """JSON, or nothing at all. What is refused is shown as it was typed."""

    def to_python(self, value: Any) -> Any:
        try:
            data = super().to_python(value)
            is_fine = is_storable(json.dumps(data, ensure_ascii=False))
        except (ValueError, RecursionError):  # a number of 5,000 digits, a thousand brackets
            is_fine = False
        if not is_fine:
            raise forms.ValidationError(_("This JSON cannot be stored: it is too deep, or has impossible characters."))
        return data

    def bound_data(self, data: Any, initial: Any) -> Any:
        return initial if self.disabled else data and forms.fields.InvalidJSONInput(data)

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


class SignalForm(forms.Form):
    """A message to one execution."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=200)
    payload = DataField(
        label=gettext_lazy("Data (JSON)"), required=False, widget=forms.Textarea(attrs={"rows": 3, "cols": 60})
    )


def apply(
    model_admin: ModelAdmin[Any], request: HttpRequest, verb: Verb, executions: Sequence[Execution], reason: str
) -> None:
    """Ask for the verb on each execution; say how many worked, and why the others did not."""
    names = {execution.pk: str(execution) for execution in executions}
    try:
        result = operations.bulk(executions, verb.name, reason, by=request.user)
    except WorkflowsError as error:  # a reason that cannot be stored
        model_admin.message_user(request, str(error), messages.ERROR)
        return
    changed = set(result.changed)
    for execution in executions:
        if execution.pk in changed:
            model_admin.log_change(request, execution, audit(verb.label, reason))
    errors = [f"{names[id]}: {error}" for id, error in result.errors.items()]
    report(model_admin, request, verb, len(changed), errors)


def report(model_admin: ModelAdmin[Any], request: HttpRequest, verb: Verb, worked: int, errors: list[str]) -> None:
    """Tell the user what came of it."""
    if worked:
        text = ngettext("%(verb)s: %(count)s execution.", "%(verb)s: %(count)s executions.", worked)
        model_admin.message_user(request, text % {"verb": verb.label, "count": worked}, messages.SUCCESS)
    if errors:
        shown = " ".join(errors[:MOST_ERRORS])
        more = len(errors) - MOST_ERRORS
        if more > 0:
            shown += " " + _("And %(count)s more.") % {"count": more}
        text = ngettext(
            "%(verb)s did not apply to %(count)s execution: %(errors)s",
            "%(verb)s did not apply to %(count)s executions: %(errors)s",
            len(errors),
        )
        values = {"verb": verb.label, "count": len(errors), "errors": shown}
        model_admin.message_user(request, text % values, messages.ERROR)


def send_signal(model_admin: ModelAdmin[Any], request: HttpRequest, execution: Execution, form: SignalForm) -> bool:
    """Send what the form holds; False, with the form's errors, when it cannot be sent."""
    if not form.is_valid():
        return False
    name, data = form.cleaned_data["name"], form.cleaned_data["payload"]
    try:
        execution.signal(name, data)
    except WorkflowsError as error:
        form.add_error(None, str(error))
        return False
    text = _("Signal %(name)s was sent.") % {"name": name}
    model_admin.log_change(request, execution, text)
    model_admin.message_user(request, text, messages.SUCCESS)
    return True
