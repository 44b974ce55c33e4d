"""What a type checker makes of a workflow: the result of a step is known, wrong arguments are refused.

Each line of the sample that ends with a comment must get exactly what the comment says: a revealed type, or an error.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mypy import api

SAMPLE = """
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django_workflows import AsyncContext, Break, Context, Continue, Retry, current_step, step, workflow
from django_workflows.client import start

@dataclass
class Size:
    cubic: int

@step(retry=Retry(max_attempts=5), timeout="30 s")
def charge(order_id: int) -> str:
    return current_step().idempotency_key

@step
async def ship(order_id: int, *, express: bool = False) -> datetime: ...

def plain(a: int, b: str = "") -> float: ...

@workflow
def fulfil(ctx: Context, order_id: int, note: str = "") -> dict[str, int]:
    reveal_type(ctx.do(charge, order_id))  # str
    reveal_type(ctx.do(ship, order_id, express=True))  # datetime.datetime
    reveal_type(ctx.do("Charge the card", charge, order_id))  # str
    reveal_type(ctx.do(plain, 1, b="x"))  # float
    reveal_type(ctx.do("charge", 1))  # Any
    reveal_type(ctx.do("charge", [Size(1)], {"a": 1}, order=Size(2)))  # Any
    ctx.do("charge", Size(1), datetime.now(), None)
    ctx.do("Charge the card", charge, "1")  # error
    ctx.do("Charge the card", charge)  # error
    ctx.do("Ship it", ship, 1, slow=True)  # error
    reveal_type(ctx.do("Ship it", ship, 1, express=True))  # datetime.datetime
    reveal_type(ctx.do(step(plain, retry=Retry(max_attempts=1)), 1))  # float
    reveal_type(ctx.do(charge.using(retry=Retry(max_attempts=1)), 1))  # str
    ctx.do(charge, "1")  # error
    ctx.do(charge)  # error
    ctx.do(ship, 1, slow=True)  # error
    reveal_type(ctx.sleep("2 days"))  # None
    reveal_type(ctx.wait_for_signal("go"))  # django_workflows.authoring.values.Message | None
    reveal_type(ctx.run(newsletter, "ada"))  # int
    reveal_type(ctx.start(fulfil, 1).result())  # dict[str, int]
    reveal_type(ctx.map(charge, [1, 2]))  # list[str]
    reveal_type(ctx.map(ship, [1, 2]))  # list[datetime.datetime]
    reveal_type(ctx.map(doubled, [1, 2]))  # list[int]
    ctx.map(charge, ["1"])  # error
    ctx.run(fulfil, "1")  # error
    reveal_type(ctx.now())  # datetime.datetime
    reveal_type(ctx.race(lambda c: c.sleep(1)).index)  # int
    ctx.sleep()  # error
    return {}

@workflow
def doubled(ctx: Context, n: int) -> int:
    return 2 * n

@workflow(version=2, timeout="30 days")
async def newsletter(ctx: AsyncContext, address: str) -> int:
    reveal_type(await ctx.do(charge, 1))  # str
    reveal_type(await ctx.do(ship, 1))  # datetime.datetime
    reveal_type(await ctx.run(fulfil, 1))  # dict[str, int]
    reveal_type(await ctx.run(newsletter, address))  # int
    reveal_type(await ctx.map(charge, [1]))  # list[str]
    reveal_type(await ctx.map(ship, [1]))  # list[datetime.datetime]
    reveal_type(await ctx.map(doubled, [1]))  # list[int]
    await ctx.map(ship, ["1"])  # error
    handle = await ctx.start(fulfil, 1)
    reveal_type(await handle.result())  # dict[str, int]
    await ctx.do(ship, "1")  # error
    await ctx.do("Ship it", ship, "1")  # error
    reveal_type(await ctx.do("Ship it", ship, 1))  # datetime.datetime
    reveal_type(await ctx.do("ship", 1))  # Any
    await ctx.run(newsletter, 7)  # error
    return 1

reveal_type(fulfil.start(1).result())  # dict[str, int]
reveal_type(newsletter.start("ada").result())  # int
reveal_type(fulfil.using(key="k", delay="1 hour").start(order_id=1, note="x").result())  # dict[str, int]
reveal_type(charge.start(1).result())  # str
reveal_type(charge(1))  # str
reveal_type(start(fulfil, 1).result())  # dict[str, int]
reveal_type(start(newsletter, "ada").result())  # int
reveal_type(start("fulfil", 1).result())  # Any
fulfil.start("1")  # error
fulfil.start()  # error
fulfil.using(colour="red")  # error
newsletter.start(order=1)  # error
charge.start("1")  # error
charge("1")  # error

@step(colour="red")  # error
def wrong() -> None: ...
"""

_NOTE = re.compile(r'^[^:]+:(?P<line>\d+): note: Revealed type is "(?P<type>.*)"$')
_ERROR = re.compile(r"^[^:]+:(?P<line>\d+): error: ")


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What mypy says of each line of the sample."""
    folder = tmp_path_factory.mktemp("typing")
    sample = folder / "sample.py"
    sample.write_text(SAMPLE)
    config = folder / "mypy.ini"
    config.write_text("[mypy]\nstrict = true\nfollow_imports = silent\ndisable_error_code = empty-body\n")
    root = Path(__file__).parents[2]
    options = ["--config-file", str(config), "--cache-dir", str(root / ".mypy_cache" / "typing"), "--no-error-summary"]
    output, crash, _ = api.run([*options, str(sample)])
    assert not crash
    found: dict[int, str] = {}
    for line in output.splitlines():
        if match := _NOTE.match(line):
            found[int(match["line"])] = match["type"].replace("builtins.", "").removesuffix("?")
        elif match := _ERROR.match(line):
            found[int(match["line"])] = "error"
    return found


def test_mypy_infers_results_and_refuses_wrong_arguments(verdicts: dict[int, str]) -> None:
    lines = list(enumerate(SAMPLE.splitlines(), start=1))
    expected = {number: text.rpartition("  # ")[2] for number, text in lines if "  # " in text}
    surprises = [
        f"{number}: {text.strip()}\n    but mypy says: {verdicts.get(number, 'nothing')}"
        for number, text in lines
        if verdicts.get(number) != expected.get(number)
    ]
    assert not surprises, "\n".join(surprises)
