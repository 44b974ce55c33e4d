"""One execution of a workflow: the row that everything turns around."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Self

from django.db import connections, models
from django.db.models import Q
from django.db.models.expressions import RawSQL
from django.utils.translation import gettext_lazy as _

from django_workflows.clock import DatabaseNow
from django_workflows.models.fields import CockroachIndex, InvertedIndex, PayloadField, TagsField
from django_workflows.models.ports import ports
from django_workflows.models.statuses import FINISHED, UNFINISHED, Requested, Status, allowed_verbs
from django_workflows.models.workflows import NAME_LENGTH

DEFAULT_PRIORITY = 0

# What a worker that looks for work can see, word by word as it asks (`engine.probing`).
IN_SIGHT = Q(
    wake_at__isnull=False, requested="", status__in=(Status.PENDING.value, Status.WAITING.value, Status.RUNNING.value)
)


# SQLite: a path would need its own escapes for a name like `a"b`, and take "0" for a place in a list.
HAS_TAG = "EXISTS (SELECT 1 FROM json_each(tags) WHERE key = %s AND type IN (%s, %s) AND atom IS %s)"


def _json_types(value: Any) -> tuple[str, str]:
    """What SQLite calls the JSON type of a tag's value."""
    if isinstance(value, bool):
        return ("true", "true") if value else ("false", "false")
    if isinstance(value, int | float):
        return "integer", "real"
    return ("null", "null") if value is None else ("text", "text")


class ExecutionQuerySet(models.QuerySet["Execution"]):
    """The words people need to find executions."""

    def pending(self) -> Self:
        return self.filter(status=Status.PENDING)

    def running(self) -> Self:
        return self.filter(status=Status.RUNNING)

    def waiting(self) -> Self:
        return self.filter(status=Status.WAITING)

    def paused(self) -> Self:
        return self.filter(status=Status.PAUSED)

    def completed(self) -> Self:
        return self.filter(status=Status.COMPLETED)

    def failed(self) -> Self:
        return self.filter(status=Status.FAILED)

    def cancelled(self) -> Self:
        return self.filter(status=Status.CANCELLED)

    def finished(self) -> Self:
        return self.filter(status__in=FINISHED)

    def unfinished(self) -> Self:
        return self.filter(status__in=UNFINISHED)

    def due(self) -> Self:
        """Some worker must look at them now."""
        return self.filter(wake_at__lte=DatabaseNow())

    def stuck(self, overdue: timedelta = timedelta(minutes=1)) -> Self:
        """Overdue by more than `overdue`, or unfinished without anything that could ever wake them.

        The doctor tells more: it looks at open waits as well.
        """
        late = Q(wake_at__lt=DatabaseNow() - overdue)
        lost = Q(wake_at__isnull=True, status__in=(Status.PENDING, Status.RUNNING, Status.ROLLING_BACK))
        return self.filter(late | lost)

    def for_workflow(self, workflow: Any) -> Self:
        """Of one workflow, given by name, by its function or by its row."""
        return self.filter(workflow=getattr(workflow, "name", workflow))

    def with_tag(self, name: str, value: Any) -> Self:
        """Having the tag `name` with this value; by an index where the database has one for JSON."""
        if connections[self.db].vendor == "sqlite":
            parameters = [name, *_json_types(value), value]
            return self.filter(RawSQL(HAS_TAG, parameters, output_field=models.BooleanField()))  # nosec B611  # a constant
        return self.filter(tags__contains={name: value})


