"""The pages of the newsletter in the admin."""

from __future__ import annotations

from django.contrib import admin

from testproject.newsletter.models import Subscriber


@admin.register(Subscriber)
class SubscriberAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    list_display = ("email", "is_active", "last_issue", "created_at")
    list_filter = ("is_active",)
    search_fields = ("email",)
