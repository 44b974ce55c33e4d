"""Functions that an atomic step hands to `transaction.on_commit()`: they run when the step is done for good."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from django_workflows import codec
from django_workflows.engine.turn.effects import Invoke
from django_workflows.engine.turn.turn import Turn

logger = logging.getLogger("django_workflows")


def tell_of_failures(turn: Turn, effect: Invoke, connection: BaseDatabaseWrapper) -> None:
    """Have the functions registered so far fail by themselves, each with a line in the log and in the history: an error
    out of the commit would look as if the step had failed, which has been stored.

    Inside somebody's own transaction, in EAGER, they are called when that commits, and are its affair.
    """
    if not connection.savepoint_ids:
        hooks: list[Any] = connection.run_on_commit  # Django's stubs do not know the third of each
        hooks[:] = [(sids, partial(_call, turn, effect, function), robust) for sids, function, robust in hooks]


def _call(turn: Turn, effect: Invoke, function: Callable[[], Any]) -> None:
    try:
        function()
    except Exception as error:
        name = getattr(function, "__qualname__", repr(function))
        logger.exception(
            "Execution %s: step %r is done, and %s, which it had called on_commit, failed.",
            turn.claimed.id,
            effect.entry.name,
            name,
        )
        data = {"step": effect.entry.key, "hook": name, "error": turn.secrets.hide(codec.encode_exception(error))}
        turn.log("error", effect.entry.name, data)
