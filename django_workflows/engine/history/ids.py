"""Ids of the rows that a turn makes.

`uuid.uuid4()` asks the kernel each time and gives up the interpreter's lock for it, which in a worker with many threads
costs more than all else that a step does. These ids are as random and no secrets: a generator seeded once will do.
"""

from __future__ import annotations

import os
import random
from uuid import UUID

_NO_VERSION = ~(0xF << 76 | 0x3 << 62)
_VERSION_4 = 0x4 << 76 | 0x2 << 62

_random = random.Random(os.urandom(32))


def _seed() -> None:
    _random.seed(os.urandom(32))


os.register_at_fork(after_in_child=_seed)


def new_id() -> UUID:
    """A random UUID."""
    bits = _random.getrandbits(128) & _NO_VERSION | _VERSION_4
    return UUID(int=bits)
