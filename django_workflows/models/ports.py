"""What models offer and a higher layer does: protocols, fulfilled by `apps.ready()`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol


class Operations(Protocol):
    """The operator's verbs; `by` is the user or a name for the history."""

    def pause(self, execution: Any, reason: str = "", *, by: Any = None) -> None: ...
    def resume(self, execution: Any, reason: str = "", *, by: Any = None) -> None: ...
    def cancel(self, execution: Any, reason: str = "", *, by: Any = None) -> None: ...
    def retry(self, execution: Any, reason: str = "", *, by: Any = None) -> None: ...


class Client(Protocol):
    """What an application does with one execution."""

    def signal(self, execution: Any, name: str, data: Any = None, *, message_id: str | None = None) -> object: ...
    def result(self, execution: Any, timeout: float | timedelta | None = None) -> Any: ...
    async def aresult(self, execution: Any, timeout: float | timedelta | None = None) -> Any: ...


class Inspection(Protocol):
    """The read side."""

    def history(self, execution: Any) -> list[Mapping[str, Any]]: ...


class Ports:
    """The fulfilled protocols."""

    operations: Operations
    client: Client
    inspection: Inspection


ports = Ports()
