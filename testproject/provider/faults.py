"""Which call goes wrong, and how: decided by the seed and the call alone, so that a demo or a test can be repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

Fault = Literal["", "fail", "hang", "drop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The share of calls that go wrong (0 to 1), by the way they do.

    fail: the answer is 500 and nothing was done. hang: the work is done and answered, but only after `hang_seconds`,
    when the client has long given up and asked again. drop: the work is done, then the connection breaks.
    """

    seed: int = 1
    fail: float = 0.0
    hang: float = 0.0
    drop: float = 0.0
    hang_seconds: float = 10.0

    def of(self, request: str, number: int) -> Fault:
        """The fault of a request that is made for the `number`-th time under its idempotency key."""
        chance = random.Random(f"{self.seed} {request} {number}").random()
        if chance < self.fail:
            return "fail"
        if chance < self.fail + self.hang:
            return "hang"
        return "drop" if chance < self.fail + self.hang + self.drop else ""
