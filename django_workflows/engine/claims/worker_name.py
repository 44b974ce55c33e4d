"""Which process this is, as histories and the table of workers name it."""

from __future__ import annotations

import os
import socket
from functools import cache

_hostname = cache(socket.gethostname)


def worker_name() -> str:
    """The name of this process among the workers."""
    return f"{_hostname()}:{os.getpid()}"
