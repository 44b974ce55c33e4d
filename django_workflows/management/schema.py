"""Whether the tables are those of this code: told in words, where a command would end in a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from django_workflows import conf


def problem_of_tables(alias: str) -> str:
    """What is wrong with the tables of django_workflows; empty when they are those of this code."""
    executor = MigrationExecutor(connections[alias])
    targets = [node for node in executor.loader.graph.leaf_nodes() if node[0] == "django_workflows"]
    if executor.migration_plan(targets):
        return f"The tables of django_workflows in {alias!r} are not up to date: run `manage.py migrate`."
    applied = {name for app, name in executor.loader.applied_migrations if app == "django_workflows"}
    known = {name for app, name in executor.loader.disk_migrations if app == "django_workflows"}
    if unknown := applied - known:
        return f"The tables are newer than this code: unknown migration(s) {', '.join(sorted(unknown))}."
    return ""


@contextmanager
def explained() -> Iterator[None]:
    """Turns errors of the database into a `CommandError` that says what to do."""
    try:
        yield
    except DatabaseError as error:
        raise CommandError(_problem(conf.database()) or f"The database cannot be used: {error}") from error


def _problem(alias: str) -> str:
    try:
        return problem_of_tables(alias)
    except DatabaseError:
        return ""
