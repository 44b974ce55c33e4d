"""The pages of domains in the admin."""

from __future__ import annotations

from django.contrib import admin

from testproject.domains.models import Domain


@admin.register(Domain)
class DomainAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    list_display = ("name", "address", "status", "certificate", "note")
    list_filter = ("status",)
    search_fields = ("name",)
