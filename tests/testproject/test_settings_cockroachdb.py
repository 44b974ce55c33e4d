"""What CockroachDB would be told can be read without a server."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.conf import settings


def manage(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments, "--settings=testproject.settings_cockroachdb"],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_system_checks_pass() -> None:
    checked = manage("check", "--database=default")

    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("migration", [("django_workflows", "0001"), ("admin_interface", "0002")])
def test_the_sql_of_migrations_is_printed(migration: tuple[str, str]) -> None:
    printed = manage("sqlmigrate", *migration)

    assert printed.returncode == 0, printed.stderr
    assert "TABLE" in printed.stdout


def test_storing_something_is_refused_with_what_to_do() -> None:
    refused = manage("migrate")

    assert refused.returncode == 1
    assert "set DATABASE_URL=cockroachdb://" in refused.stderr
