"""Workflows that deliveries start in these tests; nobody runs them."""

from __future__ import annotations

from typing import Any

from django_workflows import Context, Received, workflow


@workflow
def hook_anything(ctx: Context, event: Received) -> Any: ...


@workflow
def hook_order(ctx: Context, number: int, note: str = "", tenant: str = "") -> None: ...
