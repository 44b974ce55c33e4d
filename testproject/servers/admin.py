"""The pages of servers in the admin."""

from __future__ import annotations

from django.contrib import admin

from testproject.servers.models import Server


@admin.register(Server)
class ServerAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    list_display = ("name", "size", "status", "certificates", "certified_until")
    list_filter = ("status", "size")
    search_fields = ("name",)
