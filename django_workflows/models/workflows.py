"""What can be executed: workflows and their versions."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _

from django_workflows.models.fields import PayloadField, made_by_column
from django_workflows.models.natural import Natural

NAME_LENGTH = 200


class Workflow(Natural):
    """A workflow by name; the other tables refer to the name, so history outlives a deleted row."""

    natural = ("name",)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=NAME_LENGTH, unique=True)
    description = models.TextField(_("description"), blank=True, default="")
    tags = models.JSONField(_("tags"), blank=True, default=list)
    version = models.IntegerField(_("current version"), default=1)
    queue = models.CharField(_("default queue"), max_length=NAME_LENGTH, blank=True, default="")
    timeout = models.DurationField(_("timeout"), null=True, blank=True)
    on_error = models.CharField(_("on error"), max_length=20, blank=True, default="")
    retry = PayloadField(_("retry policy"), null=True, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("workflow")
        verbose_name_plural = _("workflows")
        ordering = ("name",)
        permissions = (("call_step", _("Can call every registered step in definitions")),)

    def __str__(self) -> str:
        return self.name


class WorkflowVersion(Natural):
    """One version that executions may be pinned to; rows are added, never overwritten."""

    natural = ("workflow", "version")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workflow = models.CharField(_("workflow"), max_length=NAME_LENGTH)
    version = models.IntegerField(_("version"))
    definition = PayloadField(_("definition"), null=True, blank=True, help_text=_("Empty when it is code."))
    input_schema = PayloadField(_("input schema"), null=True, blank=True)
    fingerprint = models.CharField(_("fingerprint of the code"), max_length=64, blank=True, default="")
    made_by = made_by_column()
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("workflow version")
        verbose_name_plural = _("workflow versions")
        constraints = (models.UniqueConstraint("workflow", "version", name="workflows_version_once"),)

    def __str__(self) -> str:
        return f"{self.workflow} v{self.version}"
