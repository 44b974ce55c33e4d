"""The ground that the other tests stand on: which database they get, and that others can share it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import connection

from tests.conftest import ON_EACH, ON_SQLITE_ALONE, ROOT

COUNT_GROUPS = "from django.contrib.auth.models import Group; print(Group.objects.count())"


def test_another_process_sees_what_a_test_has_committed(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Group.objects.create(name="editors")
    monkeypatch.setenv("DATABASE_URL", database_url)

    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", COUNT_GROUPS]
    output = subprocess.check_output(command, cwd=settings.BASE_DIR, text=True)

    assert output.strip() == "1"


@pytest.mark.django_db
def test_sqlite_is_a_file_in_wal_mode_that_only_this_session_uses(tmp_path_factory: pytest.TempPathFactory) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("about SQLite")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        mode = cursor.fetchone()[0]

    assert Path(connection.settings_dict["NAME"]).is_relative_to(tmp_path_factory.getbasetemp())
    assert mode == "wal"


def test_what_needs_no_database_is_tried_on_sqlite_alone() -> None:
    assert connection.vendor == "sqlite"


@pytest.mark.parametrize("path", [*ON_SQLITE_ALONE, *ON_EACH])
def test_the_lists_name_what_is_there(path: str) -> None:
    """One that was moved would be tried elsewhere, or on no other database, without a word."""
    assert (ROOT / path).exists()
