"""Hearing the NOTIFY of other processes: one thread with a connection of its own."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_workflows.engine.database.notify import ANY_QUEUE, CHANNEL, WakeUp, read_payload

logger = logging.getLogger("django_workflows")

# How long a silent connection is trusted to be alive.
PROBE_SECONDS = 30.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0


class Listener:
    """Calls `wake_up` for each NOTIFY, and with `ANY_QUEUE` whenever it has (re)connected, as it may have missed
    some. A lost connection is renewed with back-off. Only where `notify.can_notify()`.
    """

    def __init__(self, alias: str, wake_up: WakeUp, on_change: Callable[[bool], None] = lambda listening: None) -> None:
        """`on_change` hears whether notifications arrive now; while they do not, the caller polls more often."""
        self._alias, self._wake_up, self._on_change = alias, wake_up, on_change
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._stopping = threading.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run, name="workflows-listener", daemon=True)

    @property
    def is_listening(self) -> bool:
        """Whether notifications arrive now; if not, the caller polls more often."""
        return self._listening.is_set()

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float | None = 5.0) -> None:
        """End the thread and close its connection; returns promptly."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._ringer.send(b"\0")
        if self._thread.ident is not None:
            self._thread.join(timeout)
        if not self._thread.is_alive():
            self._bell.close()
            self._ringer.close()

    def wait_until_listening(self, timeout: float | None = None) -> bool:
        """Whether it listens, after at most `timeout` seconds."""
        return self._listening.wait(timeout)

    def _set_listening(self, listening: bool) -> None:
        if listening:
            self._listening.set()
        else:
            self._listening.clear()
        self._on_change(listening)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            connection = self._own_connection()
            try:
                self._listen(connection)
            except Exception as error:
                pause = FIRST_PAUSE if self._listening.is_set() else min(2 * pause, LONGEST_PAUSE)
                logger.debug("LISTEN was interrupted; polling goes on, next try in %.1f s: %s", pause, error)
            finally:
                self._set_listening(False)
                with contextlib.suppress(DatabaseError, InterfaceError):
                    connection.close()
            self._stopping.wait(pause)

    def _own_connection(self) -> BaseDatabaseWrapper:
        """A connection beside Django's own for this thread, and beside its pool."""
        connection = connections[self._alias].copy()
        connection.settings_dict.get("OPTIONS", {}).pop("pool", None)
        return connection

    def _listen(self, connection: BaseDatabaseWrapper) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        self._set_listening(True)
        self._tell(ANY_QUEUE)
        raw: Any = connection.connection
        with selectors.DefaultSelector() as selector:
            selector.register(raw.fileno(), selectors.EVENT_READ)
            selector.register(self._bell, selectors.EVENT_READ)
            while not self._stopping.is_set():
                if not selector.select(PROBE_SECONDS):
                    with connection.cursor() as cursor:
                        cursor.execute("SELECT 1")
                # a failover that nobody announced shows itself as an error here
                with connection.wrap_database_errors:
                    payloads = {notification.payload for notification in raw.notifies(timeout=0)}
                for payload in payloads:
                    self._tell(payload)

    def _tell(self, payload: str) -> None:
        try:
            self._wake_up(*read_payload(payload))
        except Exception:
            logger.exception("A wake-up failed.")
