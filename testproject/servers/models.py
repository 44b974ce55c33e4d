"""The servers that we rent."""

from __future__ import annotations

from django.db import models


class Server(models.Model):
    class Status(models.TextChoices):
        RUNNING = "running"
        DESTROYED = "destroyed"

    class Size(models.TextChoices):
        SMALL = "small"
        MEDIUM = "medium"
        LARGE = "large"

    name = models.CharField(max_length=60, unique=True)
    size = models.CharField(max_length=10, choices=Size)
    status = models.CharField(max_length=10, choices=Status, default=Status.RUNNING)
    certificates = models.PositiveIntegerField(default=0, help_text="How many it has had.")
    certified_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
