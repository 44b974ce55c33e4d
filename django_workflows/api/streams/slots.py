"""How many may wait at once in one web process: under WSGI each holds a thread, under ASGI a socket.

A slot is taken before anybody is looked up, so that who is turned away costs no query; then it is given to a user, who
has a share of them. While a stream is opened, it asks the database in a thread and on a connection of its own: only a
few are opened at once.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.utils.translation import gettext as _

from django_workflows import conf
from django_workflows.api.problems import Problem, Refused

OPENING = 8  # requests of one process that open a stream at once, and connections that this takes
PATIENCE = 5.0  # seconds for which others wait for their turn

_lock = threading.Lock()
_taken: Counter[bool] = Counter()
_of_users: Counter[tuple[bool, Any]] = Counter()
_opening = threading.BoundedSemaphore(OPENING)


class Slot:
    """A place among those who wait; giving it back twice does no harm."""

    def __init__(self, *, is_async: bool) -> None:
        self._is_async, self._is_back = is_async, False
        self._owner: tuple[bool, Any] | None = None

    def give_to(self, user: Any) -> bool:
        """Whether the user's share has room for it."""
        share = conf.api_max_user_streams() if self._is_async else conf.api_max_sync_user_streams()
        owner = (self._is_async, user)
        with _lock:
            if _of_users[owner] >= share:
                return False
            _of_users[owner] += 1
            self._owner = owner
        return True

    def give_back(self) -> None:
        with _lock:
            if self._is_back:
                return
            self._is_back = True
            _taken[self._is_async] -= 1
            if self._owner is not None:
                _of_users.subtract([self._owner])
                if not _of_users[self._owner]:
                    del _of_users[self._owner]


def take(*, is_async: bool) -> Slot | None:
    """A slot, or None when all are taken."""
    most = conf.api_max_streams() if is_async else conf.api_max_sync_streams()
    with _lock:
        if _taken[is_async] >= most:
            return None
        _taken[is_async] += 1
    return Slot(is_async=is_async)


@contextmanager
def opening(*, is_async: bool) -> Iterator[bool]:
    """Whether it is this request's turn; under WSGI the server has no more threads than it has connections for."""
    is_turn = not is_async or _opening.acquire(timeout=PATIENCE)
    try:
        yield is_turn
    finally:
        if is_async and is_turn:
            _opening.release()


def busy() -> Refused:
    """The answer to who gets none."""
    detail = _("Too many streams are open on this server. Come back a little later, or ask for pages of the history.")
    return Refused(Problem(status=503, type="busy", detail=detail, headers={"Retry-After": "5"}))


def too_many() -> Refused:
    """The answer to who has had his share."""
    detail = _("You have too many streams open on this server. Close some, or ask for pages of the history.")
    return Refused(Problem(status=503, type="busy", detail=detail, headers={"Retry-After": "5"}))
