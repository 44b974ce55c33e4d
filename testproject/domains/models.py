"""The domains that customers bring along."""

from __future__ import annotations

from django.db import models


class Domain(models.Model):
    class Status(models.TextChoices):
        ORDERED = "ordered"
        ACTIVE = "active"
        REFUSED = "refused"
        FAILED = "failed"

    name = models.CharField(max_length=253, unique=True)
    address = models.GenericIPAddressField(help_text="Where it is to lead.")
    status = models.CharField(max_length=10, choices=Status, default=Status.ORDERED)
    certificate = models.CharField(max_length=60, blank=True, default="")
    note = models.CharField(max_length=200, blank=True, default="", help_text="Why it is so.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
