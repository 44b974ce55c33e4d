from __future__ import annotations

from django_workflows import Context, step, workflow


@step
def charge(order_id: int) -> str:
    return f"charge-{order_id}"


@workflow
def fulfil(ctx: Context, order_id: int) -> dict[str, str]:
    charge_id = ctx.do(charge, order_id)
    ctx.sleep("1 second")
    return {"charge": charge_id}
