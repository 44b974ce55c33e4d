"""What was published, what happened, and what was sent to one execution."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_workflows.models.executions import Execution
from django_workflows.models.fields import PayloadField, made_by_column
from django_workflows.models.workflows import NAME_LENGTH

TRIGGER_FAILED = "trigger.failed"  # the name of the record that a trigger could not start its workflow
TRIGGER_BROKEN = "trigger.broken"  # the name of the record that a trigger can start nothing
UNSTORED = "not stored"  # the name of the record that what an execution has done cannot be stored


class EventType(models.TextChoices):
    EVENT = "event", _("event")  # published, or delivered to an execution
    STEP = "step", _("step")
    SCHEDULE = "schedule", _("schedule")
    ERROR = "error", _("error")  # a failed attempt
    LIFECYCLE = "lifecycle", _("life cycle")  # a change of status
    OPERATOR = "operator", _("operator")  # somebody's verb


class Event(models.Model):
    """The append-only log. Without an execution: a published event. With one: something that happened to it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    type = models.CharField(_("type"), max_length=20, choices=EventType)
    name = models.CharField(_("name"), max_length=NAME_LENGTH)
    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        on_delete=models.CASCADE,
        related_name="events",
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
    )
    data = PayloadField(_("data"), null=True, blank=True)
    headers = PayloadField(_("headers"), null=True, blank=True)
    source = models.CharField(_("source"), max_length=NAME_LENGTH, blank=True, default="")
    event_id = models.CharField(_("publisher's id"), max_length=255, null=True, blank=True)  # noqa: DJ001  # unique
    made_by = made_by_column()
    deliver_at = models.DateTimeField(_("deliver at"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))
    triggered_at = models.DateTimeField(_("triggers started at"), null=True, blank=True)
    dispatched_at = models.DateTimeField(_("dispatched at"), null=True, blank=True)
    attempts = models.IntegerField(_("attempts"), default=0, db_default=0, help_text=_("To dispatch it, in vain."))
    retry_at = models.DateTimeField(
        _("retry at"), null=True, blank=True, help_text=_("Until then nobody else dispatches it.")
    )
    set_aside_at = models.DateTimeField(
        _("set aside at"), null=True, blank=True, help_text=_("Since then nobody dispatches it any more.")
    )
    reason = models.TextField(
        _("reason"), blank=True, default="", db_default="", help_text=_("Why it was not dispatched.")
    )

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = (
            models.UniqueConstraint(
                fields=("event_id",), name="workflows_event_once", condition=models.Q(event_id__isnull=False)
            ),
        )
        indexes = (
            models.Index(fields=("created_at",), name="workflows_event_created"),
            models.Index(
                fields=("execution", "created_at"),
                name="workflows_event_of_execution",
                condition=models.Q(execution__isnull=False),
            ),
            models.Index(
                fields=("deliver_at",),
                name="workflows_event_undispatched",
                condition=models.Q(type=EventType.EVENT, execution__isnull=True, dispatched_at__isnull=True),
            ),
            models.Index(
                fields=("set_aside_at",),
                name="workflows_event_set_aside",
                condition=models.Q(set_aside_at__isnull=False),
            ),
            models.Index(
                fields=("name", "created_at"),
                name="workflows_event_lookback",
                condition=models.Q(type=EventType.EVENT, execution__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return f"{self.type} {self.name}"


class Signal(models.Model):
    """A message addressed to one execution, consumed once, oldest first.

    A published event that matched an open wait arrives here too, addressed to that wait by `step_key`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        on_delete=models.CASCADE,
        related_name="signals",
        db_constraint=False,
        db_index=False,
    )
    number = models.IntegerField(_("number"), help_text=_("The execution's inbox after it arrived."))
    name = models.CharField(_("name"), max_length=NAME_LENGTH)
    data = PayloadField(_("data"), null=True, blank=True)
    message_id = models.CharField(_("sender's id"), max_length=255, null=True, blank=True)  # noqa: DJ001  # unique
    event_id = models.UUIDField(_("published event"), null=True, blank=True)
    step_key = models.CharField(_("addressed to the wait"), max_length=500, blank=True, default="")
    created_at = models.DateTimeField(_("created at"))
    consumed_at = models.DateTimeField(_("consumed at"), null=True, blank=True)

    class Meta:
        verbose_name = _("signal")
        verbose_name_plural = _("signals")
        constraints = (
            models.UniqueConstraint(fields=("execution", "number"), name="workflows_signal_number"),
            models.UniqueConstraint(
                fields=("execution", "message_id"),
                name="workflows_signal_once",
                condition=models.Q(message_id__isnull=False),
            ),
            models.UniqueConstraint(
                fields=("execution", "event_id"),
                name="workflows_delivery_once",
                condition=models.Q(event_id__isnull=False),
            ),
        )
        indexes = (
            models.Index(fields=("created_at",), name="workflows_signal_created"),
            models.Index(
                fields=("execution", "number"),
                name="workflows_signal_unread",
                condition=models.Q(consumed_at__isnull=True),
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} #{self.number}"
