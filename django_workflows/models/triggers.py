"""What starts a workflow from outside."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_workflows.models.fields import PayloadField
from django_workflows.models.workflows import NAME_LENGTH


class TriggerType(models.TextChoices):
    EVENT = "event", _("event")
    SCHEDULE = "schedule", _("schedule")
    WEBHOOK = "webhook", _("webhook")


class Trigger(models.Model):
    """Starts executions of `workflow` when an event, a moment or a webhook matches `pattern`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workflow = models.CharField(_("workflow"), max_length=NAME_LENGTH)
    type = models.CharField(_("type"), max_length=20, choices=TriggerType)
    pattern = models.CharField(_("pattern"), max_length=500)
    config = PayloadField(_("configuration"), null=True, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True, help_text=_("Belongs to the operator; deploys keep it."))
    retired_at = models.DateTimeField(_("gone from the code since"), null=True, blank=True)
    last_triggered_at = models.DateTimeField(_("last triggered at"), null=True, blank=True)
    trigger_count = models.BigIntegerField(_("times triggered"), default=0)
    next_at = models.DateTimeField(_("next at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("trigger")
        verbose_name_plural = _("triggers")
        constraints = (models.UniqueConstraint("workflow", "type", "pattern", name="workflows_trigger_once"),)
        indexes = (models.Index("next_at", name="workflows_trigger_next", condition=models.Q(next_at__isnull=False)),)

    def __str__(self) -> str:
        return f"{self.type} {self.pattern} → {self.workflow}"
