"""Who is alive."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _


class Worker(models.Model):
    """One worker process: where it runs, what it serves, when it was last seen."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(_("name"), max_length=200)
    hostname = models.CharField(_("host"), max_length=200)
    pid = models.IntegerField(_("process id"))
    queues = models.JSONField(_("queues"), default=list)
    workflows = models.JSONField(_("workflows and versions"), default=dict)
    code_version = models.CharField(_("code version"), max_length=100, blank=True, default="")
    slots = models.IntegerField(_("slots"), default=0)
    slots_used = models.IntegerField(_("slots used"), default=0)
    left_behind = models.JSONField(
        _("left behind"), null=True, blank=True, help_text=_("What runs on there although nothing comes of it.")
    )
    alone = models.BooleanField(_("runs suspects alone"), default=False)
    started_at = models.DateTimeField(_("started at"))
    seen_at = models.DateTimeField(_("last seen at"))
    stopped_at = models.DateTimeField(_("stopped at"), null=True, blank=True)

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        indexes = (models.Index("seen_at", name="workflows_worker_seen"),)

    def __str__(self) -> str:
        return self.name
