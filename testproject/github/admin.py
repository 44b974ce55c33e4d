"""The pages of the receiver in the admin."""

from __future__ import annotations

from django.contrib import admin

from testproject.github.models import CheckRun, Commit, Issue


@admin.register(Issue)
class IssueAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    list_display = ("__str__", "title", "author", "is_open", "labels", "suggested", "updated_at")
    list_filter = ("is_open", "repository")
    search_fields = ("title", "author")


@admin.register(CheckRun)
class CheckRunAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # as above
    list_display = ("name", "repository", "commit", "status", "conclusion", "completed_at")
    list_filter = ("conclusion", "repository")
    search_fields = ("name", "commit")


@admin.register(Commit)
class CommitAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # as above
    list_display = ("__str__", "state", "summary", "updated_at")
    list_filter = ("state", "repository")
    search_fields = ("sha",)
