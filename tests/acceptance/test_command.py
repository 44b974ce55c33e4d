"""`manage.py runworkflows` as people and deployments see it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.db import connection

from django_workflows.client import start_many
from tests.acceptance.conftest import Reach
from tests.acceptance.nursery import ROOT
from tests.acceptance.processes import Commands, eventually, fresh, is_alive
from tests.sample.children import sample_calling
from tests.sample.ledger import Ledger
from tests.sample.workflows import sample_child, sample_line, sample_sleeper

SUMMARY = re.compile(r"^(\d+) completed, (\d+) failed, (\d+) parked, (\d+) steps in \d+\.\d s$", re.MULTILINE)


def test_the_banner_says_what_is_served_and_the_summary_what_was_done(
    runworkflows: Commands, reach: Reach, ledger: Ledger
) -> None:
    command = runworkflows.typed("--queue", "default", "--queue", "mail", "--threads", "5", "--async-slots", "7")
    command.wait_until_up()
    name = connection.settings_dict["NAME"]
    assert f"database   {connection.vendor} {name}\n" in command.text
    assert "queues     default, mail\n" in command.text
    assert "workflows  sample_alarm, " in command.text
    assert "slots      1 process(es) × 5 threads, 7 async\n" in command.text
    assert "Quit with Ctrl-C.\n" in command.text

    reach(sample_line.start("line"))
    command.send(signal.SIGINT)
    assert command.wait() == 0
    found = SUMMARY.search(command.text)
    assert found is not None
    assert found.groups() == ("1", "0", "0", "3")


def test_silence_can_be_asked_for(runworkflows: Commands) -> None:
    command = runworkflows("--drain", "--verbosity", "0")
    assert command.wait() == 0
    assert command.text == ""


def test_a_drain_ends_when_nothing_is_due_and_waits_for_what_will_be_soon(
    runworkflows: Commands, ledger: Ledger
) -> None:
    """What sleeps for longer stays asleep."""
    start_many(sample_child, [{"number": number} for number in range(50)])
    soon, late = sample_sleeper.start("soon", 1.0), sample_sleeper.start("late", 3600.0)
    command = runworkflows("--drain")
    assert command.wait() == 0
    assert (fresh(soon).status, fresh(late).status) == ("completed", "waiting")
    found = SUMMARY.search(command.text)
    assert found is not None
    assert found.groups() == ("51", "0", "2", "53")
    assert not command.children


def test_a_drain_of_nothing_takes_a_moment(runworkflows: Commands) -> None:
    began = time.monotonic()
    assert runworkflows("--drain").wait() == 0
    assert time.monotonic() - began < 15


def test_a_failure_is_one_line(runworkflows: Commands) -> None:
    execution = sample_calling.start("sample_unknown")
    command = runworkflows("--drain")
    assert command.wait() == 0
    assert f"failed     sample_calling {execution.id}: KeyError: 'sample_unknown'" in command.text
    assert "Traceback" not in command.text


@pytest.mark.skipif(connection.vendor != "sqlite", reason="others serve many writers")
def test_sqlite_has_one_worker_process(runworkflows: Commands) -> None:
    command = runworkflows("--processes", "2")
    assert command.wait() == 1
    assert "SQLite has one writer" in command.text


def test_a_database_without_tables_is_refused_in_words(runworkflows: Commands, tmp_path: Path) -> None:
    """CRS-18."""
    command = runworkflows.typed(environment={"DATABASE_URL": f"sqlite:///{tmp_path}/empty.sqlite3"})
    assert command.wait() == 1
    assert "run `manage.py migrate`" in command.text
    assert "Traceback" not in command.text
    assert "Quit with" not in command.text


def test_a_database_newer_than_the_code_is_refused_in_words(runworkflows: Commands, tmp_path: Path) -> None:
    """CRS-18."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) "
            "VALUES ('django_workflows', '9999_future', CURRENT_TIMESTAMP)"
        )
    try:
        command = runworkflows()
        assert command.wait() == 1
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM django_migrations WHERE name = '9999_future'")
    assert "newer than this code: unknown migration(s) 9999_future" in command.text
    assert "Traceback" not in command.text


NOWHERE = {"DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_database_that_is_not_there_is_waited_for_until_somebody_stops_it(
    runworkflows: Commands, number: signal.Signals
) -> None:
    """DBF-06: as those do who are started before their database is."""
    command = runworkflows.typed(environment=NOWHERE)
    eventually(lambda: "The database cannot be used (" in command.text, or_tell=lambda: command.text)
    children = command.children
    command.send(number)
    assert command.wait() != 0
    eventually(lambda: not any(map(is_alive, children)))
    assert command.text.count("The database cannot be used (") == 1
    assert "Waiting for it" in command.text
    assert "Traceback" not in command.text
    assert "Quit with" not in command.text


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite asks nobody for his name")
def test_a_database_that_refuses_us_is_not_waited_for(runworkflows: Commands, database_url: str) -> None:
    """CRS-18."""
    command = runworkflows.typed(environment={"DATABASE_URL": re.sub(r"//[^@/]*@", "//nobody@", database_url)})
    assert command.wait() == 1
    assert "The database cannot be used: " in command.text
    assert "does not exist" in command.text
    assert "Traceback" not in command.text


# reloading

RELOADED = """
from django_workflows import workflow

@workflow
def sample_reloaded(ctx) -> str:
    return "{answer}"
"""


@pytest.fixture
def reloaded_app(tmp_path: Path) -> Path:
    """An app outside the repository whose workflow changes."""
    package = tmp_path / "sample_reloaded_app"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "workflows.py").write_text(RELOADED.format(answer="old"))
    settings = "from tests.sample.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'sample_reloaded_app']\n"
    (tmp_path / "sample_reloaded_settings.py").write_text(settings)
    return package / "workflows.py"


def test_autoreload_starts_again_when_code_changes(
    runworkflows: Commands, reloaded_app: Path, tmp_path: Path, database_url: str
) -> None:
    """What is in flight is drained, and a mistake is waited for to be mended."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "sample_reloaded_settings",
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    started = runworkflows.typed("--autoreload", environment=environment)
    eventually(lambda: started.text.count("Quit with") >= 1, or_tell=lambda: started.text)
    reloaded_app.write_text(RELOADED.format(answer="new"))
    eventually(lambda: started.text.count("Quit with") >= 2, or_tell=lambda: started.text)
    assert "changed, starting again" in started.text

    reloaded_app.write_text("def")
    eventually(lambda: "SyntaxError" in started.text, or_tell=lambda: started.text)
    reloaded_app.write_text(RELOADED.format(answer="newest"))
    eventually(lambda: started.text.count("Quit with") >= 3, or_tell=lambda: started.text)

    script = "from django_workflows.client import start; print(start('sample_reloaded').result(timeout=20))"
    answer = subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", script],
        cwd=ROOT,
        env=started.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "newest\n"
    processes = started.children
    started.send(signal.SIGTERM)
    assert started.wait() == 0
    assert not any(map(is_alive, processes))
