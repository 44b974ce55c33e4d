"""What `ctx` offers: `Context` for `def` workflows, `AsyncContext` for `async def` ones, and the handles they give."""

from __future__ import annotations

from django_workflows.authoring.async_context import AsyncContext
from django_workflows.authoring.handles import AsyncChildHandle, AsyncToken, ChildHandle, Token
from django_workflows.authoring.plain_context import Context

__all__ = ["AsyncChildHandle", "AsyncContext", "AsyncToken", "ChildHandle", "Context", "Token"]
