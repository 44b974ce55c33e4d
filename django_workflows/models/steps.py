"""The journal: what each step of an execution came to."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_workflows.models.executions import Execution
from django_workflows.models.fields import PayloadField
from django_workflows.models.workflows import NAME_LENGTH

KEY_LENGTH = 500


class StepKind(models.TextChoices):
    STEP = "step", _("step")
    SLEEP = "sleep", _("sleep")
    SIGNAL = "signal", _("wait for a signal")
    EVENT = "event", _("wait for an event")
    TOKEN = "token", _("one-time link")
    CHILD = "child", _("child workflow")
    RACE = "race", _("race")
    LOOP = "loop", _("loop")
    VALUE = "value", _("recorded value")
    SEND = "send", _("sent message")
    PAUSE = "pause", _("pause asked for by the workflow")


WAITS = (StepKind.SLEEP, StepKind.SIGNAL, StepKind.EVENT, StepKind.TOKEN, StepKind.CHILD)


class StepStatus(models.TextChoices):
    PENDING = "pending", _("pending")
    SCHEDULED = "scheduled", _("scheduled")  # an open wait, or backing off until the deadline
    RUNNING = "running", _("running")  # its body has been running for over a second
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")
    SKIPPED = "skipped", _("skipped")  # failed, and its policy says to go on
    SUPERSEDED = "superseded", _("superseded")  # an operator's retry does it again; kept, not replayed
    FORGOTTEN = "forgotten", _("forgotten")  # belongs to an earlier iteration of a loop; kept, not replayed


OPEN_STEPS = frozenset({StepStatus.PENDING, StepStatus.SCHEDULED, StepStatus.RUNNING})
RETIRED_STEPS = frozenset({StepStatus.SUPERSEDED, StepStatus.FORGOTTEN})


class StepResult(models.Model):
    """One row per step of an execution: its place in the code, its outcome, its times."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    execution = models.ForeignKey(
        Execution,
        verbose_name=_("execution"),
        on_delete=models.CASCADE,
        related_name="steps",
        db_constraint=False,
        db_index=False,
    )
    generation = models.IntegerField(_("generation"), default=0)
    key = models.CharField(_("key"), max_length=KEY_LENGTH, help_text=_("Its scope and position in the workflow."))
    superseded = models.IntegerField(
        _("superseded by"), default=0, help_text=_("The claim whose retry replaced this row; 0 while it counts.")
    )
    former_status = models.CharField(
        _("status before"),
        max_length=20,
        choices=StepStatus,
        blank=True,
        default="",
        db_default="",
        help_text=_("What it had come to before it was superseded or forgotten."),
    )
    seq = models.IntegerField(_("sequence"), help_text=_("Order in which outcomes were recorded."))
    name = models.CharField(_("name"), max_length=NAME_LENGTH, blank=True, default="")
    kind = models.CharField(_("kind"), max_length=20, choices=StepKind)
    status = models.CharField(_("status"), max_length=20, choices=StepStatus)
    input = PayloadField(_("input"), null=True, blank=True)
    output = PayloadField(_("output"), null=True, blank=True)
    error = PayloadField(_("error"), null=True, blank=True)
    attempts = models.IntegerField(_("attempts"), default=0)
    lost = models.IntegerField(_("attempts lost with their worker"), default=0)
    deadline = models.DateTimeField(_("deadline"), null=True, blank=True)
    match_keys = models.CharField(_("keys that an event must match"), max_length=500, blank=True, default="")
    match_hash = models.CharField(_("hash of their values"), max_length=64, blank=True, default="")
    child_id = models.UUIDField(_("child execution"), null=True, blank=True)
    claim = models.IntegerField(_("claim it was made under"), default=0)
    worker = models.CharField(
        _("worker"), max_length=200, blank=True, default="", db_default="", help_text=_("Of its last attempt.")
    )
    created_at = models.DateTimeField(_("created at"))
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    completed_at = models.DateTimeField(_("completed at"), null=True, blank=True)

    class Meta:
        verbose_name = _("step result")
        verbose_name_plural = _("step results")
        constraints = (
            # every read of a journal goes through it, so the superseded rows stand in it too, told apart by a number
            models.UniqueConstraint(
                fields=("execution", "generation", "key", "superseded"), name="workflows_step_once"
            ),
        )
        indexes = (
            models.Index(
                fields=("name", "match_keys", "match_hash"),
                name="workflows_step_open_event",
                condition=models.Q(kind=StepKind.EVENT, status=StepStatus.SCHEDULED),
            ),
            # a link by the hash of its secret; used ones too, which are told from what never was one
            models.Index(fields=("match_hash",), name="workflows_step_token", condition=models.Q(kind=StepKind.TOKEN)),
            # the feed of everything
            models.Index(
                fields=("completed_at",), name="workflows_step_ended", condition=models.Q(completed_at__isnull=False)
            ),
            models.Index(
                fields=("created_at",),
                name="workflows_step_wait_began",
                condition=models.Q(kind__in=WAITS),
            ),
        )

    def __str__(self) -> str:
        return f"{self.key} {self.name}"

    @property
    def outcome(self) -> str:
        """What it came to, also when a retry or a loop has put it aside since."""
        return self.former_status or self.status