class Execution(models.Model):
    """One execution of a workflow.

    `wake_at` is the next moment at which some worker must look at it; `claim` is the fence: it grows each time the
    execution is taken, and whoever holds an older number cannot change anything.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workflow = models.CharField(_("workflow"), max_length=NAME_LENGTH)
    version = models.IntegerField(_("version"), default=1)
    generation = models.IntegerField(_("generation"), default=0)
    status = models.CharField(_("status"), max_length=20, choices=Status, default=Status.PENDING)
    requested = models.CharField(_("requested"), max_length=20, choices=Requested, blank=True, default="")
    reason = models.TextField(_("reason"), blank=True, default="")
    input = PayloadField(_("input"), null=True, blank=True)
    output = PayloadField(_("output"), null=True, blank=True)
    error = PayloadField(_("error"), null=True, blank=True)
    state = PayloadField(_("state"), null=True, blank=True, help_text=_("What the workflow publishes."))
    current_step = models.CharField(_("current step"), max_length=NAME_LENGTH, blank=True, default="")
    queue = models.CharField(_("queue"), max_length=NAME_LENGTH, default="default")
    priority = models.SmallIntegerField(_("priority"), default=DEFAULT_PRIORITY, help_text=_("0 to 9, higher first."))
    key = models.CharField(_("key"), max_length=255, null=True, blank=True)  # noqa: DJ001  # unique where not null
    key_released = models.BooleanField(_("key given up"), default=False)
    idempotency_key = models.CharField(_("idempotency key"), max_length=255, null=True, blank=True)  # noqa: DJ001  # as above
    tags = TagsField(_("tags"))
    parent = models.ForeignKey(
        "self",
        verbose_name=_("parent"),
        on_delete=models.DO_NOTHING,
        related_name="children",
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
    )
    parent_close = models.CharField(_("when the parent is cancelled"), max_length=10, blank=True, default="cancel")
    trigger_id = models.UUIDField(_("trigger"), null=True, blank=True)
    wake_at = models.DateTimeField(_("wake at"), null=True, blank=True)
    claim = models.IntegerField(_("claim"), default=0)
    claimed_by = models.UUIDField(_("claimed by"), null=True, blank=True)
    inbox = models.IntegerField(_("messages received"), default=0)
    awaiting = models.IntegerField(_("children to await"), default=0)
    crashes = models.IntegerField(_("crashes without progress"), default=0)
    deadline = models.DateTimeField(_("deadline"), null=True, blank=True)
    expires_at = models.DateTimeField(_("expires at, unless started"), null=True, blank=True)
    created_at = models.DateTimeField(_("created at"))
    updated_at = models.DateTimeField(_("updated at"))
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    completed_at = models.DateTimeField(_("completed at"), null=True, blank=True)
    erase_requested_at = models.DateTimeField(_("erasure requested at"), null=True, blank=True)
    erased_at = models.DateTimeField(_("erased at"), null=True, blank=True)

    objects = ExecutionQuerySet.as_manager()

    class Meta:
        verbose_name = _("execution")
        verbose_name_plural = _("executions")
        constraints = (
            models.UniqueConstraint(
                fields=("workflow", "key"),
                name="workflows_execution_key",
                condition=Q(key__isnull=False, key_released=False, completed_at__isnull=True),
            ),
            models.UniqueConstraint(
                fields=("workflow", "idempotency_key"),
                name="workflows_execution_idempotent",
                condition=Q(idempotency_key__isnull=False),
            ),
        )
        indexes = (
            models.Index(
                fields=("queue", "priority", "wake_at"),
                name="workflows_execution_wake",
                condition=Q(wake_at__isnull=False),
            ),
            CockroachIndex(
                fields=("queue", "priority", "wake_at"), name="workflows_execution_look", condition=IN_SIGHT
            ),
            models.Index(fields=("requested",), name="workflows_execution_requested", condition=Q(requested__gt="")),
            models.Index(
                fields=("claimed_by",), name="workflows_execution_claimed", condition=Q(claimed_by__isnull=False)
            ),
            models.Index(fields=("wake_at",), name="workflows_execution_suspect", condition=Q(crashes__gte=2)),
            models.Index(fields=("parent",), name="workflows_execution_parent", condition=Q(parent__isnull=False)),
            models.Index(
                fields=("trigger_id", "created_at"),
                name="workflows_execution_trigger",
                condition=Q(trigger_id__isnull=False),
            ),
            models.Index(
                fields=("trigger_id",),
                name="workflows_execution_overlap",
                condition=Q(trigger_id__isnull=False, completed_at__isnull=True),
            ),
            models.Index(fields=("key",), name="workflows_execution_by_key", condition=Q(key__isnull=False)),
            models.Index(fields=("created_at",), name="workflows_execution_created"),
            models.Index(
                fields=("completed_at",), name="workflows_execution_ended", condition=Q(completed_at__isnull=False)
            ),
            models.Index(fields=("workflow", "created_at"), name="workflows_execution_workflow"),
            models.Index(
                fields=("status", "created_at"),
                name="workflows_execution_status",
                condition=~Q(status=Status.COMPLETED),
            ),
            InvertedIndex(fields=("tags",), name="workflows_execution_tags", condition=Q(tags__isnull=False)),
        )
        permissions = (
            ("start_execution", _("Can start executions")),
            ("control_execution", _("Can pause, resume, cancel, retry and signal executions")),
            ("send_event", _("Can publish events")),
            ("view_payload", _("Can see inputs, outputs and errors")),
        )

    def __str__(self) -> str:
        return f"{self.workflow} {self.id}"

    @property
    def is_finished(self) -> bool:
        return self.status in FINISHED

    @property
    def allowed_verbs(self) -> list[str]:
        """The operator's verbs that apply now."""
        return allowed_verbs(self.status, self.requested)

    def pause(self, reason: str = "", *, by: Any = None) -> Self:
        """Park it: running steps finish and are stored, nothing new starts until `resume()`."""
        ports.operations.pause(self, reason, by=by)
        return self

    def resume(self, reason: str = "", *, by: Any = None) -> Self:
        """Let a paused execution go on."""
        ports.operations.resume(self, reason, by=by)
        return self

    def cancel(self, reason: str = "", *, by: Any = None) -> Self:
        """End it, and its children; a running step's late result is refused."""
        ports.operations.cancel(self, reason, by=by)
        return self

    def retry(self, reason: str = "", *, by: Any = None) -> Self:
        """Let a failed execution go on from the step that failed; earlier results are kept."""
        ports.operations.retry(self, reason, by=by)
        return self

    def signal(self, name: str, data: Any = None, *, message_id: str | None = None) -> object:
        """Send it a message, in the caller's transaction; the same `message_id` counts once."""
        return ports.client.signal(self, name, data, message_id=message_id)

    def result(self, timeout: float | timedelta | None = None) -> Any:
        """Wait for its output. `ResultTimeout` after `timeout` seconds, `ExecutionFailed` when it did not complete."""
        return ports.client.result(self, timeout)

    async def aresult(self, timeout: float | timedelta | None = None) -> Any:
        """`result()` for async code; any number of waiters share one connection."""
        return await ports.client.aresult(self, timeout)

    def history(self) -> list[Mapping[str, Any]]:
        """Everything that happened to it, oldest first."""
        return ports.inspection.history(self)
