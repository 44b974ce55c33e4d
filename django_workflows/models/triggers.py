"""What starts a workflow from outside."""

from __future__ import annotations

import secrets
import uuid
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_workflows.models.fields import PayloadField, made_by_column
from django_workflows.models.natural import Natural
from django_workflows.models.workflows import NAME_LENGTH

# What changes which events match; the operator's counts and notes do not.
_MATCHING = {"workflow", "type", "pattern", "variant", "config", "enabled", "retired_at"}


class TriggerType(models.TextChoices):
    EVENT = "event", _("event")
    SCHEDULE = "schedule", _("schedule")
    WEBHOOK = "webhook", _("webhook")


class TriggerOrigin(models.TextChoices):
    CODE = "code", _("code")  # `@workflow(triggers=[…])`
    DEFINITION = "definition", _("definition")  # of a workflow that is data
    OPERATOR = "operator", _("operator")  # made in the admin, through the API or by a command


def new_revision() -> int:
    """A number that tells a changed row from what it was, also in a sum over many rows."""
    return secrets.randbits(40)


class Trigger(Natural):
    """Starts executions of `workflow` when an event, a moment or a webhook matches `pattern`.

    `variant` tells triggers with the same pattern apart: an event's filter, a schedule's time zone, the static input.
    Rows that left the code keep their counts and are `retired_at`; what they started still refers to them.

    A schedule's `next_at` is when a worker must look at it, as an execution's `wake_at` is.
    """

    natural = ("workflow", "type", "pattern", "variant")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workflow = models.CharField(_("workflow"), max_length=NAME_LENGTH)
    type = models.CharField(_("type"), max_length=20, choices=TriggerType)
    pattern = models.CharField(_("pattern"), max_length=500)
    variant = models.CharField(_("variant"), max_length=100, blank=True, default="", editable=False)
    config = PayloadField(_("configuration"), null=True, blank=True)
    origin = models.CharField(
        _("comes from"), max_length=20, choices=TriggerOrigin, default=TriggerOrigin.OPERATOR, editable=False
    )
    enabled = models.BooleanField(_("enabled"), default=True, help_text=_("Belongs to the operator; deploys keep it."))
    retired_at = models.DateTimeField(_("gone from the code since"), null=True, blank=True)
    last_triggered_at = models.DateTimeField(_("last triggered at"), null=True, blank=True)
    trigger_count = models.BigIntegerField(_("times triggered"), default=0)
    next_at = models.DateTimeField(_("next at"), null=True, blank=True)
    scheduled_until = models.DateTimeField(
        _("scheduled until"), null=True, blank=True, editable=False, help_text=_("What was due up to here is done.")
    )
    buffered_at = models.DateTimeField(
        _("buffered since"), null=True, blank=True, editable=False, help_text=_("Waits for the execution before it.")
    )
    skipped_count = models.BigIntegerField(_("times skipped"), default=0, editable=False)
    last_skipped_at = models.DateTimeField(_("last skipped at"), null=True, blank=True, editable=False)
    broken = models.TextField(
        _("broken"), blank=True, default="", db_default="", editable=False, help_text=_("Why it can start nothing.")
    )
    broken_at = models.DateTimeField(_("broken since"), null=True, blank=True, editable=False)
    made_by = made_by_column()
    note = models.CharField(_("note"), max_length=500, blank=True, default="", help_text=_("Why it is disabled."))
    revision = models.BigIntegerField(_("revision"), default=new_revision, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("trigger")
        verbose_name_plural = _("triggers")
        permissions = (("open_webhook", _("Can let everybody call a webhook (verify: none)")),)
        constraints = (
            models.UniqueConstraint("workflow", "type", "pattern", "variant", name="workflows_trigger_once"),
            models.UniqueConstraint(
                fields=("pattern",),
                name="workflows_trigger_path",
                condition=models.Q(type=TriggerType.WEBHOOK, retired_at__isnull=True),
                violation_error_message=_("Another workflow's webhook has this path."),
            ),
        )
        indexes = (
            models.Index("next_at", name="workflows_trigger_next", condition=models.Q(next_at__isnull=False)),
            models.Index(
                fields=("type",),
                name="workflows_trigger_unplanned",
                condition=models.Q(
                    type=TriggerType.SCHEDULE, enabled=True, retired_at__isnull=True, next_at__isnull=True
                ),
            ),
            models.Index(
                fields=("revision",),
                name="workflows_trigger_events",
                condition=models.Q(type=TriggerType.EVENT, enabled=True, retired_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.pattern} → {self.workflow}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Workers keep the events' triggers in memory; a new revision makes them look again."""
        columns = kwargs.get("update_fields")
        if columns is None or _MATCHING & set(columns):
            self.revision = new_revision()
            self.broken, self.broken_at = "", None  # it may be mended; the next look tells
            if columns is not None:
                kwargs["update_fields"] = {*columns, "revision", "broken", "broken_at"}
        super().save(*args, **kwargs)

    @property
    def is_active(self) -> bool:
        """Whether it starts anything."""
        return self.enabled and self.retired_at is None
