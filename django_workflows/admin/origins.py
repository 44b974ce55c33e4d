"""What started an execution from outside: its trigger and the event, with links for those who may follow them."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth import get_permission_codename
from django.db.models import Model
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_workflows import conf
from django_workflows.admin.rendering import link_to
from django_workflows.models import Event, Execution, Trigger
from django_workflows.triggers.describing import in_words

Link = SafeString | str


def started_by(request: HttpRequest, execution: Execution) -> tuple[Link, Link]:
    """The trigger and the event; empty where there is none."""
    if execution.trigger_id is None:
        return "", ""
    return _trigger(request, execution.trigger_id), _event(request, execution)


def _trigger(request: HttpRequest, id: UUID) -> Link:
    """In words; one that was removed meanwhile, or that the user may not see, by its id."""
    if not _may_view(request, Trigger):
        return str(id)
    trigger = Trigger.objects.using(conf.database()).filter(pk=id).first()
    if trigger is None:
        return _("%(id)s, which was removed") % {"id": id}
    return link_to(Trigger, id, f"{trigger.get_type_display()}: {in_words(trigger)}")


def _event(request: HttpRequest, execution: Execution) -> Link:
    """Dispatching notes in the idempotency key which event it was."""
    before, _colon, id = (execution.idempotency_key or "").rpartition(":")
    if before != f"trigger:{execution.trigger_id}":
        return ""
    return link_to(Event, id, id) if _may_view(request, Event) else id


def _may_view(request: HttpRequest, model: type[Model]) -> bool:
    opts = model._meta
    view, change = (f"{opts.app_label}.{get_permission_codename(verb, opts)}" for verb in ("view", "change"))
    return request.user.has_perm(view) or request.user.has_perm(change)
