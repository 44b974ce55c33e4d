"""Connections of a worker's threads: renewed by Django's own settings, and found as new by the next body.

A thread of a worker is used again, and with it its connections. What a body leaves on one (a `search_path`, a role, a
temporary table, a lock of the session, a PRAGMA, an attribute that a tenant library has set) would reach a stranger.
Such a connection is closed, and the next use opens a new one; nobody else pays for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from django_workflows.engine.database import session_changes, user_transactions
from django_workflows.engine.database.session_changes import Likeness


class Connection:
    """One alias in one thread, and what its connection is like as long as no body has changed it."""

    def __init__(self, alias: str, soiled: set[int]) -> None:
        self._alias, self._soiled = alias, soiled
        self._begin()

    def _begin(self) -> None:
        self.wrapper: Any = connections[self._alias]
        self._likeness = Likeness(self.wrapper)
        self._state: tuple[Any, ...] = ()
        self._is_new = True

    def opening(self) -> None:
        """Connected, and the project does not know of it yet."""
        self._is_new = not self._likeness.differs(self.wrapper)

    def opened(self) -> None:
        """The receivers of Django's signal have been called: what they have made of it is the project's own."""
        session_changes.watch(self.wrapper, self._soiled)
        if self._is_new:
            self._likeness = Likeness(self.wrapper)
        self._state = session_changes.state_of(self.wrapper.connection)
        self._soiled.discard(id(self.wrapper.connection))

    @property
    def needs_tidying(self) -> bool:
        """Whether `tidy()` would do anything now; it may be asked from another thread."""
        return self.wrapper.connection is not None or self._likeness.differs(self.wrapper)

    def tidy(self, *, is_idle: bool) -> None:
        """After a body; `is_idle` when nothing in this thread goes on with the connection."""
        wrapper = self.wrapper
        if wrapper.in_atomic_block:
            return  # a body that is not over is in it
        if wrapper.connection is not None and user_transactions.is_closed(wrapper.connection):
            wrapper.close()
        if self._is_soiled():
            self._discard()
        elif wrapper.connection is None:
            return
        elif getattr(wrapper, "pool", None) is not None:
            wrapper.close()  # others wait for it
        elif is_idle:
            self._obey_settings()
        if wrapper.queries_log:
            wrapper.queries_log.clear()  # with DEBUG, which Django does after each request

    def _is_soiled(self) -> bool:
        raw = self.wrapper.connection
        if self._likeness.differs(self.wrapper):
            return True
        return raw is not None and (id(raw) in self._soiled or session_changes.state_of(raw) != self._state)

    def _obey_settings(self) -> None:
        """`CONN_MAX_AGE`, `CONN_HEALTH_CHECKS`; and what is broken is closed."""
        wrapper = self.wrapper
        if wrapper.health_check_done:  # or it was doubted after an outage, and not used since
            wrapper.health_check_enabled = wrapper.settings_dict["CONN_HEALTH_CHECKS"]
        wrapper.close_if_unusable_or_obsolete()

    def _discard(self) -> None:
        raw = self.wrapper.connection
        self._soiled.discard(id(raw))
        with suppress(Exception):
            raw.close()  # before Django gives it back to a pool, from where others would get it
        with suppress(Exception):
            self.wrapper.close()
        user_transactions.forget(self.wrapper)
        del connections[self._alias]
        self._begin()


class ThreadConnections:
    """All connections of one thread of a worker."""

    def __init__(self) -> None:
        self.soiled: set[int] = set()
        self._connections = [Connection(alias, self.soiled) for alias in connections]

    def of(self, wrapper: BaseDatabaseWrapper) -> Iterator[Connection]:
        return (connection for connection in self._connections if connection.wrapper is wrapper)

    @property
    def need_tidying(self) -> bool:
        return any(connection.needs_tidying for connection in self._connections)

    def tidy(self, *, is_idle: bool) -> None:
        for connection in self._connections:
            connection.tidy(is_idle=is_idle)


class _Thread(threading.local):
    own: ThreadConnections | None = None


_thread = _Thread()


def own_this_thread() -> ThreadConnections:
    """This thread is a worker's, and nobody's connections are in use here."""
    if _thread.own is None:
        connection_created.connect(_opened, dispatch_uid="django_workflows.sessions")  # after those of the project
        _thread.own = ThreadConnections()
    return _thread.own


def _opening(sender: Any, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    if _thread.own is not None:
        for own in _thread.own.of(connection):
            own.opening()


def _opened(sender: Any, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    if _thread.own is not None:
        for own in _thread.own.of(connection):
            own.opened()


connection_created.connect(_opening, dispatch_uid="django_workflows.sessions.opening")  # before those of the project


def after_body() -> None:
    """What the body has left on connections of this thread is gone. Connections of a caller are his affair."""
    if _thread.own is not None:
        _thread.own.tidy(is_idle=False)


def after_call() -> None:
    """A thread of a worker has nothing more to do for this turn or branch."""
    if _thread.own is not None:
        user_transactions.roll_back_left_open({})
        user_transactions.renew_connections()
        _thread.own.tidy(is_idle=True)
