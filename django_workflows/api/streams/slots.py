"""How many may wait at once in one web process: under WSGI each holds a thread, under ASGI a socket."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from django.utils.translation import gettext as _

from django_workflows import conf
from django_workflows.api.problems import Problem, Refused

_lock = threading.Lock()
_taken: Counter[bool] = Counter()


def take(*, is_async: bool) -> Callable[[], None] | None:
    """A slot, as the function that gives it back; calling that twice does no harm. None when all are taken."""
    most = conf.api_max_streams() if is_async else conf.api_max_sync_streams()
    with _lock:
        if _taken[is_async] >= most:
            return None
        _taken[is_async] += 1
    returned = False

    def give_back() -> None:
        nonlocal returned
        with _lock:
            if not returned:
                returned = True
                _taken[is_async] -= 1

    return give_back


def busy() -> Refused:
    """The answer to who gets none."""
    detail = _("Too many streams are open on this server. Come back a little later, or ask for pages of the history.")
    return Refused(Problem(status=503, type="busy", detail=detail, headers={"Retry-After": "5"}))
