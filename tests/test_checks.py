"""System checks: each tells what is wrong and how to mend it, and none of them fails itself."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings as project
from django.core.checks import CheckMessage
from django.core.management import call_command
from django.db import connection
from django.db.backends.sqlite3.base import DatabaseWrapper

from django_workflows.authoring.definitions import StepDefinition, WorkflowDefinition
from django_workflows.authoring.registry import Registry, registry
from django_workflows.checks import (
    check_database,
    check_names,
    check_redaction,
    check_server,
    check_settings,
    databases,
    names,
)

GOOD = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
}


def ids(messages: list[CheckMessage]) -> list[str]:
    return [str(message.id).removeprefix("django_workflows.") for message in messages]


def use(monkeypatch: pytest.MonkeyPatch, wrapper: Any, alias: str = "default") -> None:
    """Let the checks see this connection."""
    monkeypatch.setattr(databases, "connections", {alias: wrapper})


def sqlite(name: object, **options: Any) -> DatabaseWrapper:
    return DatabaseWrapper({**connection.settings_dict, "NAME": str(name), "OPTIONS": options}, alias="default")


def test_the_test_project_has_nothing_to_complain_of() -> None:
    call_command("check", fail_level="WARNING")
    assert [*check_settings(), *check_names(), *check_database()] == []


# the settings


def test_showing_everything_is_told_before_deploying(settings: Any) -> None:
    assert check_redaction() == []

    settings.WORKFLOWS = {"REDACT": []}
    assert ids(check_redaction()) == ["W017"]

    settings.WORKFLOWS = {"REDACT": None}
    assert check_redaction() == [], "the other check has told"


@pytest.mark.parametrize("value", [[], None, "THREADS", 1])
def test_workflows_is_a_dict(settings: Any, value: object) -> None:
    settings.WORKFLOWS = value

    assert ids(check_settings()) == ["E001"]
    assert check_database() == []
    assert check_server(databases=["default"]) == []


def test_a_broken_setting_does_not_break_the_command_that_tells_it(tmp_path: Path) -> None:
    (tmp_path / "broken_settings.py").write_text("from testproject.settings import *\nWORKFLOWS = ['THREADS']\n")
    program = (
        "import django; django.setup(); import django_workflows.checks; "
        "from django.core.management import call_command; call_command('check')"
    )
    environment = {"PYTHONPATH": f"{tmp_path}:{project.BASE_DIR}", "DJANGO_SETTINGS_MODULE": "broken_settings"}

    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert "django_workflows.E001" in done.stderr


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"THREADS": 8, "LEASE": 5, "POLL_INTERVAL": 0.1, "EAGER": True, "DEFAULT_RETRY": {"max_attempts": 1}}, []),
        ({"THREADS": "8"}, ["E002"]),
        ({"THREADS": 8.0}, ["E002"]),
        ({"THREADS": True}, ["E002"]),
        ({"THREADS": None}, ["E002"]),
        ({"EAGER": 1}, ["E002"]),
        ({"DATABASE": None}, ["E002"]),
        ({"DEFAULT_RETRY": 3}, ["E002"]),
        ({"THREADS": 0}, ["E003"]),
        ({"LEASE": 0.1}, ["E003"]),
        ({"LEASE": float("nan")}, ["E003"]),
        ({"LEASE": float("inf")}, ["E003"]),
        ({"BRANCH_THREADS": 0}, []),
        ({"DEFAULT_QUEUE": " "}, ["E003"]),
        ({"DEFAULT_QUEUE": "q" * 1000}, ["E003"]),
        ({"DEFAULT_RETRY": {"max_attempts": 0}}, ["E004"]),
        ({"DEFAULT_RETRY": {"attempts": 3}}, ["E004"]),
        ({"DEFAULT_RETRY": {"initial_interval": "soon"}}, ["E004"]),
        ({"DEFAULT_RETRY": {"max_attempts": "3"}}, ["E004"]),
        ({"REDACT": ["iban", "*_code"]}, []),
        ({"REDACT": ()}, []),
        ({"REDACT": "password"}, ["E002"]),
        ({"REDACT": None}, ["E002"]),
        ({"REDACT": ["iban", 7]}, ["E003"]),
        ({"REDACT": ["iban", ""]}, ["E003"]),
        ({"REDACT": ["*"]}, ["E003"]),
        ({"THREAD": 8, "LEASE": "x"}, ["W001", "E002"]),
    ],
)
def test_settings_have_known_names_types_and_ranges(settings: Any, given: dict[str, Any], expected: list[str]) -> None:
    settings.WORKFLOWS = given

    assert ids(check_settings()) == expected


def test_an_unknown_key_is_answered_with_the_one_that_was_meant(settings: Any) -> None:
    settings.WORKFLOWS = {"thread": 8}
    assert check_settings()[0].hint == "Did you mean 'THREADS'?"

    settings.WORKFLOWS = {7: 8}
    assert "THREADS" in str(check_settings()[0].hint)


def test_a_wrong_value_is_answered_with_what_the_setting_means(settings: Any) -> None:
    settings.WORKFLOWS = {"LEASE": "x"}

    message = check_settings()[0]

    assert message.msg == "WORKFLOWS['LEASE'] is 'x', a str; it must be int or float."
    assert message.hint == "Seconds until the executions of a lost worker are taken over. The default is 30.0."


def test_moments_need_time_zones(settings: Any) -> None:
    settings.USE_TZ = False

    assert ids(check_settings()) == ["E009"]


# names


def first(ctx: Any) -> None: ...


def second(ctx: Any) -> None: ...


def test_a_name_that_two_functions_have_is_told_with_both_places(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    monkeypatch.setattr(names, "registry", registry)
    for function in (first, second):
        registry.add_workflow(WorkflowDefinition(function, {"name": "checks_twice"}))

    (message,) = check_names()

    assert message.id == "django_workflows.E005"
    assert "tests.test_checks.first" in message.msg
    assert "tests.test_checks.second" in message.msg


# the database


def test_the_alias_must_be_one_of_the_project(settings: Any) -> None:
    settings.WORKFLOWS = {"DATABASE": "engine"}

    (message,) = check_database()

    assert message.id == "django_workflows.E006"
    assert message.hint == "The aliases are: default."


@pytest.mark.parametrize("vendor", ["mysql", "oracle"])
def test_databases_without_what_the_engine_needs_are_refused(monkeypatch: pytest.MonkeyPatch, vendor: str) -> None:
    use(monkeypatch, SimpleNamespace(vendor=vendor, display_name=vendor, alias="default"))

    assert ids(check_database()) == ["E007"]


def test_an_old_driver_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, SimpleNamespace(vendor="postgresql", display_name="PostgreSQL", alias="default"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    assert ids(check_database()) == ["E010"]


def test_an_old_sqlite_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use(monkeypatch, sqlite(tmp_path / "db.sqlite3", **GOOD))
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 34, 1))

    assert ids(check_database()) == ["E010"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (GOOD, []),
        (GOOD | {"transaction_mode": "exclusive"}, []),
        (GOOD | {"timeout": None, "init_command": "pragma journal_mode = wal; PRAGMA busy_timeout = 5000"}, []),
        ({}, ["W002", "W003", "W004"]),
        (GOOD | {"transaction_mode": "DEFERRED"}, ["W002"]),
        (GOOD | {"transaction_mode": None}, ["W002"]),
        (GOOD | {"init_command": ""}, ["W003"]),
        (GOOD | {"timeout": 0.5}, ["W004"]),
    ],
)
def test_sqlite_is_set_up_for_several_threads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: dict[str, Any], expected: list[str]
) -> None:
    use(monkeypatch, sqlite(tmp_path / "db.sqlite3", **options))

    messages = check_database()

    assert ids(messages) == expected
    lines = {"W002": '"transaction_mode": "IMMEDIATE"', "W003": "PRAGMA journal_mode=WAL", "W004": '"timeout": 20'}
    assert all(lines[id] in str(message.hint) for id, message in zip(expected, messages, strict=True))


def test_a_file_that_is_in_wal_mode_already_need_not_ask_for_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "db.sqlite3")) as file:
        file.execute("PRAGMA journal_mode=WAL")
    use(monkeypatch, sqlite(tmp_path / "db.sqlite3", transaction_mode="IMMEDIATE", timeout=20))

    assert check_database() == []


def test_a_database_in_memory_is_only_for_executing_in_place(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    use(monkeypatch, sqlite(":memory:"))
    assert ids(check_database()) == ["W005"]

    settings.WORKFLOWS = {"EAGER": True}
    assert check_database() == []


def test_sqlite_has_one_worker_process(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> None:
    settings.WORKFLOWS = {"PROCESSES": 2}
    use(monkeypatch, sqlite(tmp_path / "db.sqlite3", **GOOD))

    assert ids(check_database()) == ["E008"]


# the server


@pytest.mark.django_db
def test_wal_that_is_not_in_force_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrapper = sqlite(tmp_path / "db.sqlite3", init_command="PRAGMA journal_mode=DELETE; -- journal_mode=wal")
    use(monkeypatch, wrapper)

    assert ids(check_server(databases=["default"])) == ["W007"]
    wrapper.close()

    good = sqlite(tmp_path / "other.sqlite3", **GOOD)
    use(monkeypatch, good)
    assert check_server(databases=["default"]) == []
    good.close()


def test_nobody_connects_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, SimpleNamespace(vendor="postgresql"))

    assert check_server() == check_server(databases=["other"]) == []


@pytest.mark.django_db
def test_the_server_has_a_connection_for_every_thread(settings: Any) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL")
    assert check_server(databases=["default"]) == []

    settings.WORKFLOWS = {"PROCESSES": 50, "THREADS": 100}
    (message,) = check_server(databases=["default"])

    assert message.id == "django_workflows.W006"
    assert "may open" in message.msg


def test_the_defaults_fit_a_server_with_its_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """DBF-09: also with `def` steps that have a timeout, whose bodies run in threads of their own."""
    timed = StepDefinition(abs, {"timeout": timedelta(seconds=1)})
    monkeypatch.setattr(registry, "_steps", {"abs": timed})

    assert databases.connections_needed() <= 97


@pytest.mark.django_db
def test_steps_with_a_timeout_are_named_when_connections_are_short(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """DBF-09: a `def` body that may be left behind runs in a thread beside the one that waits for it."""
    if connection.vendor != "postgresql":
        pytest.skip("about PostgreSQL")
    settings.WORKFLOWS = {"PROCESSES": 50, "THREADS": 10, "BRANCH_THREADS": 5}
    plain, timed = StepDefinition(abs, {}), StepDefinition(abs, {"timeout": timedelta(seconds=1)})

    for step, is_named in ((plain, False), (timed, True)):
        monkeypatch.setattr(registry, "_steps", {"abs": step})
        (message,) = check_server(databases=["default"])
        assert f"{50 * (10 + 5 + 3) + 1} connections" in message.msg
        assert ("50 × 15 in `def` steps" in message.msg) == is_named


def test_a_time_zone_of_sqlite_is_refused() -> None:
    """Django would write local times beside the engine's UTC."""
    told = SimpleNamespace(settings_dict={"TIME_ZONE": "Europe/Berlin"}, alias="default", is_in_memory_db=lambda: True)
    assert "django_workflows.E016" in {message.id for message in databases._sqlite(told)}  # type: ignore[arg-type]  # enough of one


def test_a_database_that_is_not_in_utf8_is_refused() -> None:
    class Cursor:
        def __enter__(self) -> Any:
            return self

        def __exit__(self, *args: Any) -> None: ...
        def execute(self, sql: str) -> None: ...
        def fetchone(self) -> tuple[str]:
            return ("LATIN1",)

    (message,) = databases._encoding(SimpleNamespace(alias="default", cursor=Cursor))  # type: ignore[arg-type]  # enough of one
    assert message.id == "django_workflows.E017"
