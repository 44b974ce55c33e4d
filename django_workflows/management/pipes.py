"""Who reads what a command prints may have had enough: `manage.py workflows list | head`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CLOSED = 141  # what a shell says of a command that SIGPIPE has ended


@contextmanager
def until_closed(stream: Any) -> Iterator[None]:
    """Ends the command without a word when nobody reads any more; what is still in the buffer goes nowhere."""
    try:
        yield
        stream.flush()
    except BrokenPipeError:
        if stream.isatty() or getattr(stream, "_out", None) is sys.stdout:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(CLOSED) from None
