"""What we know of issues and checks on GitHub."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Issue(models.Model):
    repository = models.CharField(max_length=200)
    number = models.PositiveIntegerField()
    title = models.CharField(max_length=300)
    author = models.CharField(max_length=100, blank=True)
    url = models.URLField(max_length=500)
    is_open = models.BooleanField(default=True)
    labels = models.JSONField(default=list, help_text="Those it has on GitHub.")
    suggested = models.JSONField(default=list, help_text="Those it should have, by what is written in it.")
    updated_at = models.DateTimeField(help_text="On GitHub.")

    class Meta:
        ordering = ("repository", "-number")
        constraints = (models.UniqueConstraint(fields=("repository", "number"), name="one_row_per_issue"),)

    def __str__(self) -> str:
        return f"{self.repository}#{self.number}"


class CheckRunQuerySet(models.QuerySet["CheckRun"]):
    def of(self, repository: str, commit: str) -> CheckRunQuerySet:
        return self.filter(repository=repository, commit=commit)

    def failed(self) -> CheckRunQuerySet:
        return self.filter(conclusion__in=CheckRun.FAILURES)

    def unfinished(self) -> CheckRunQuerySet:
        return self.filter(~Q(status=CheckRun.COMPLETED))


class CheckRun(models.Model):
    COMPLETED = "completed"
    FAILURES = ("failure", "timed_out", "startup_failure", "action_required")

    github_id = models.BigIntegerField(unique=True)
    repository = models.CharField(max_length=200)
    commit = models.CharField(max_length=64)
    name = models.CharField(max_length=300)
    status = models.CharField(max_length=20)
    conclusion = models.CharField(max_length=20, blank=True)
    url = models.URLField(max_length=500, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True, help_text="On GitHub.")

    objects = CheckRunQuerySet.as_manager()

    class Meta:
        ordering = ("repository", "commit", "name")
        indexes = (models.Index(fields=("repository", "commit"), name="checks_of_a_commit"),)

    def __str__(self) -> str:
        return f"{self.name}: {self.conclusion or self.status}"


class Commit(models.Model):
    """What all checks of a commit say together."""

    class State(models.TextChoices):
        PENDING = "pending"
        PASSING = "passing"
        FAILING = "failing"

    repository = models.CharField(max_length=200)
    sha = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State)
    summary = models.TextField(blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-updated_at",)
        constraints = (models.UniqueConstraint(fields=("repository", "sha"), name="one_row_per_commit"),)

    def __str__(self) -> str:
        return f"{self.repository}@{self.sha[:7]}"
