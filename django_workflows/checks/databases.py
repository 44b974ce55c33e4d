"""The database that holds the engine's tables: whether it can, and whether it is set up for several threads."""

from __future__ import annotations

import importlib.util
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_workflows import conf
from django_workflows.authoring.registry import registry
from django_workflows.checks.settings import TAG, check_settings

USABLE = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "cockroachdb": "CockroachDB"}
OLDEST_SQLITE = (3, 35, 0)  # the first with RETURNING and MATERIALIZED
SHORTEST_TIMEOUT = 5.0
OPTIONS = {
    "W002": '"transaction_mode": "IMMEDIATE"',
    "W003": '"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"',
    "W004": '"timeout": 20',
}


@register(TAG)
def check_database(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """What the settings tell about the database, without connecting to it."""
    if _settings_are_broken():
        return []
    alias = conf.database()
    if alias not in list(connections):
        known = ", ".join(sorted(connections))
        return [
            Error(
                f"WORKFLOWS['DATABASE'] is {alias!r}, and DATABASES has no such alias.",
                hint=f"The aliases are: {known}.",
                id="django_workflows.E006",
            )
        ]
    connection = connections[alias]
    if connection.vendor not in USABLE:
        return [
            Error(
                f"The engine does not run on {connection.display_name} (the database {alias!r}).",
                hint=f"Keep its tables in {', '.join(USABLE.values())}: add such a database to DATABASES and name it "
                "in WORKFLOWS['DATABASE'].",
                id="django_workflows.E007",
            )
        ]
    return list(_sqlite(connection) if connection.vendor == "sqlite" else _driver(connection))


@register(Tags.database)
def check_server(
    app_configs: Any = None, databases: Collection[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """What only the database itself can tell; asked with `manage.py check --database …` and by `migrate`."""
    if _settings_are_broken() or conf.database() not in (databases or ()):
        return []
    connection = connections[conf.database()]
    match connection.vendor:
        case "postgresql":
            return [*_encoding(connection), *_connections(connection)]
        case "sqlite":
            return list(_journal_mode(connection))
    return []


def _settings_are_broken() -> bool:
    """Then the settings cannot be read, and have been complained about."""
    return any(isinstance(message, Error) for message in check_settings())


def _driver(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    if importlib.util.find_spec("psycopg") is None:
        yield Error(
            f"The engine needs psycopg 3 for {connection.display_name}; Django uses psycopg2 here.",
            hint='Install it: pip install "psycopg[binary,pool]".',
            id="django_workflows.E010",
        )


def _sqlite(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    """SQLite has one writer, and its defaults are those of a single thread."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        yield Error(
            f"The engine needs SQLite 3.35 or newer; this Python has {sqlite3.sqlite_version}.",
            hint="Use a newer Python, or PostgreSQL.",
            id="django_workflows.E010",
        )
    if connection.settings_dict.get("TIME_ZONE"):
        yield Error(
            f"DATABASES[{connection.alias!r}]['TIME_ZONE'] is set, and SQLite keeps times without a zone: what Django "
            "writes and what the engine writes would be hours apart.",
            hint="Take it out; with USE_TZ everything is stored in UTC.",
            id="django_workflows.E016",
        )
    if conf.processes() > 1:
        yield Error(
            f"WORKFLOWS['PROCESSES'] is {conf.processes()}, and SQLite has one writer: more processes only wait.",
            hint="Set it to 1, or use PostgreSQL.",
            id="django_workflows.E008",
        )
    if connection.is_in_memory_db():  # type: ignore[attr-defined]  # of SQLite's wrapper
        if not conf.eager():
            yield Warning(
                f"The database {connection.alias!r} is in memory: no worker process can see its executions.",
                hint='Use a file, or execute in place: WORKFLOWS = {"EAGER": True}.',
                id="django_workflows.W005",
            )
        return
    yield from _sqlite_options(connection)


def _sqlite_options(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    options: Mapping[str, Any] = connection.settings_dict["OPTIONS"]
    pragmas = str(options.get("init_command") or "").lower().replace(" ", "")
    if str(options.get("transaction_mode") or "").upper() not in {"IMMEDIATE", "EXCLUSIVE"}:
        yield _advice(
            connection,
            "transactions begin without the write lock, and fail with 'database is locked' when two of them write.",
            "W002",
        )
    if "journal_mode=wal" not in pragmas and not _is_wal_file(connection.settings_dict["NAME"]):
        yield _advice(connection, "without WAL, readers and the writer wait for each other.", "W003")
    timeout = options.get("timeout")
    if "busy_timeout" not in pragmas and (timeout is None or timeout < SHORTEST_TIMEOUT):
        yield _advice(connection, "who finds it locked gives up too soon; ask for a busy timeout.", "W004")


def _advice(connection: BaseDatabaseWrapper, problem: str, id: str) -> CheckMessage:
    hint = f"Add to DATABASES[{connection.alias!r}]['OPTIONS'] in the settings: {OPTIONS[id]}."
    return Warning(f"SQLite ({connection.alias!r}): {problem}", hint=hint, id=f"django_workflows.{id}")


def _is_wal_file(name: Any) -> bool:
    """Whether the file has been switched to WAL, which lasts: bytes 18 and 19 of its header are 2."""
    try:
        with Path(str(name)).open("rb") as file:
            return file.read(20)[18:20] == b"\x02\x02"
    except (OSError, ValueError):
        return False


def _encoding(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_encoding')")
        encoding = cursor.fetchone()[0]
    if encoding != "UTF8":
        yield Error(
            f"The database {connection.alias!r} stores text as {encoding}: what it cannot hold fails executions.",
            hint="Make it anew: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0.",
            id="django_workflows.E017",
        )


def _connections(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    """Whether the server has a connection for every thread of every worker process."""
    needed = connections_needed()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
        )
        available = cursor.fetchone()[0]
    if needed > available:
        further = "".join(f", and {conf.processes()} × {apart} in `def` steps with a timeout" for apart in _apart())
        yield Warning(
            f"The workers of one `runworkflows` may open {needed} connections{further}; the server has {available} "
            "in all.",
            hint="Lower PROCESSES, THREADS or BRANCH_THREADS in WORKFLOWS (each thread that uses the database opens "
            "one), or raise max_connections. The web server's connections come on top.",
            id="django_workflows.W006",
        )


def connections_needed() -> int:
    """What one `runworkflows` opens when every thread and every branch is busy in the database.

    A `def` body with a timeout has a thread of its own, while the one that waits for it uses nothing: counting both for
    every thread and branch at once would warn with the defaults of the engine and of PostgreSQL.
    """
    return conf.processes() * (conf.threads() + conf.branch_threads() + 3) + 1


def _apart() -> Iterator[int]:
    """The most bodies that run apart in a process, if any do."""
    steps = (definition.step for _, _, definition in registry.served())
    if any(step is not None and not step.is_async and step.options.timeout is not None for step in steps):
        yield conf.threads() + conf.branch_threads()


def _journal_mode(connection: BaseDatabaseWrapper) -> Iterator[CheckMessage]:
    if connection.is_in_memory_db():  # type: ignore[attr-defined]  # of SQLite's wrapper
        return
    with connection.cursor() as cursor:
        mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
    if str(mode).lower() != "wal" and "journal_mode" in str(connection.settings_dict["OPTIONS"].get("init_command")):
        yield Warning(
            f"SQLite ({connection.alias!r}): WAL was asked for, and the journal mode is {mode!r}.",
            hint="WAL needs a file on a local disk; shared folders and network disks cannot do it.",
            id="django_workflows.W007",
        )
