"""Workflows that the tests of the door start; nobody runs them here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django_workflows import AsyncContext, Context, step, workflow


@dataclass
class Receipt:
    number: str
    day: date


@workflow
def door_order(ctx: Context, order_id: int, note: str = "") -> dict[str, int]:
    return {"order": order_id}


@workflow(queue="bulk", priority=3, timeout="1 hour", version=2)
def door_import(ctx: Context, path: str) -> int:
    return len(path)


@workflow
async def door_receipt(ctx: AsyncContext, day: date) -> Receipt:
    return Receipt("1", day)


@workflow
def door_anything(ctx: Context, /, *args: object, **kwargs: object) -> None: ...


@step(queue="payments")
def door_charge(order_id: int) -> str:
    return f"charge-{order_id}"
