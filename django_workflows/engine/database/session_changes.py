"""Whether a body has changed a connection for those who come after it: asked of the driver, without asking the server.

What a statement does behind the scenes (`SELECT my_function()`, which sets something for the session) cannot be seen.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from operator import itemgetter
from typing import Any

from django.utils.functional import cached_property

# SQLite needs no driver, and Django may work with psycopg 2
psycopg: Any = import_module("psycopg") if find_spec("psycopg") else None

# What Django itself changes on a wrapper.
CHANGING = {
    *("connection", "queries_log", "isolation_level", "close_at", "errors_occurred", "execute_wrappers"),
    *("autocommit", "in_atomic_block", "atomic_blocks", "commit_on_exit", "closed_in_transaction"),
    *("savepoint_state", "savepoint_ids", "needs_rollback", "rollback_exc", "_named_cursor_idx"),
    *("run_on_commit", "run_commit_hooks_on_set_autocommit_on", "health_check_enabled", "health_check_done"),
    *("_thread_sharing_lock", "_thread_sharing_count", "init_commands", "transaction_mode"),
}

_known: dict[type, set[str]] = {}  # by class of wrapper: `CHANGING`, and what it computes once

SOILED = "soiled_by_bodies"  # an attribute of psycopg's connections

PLAIN = re.compile(
    r"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH|VALUES|MERGE|SAVEPOINT|RELEASE|ROLLBACK|COMMIT|BEGIN|START|END|ABORT|FETCH"
    r"|CLOSE|EXPLAIN|SHOW|COPY|LOCK|TRUNCATE|ANALYZE|NOTIFY|CALL|SET\s+(?:LOCAL|TRANSACTION|CONSTRAINTS)|\()",
    re.IGNORECASE,
)
LASTING = re.compile(
    r"set_config|advisory_(?:lock|try)|try_advisory_lock|\btemp(?:orary)?\b|pg_temp|dblink|;\s*\S", re.I
)

SQLITE_LASTING = {
    sqlite3.SQLITE_ATTACH,
    sqlite3.SQLITE_DETACH,
    sqlite3.SQLITE_CREATE_TEMP_INDEX,
    sqlite3.SQLITE_CREATE_TEMP_TABLE,
    sqlite3.SQLITE_CREATE_TEMP_TRIGGER,
    sqlite3.SQLITE_CREATE_TEMP_VIEW,
}


def lasts(statement: Any) -> bool:
    """Whether a statement may leave something on the session: a setting, a role, a lock, a temporary table, a plan."""
    if isinstance(statement, bytes):
        statement = statement.decode("utf-8", "replace")
    return not isinstance(statement, str) or not PLAIN.match(statement) or LASTING.search(statement) is not None


class Likeness:
    """What a wrapper was like: a tenant library, and whoever else has a use for it, keeps attributes there."""

    def __init__(self, wrapper: Any) -> None:
        self._own = vars(wrapper).keys() - _changing(type(wrapper))
        self._get = itemgetter(*self._own, "alias", "alias")
        self._values = self._get(vars(wrapper))
        self._wrappers = list(wrapper.execute_wrappers)
        self._length = len(vars(wrapper))

    def differs(self, wrapper: Any) -> bool:
        now = vars(wrapper)
        if len(now) != self._length:
            if now.keys() - _changing(type(wrapper)) != self._own:
                return True
            self._length = len(now)
        return bool(self._get(now) != self._values or now["execute_wrappers"] != self._wrappers)


def _changing(kind: type) -> set[str]:
    if (known := _known.get(kind)) is None:
        parts = [(name, value) for base in kind.__mro__ for name, value in vars(base).items()]
        known = _known[kind] = CHANGING | {name for name, value in parts if isinstance(value, cached_property)}
    return known


def state_of(raw: Any) -> tuple[Any, ...]:
    """What can be set on the connection of a driver."""
    if isinstance(raw, sqlite3.Connection):
        return raw.isolation_level, raw.row_factory, raw.text_factory
    if psycopg is not None and isinstance(raw, psycopg.Connection):
        return raw.isolation_level, raw.read_only, raw.deferrable, raw.row_factory, raw.cursor_factory
    return ()


def watch(wrapper: Any, soiled: set[int]) -> None:
    """Have what lasts noted in `soiled`, by the identity of the driver's connection."""
    raw = wrapper.connection
    if isinstance(raw, sqlite3.Connection):
        raw.set_authorizer(partial(_authorize, soiled, id(raw)))
    elif psycopg is not None and isinstance(raw, psycopg.Connection):
        raw.cursor_factory = _watching(raw.cursor_factory)
        vars(raw)[SOILED] = soiled
    else:
        wrapper.execute_wrappers.append(partial(_hear, soiled))


def _authorize(soiled: set[int], id: int, action: int, first: str | None, second: str | None, *place: Any) -> int:
    """SQLite asks this while it compiles a statement. Nothing is refused."""
    if action in SQLITE_LASTING or (action == sqlite3.SQLITE_PRAGMA and second is not None):
        soiled.add(id)
    return sqlite3.SQLITE_OK


@cache
def _watching(factory: Any) -> Any:
    """A cursor of psycopg that notes what lasts, whether Django or a body has made it."""
    if hasattr(factory, "is_watching"):
        return factory

    class Watching(factory):  # type: ignore[misc]  # a class of the driver's or of Django's
        is_watching = True

        def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            _note(self.connection, query)
            return super().execute(query, *args, **kwargs)

        def executemany(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            _note(self.connection, query)
            return super().executemany(query, *args, **kwargs)

    return Watching


def _note(raw: Any, query: Any) -> None:
    if lasts(query):
        vars(raw)[SOILED].add(id(raw))


def _hear(soiled: set[int], execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
    """Around the statements of other drivers, as far as Django is asked."""
    if lasts(sql):
        soiled.add(id(context["connection"].connection))
    return execute(sql, params, many, context)
