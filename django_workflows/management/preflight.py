"""What `runworkflows` sees to before it works: that the database answers, that its tables fit, what its rows lack.

A database that is away is waited for, as in an outage later; one that does not fit, or refuses us, is an error.
"""

from __future__ import annotations

import os
import sys

from django.db import DatabaseError, InterfaceError, connections

from django_workflows import codec
from django_workflows.codec.printing import CONTINUED
from django_workflows.engine.database.errors import AmbiguousCommit, ConnectionLost, Fault, fault_of
from django_workflows.engine.database.outages import UNREACHABLE, Outage
from django_workflows.management.schema import problem_of_tables
from django_workflows.services import publish

# What a server answers, in words only, to who will never be let in.
_REFUSALS = ("does not exist", "authentication failed", "no pg_hba.conf entry", "no password supplied")

INTERRUPTED = 130  # the exit status after Ctrl-C, as shells tell it


def passes(alias: str, *, only_missing: bool) -> bool:
    """Whether workers may start. In a process of its own, because the supervisor must not open a connection."""
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        status = 1
        try:
            status = int(not _check(alias, parent, only_missing=only_missing))
        except Exception as error:
            sys.stderr.write(f"The database cannot be used: {codec.printable(error, CONTINUED)}\n")
        finally:
            sys.stderr.flush()
            os._exit(status)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def _check(alias: str, parent: int, *, only_missing: bool) -> bool:
    """Check as soon as the database answers; False also when nobody waits for the answer any more."""
    outage = Outage(alias)
    while True:
        try:
            return _check_now(alias, only_missing=only_missing)
        except UNREACHABLE as error:
            if not is_away(alias, error):
                raise
            if not outage.wait_out(error, lambda: _connect(alias), lambda: None if os.getppid() == parent else 0.0):
                return False


def _connect(alias: str) -> None:
    """Raises what cannot be waited out in a form that ends the waiting."""
    try:
        connections[alias].ensure_connection()
    except UNREACHABLE as error:
        if is_away(alias, error):
            raise
        raise RuntimeError(str(error)) from error


def is_away(alias: str, error: Exception) -> bool:
    """Whether the database cannot be reached now, but may be later."""
    if isinstance(error, ConnectionLost | AmbiguousCommit):
        return True
    if not isinstance(error, DatabaseError | InterfaceError) or any(words in str(error) for words in _REFUSALS):
        return False
    connection = connections[alias]
    if connection.vendor == "sqlite":  # a file that cannot be opened will not be there later, but a lock ends
        return fault_of(error, at_commit=False, usable=True) is Fault.RETRY
    return fault_of(error, at_commit=False, usable=connection.connection is not None) in {Fault.RETRY, Fault.LOST}


def _check_now(alias: str, *, only_missing: bool) -> bool:
    if problem := problem_of_tables(alias):
        sys.stderr.write(f"{problem}\n")
        return False
    publish(alias, only_missing=only_missing)
    return True
