"""What a workflow function offers and a higher layer does: protocols, fulfilled by `apps.ready()`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, NoReturn, Protocol, TypeVar
from uuid import UUID

from django_workflows.exceptions import NotInstalled

Duration = str | int | float | timedelta
OnConflict = Literal["return", "error", "cancel"]
R_co = TypeVar("R_co", covariant=True)


class Handle(Protocol[R_co]):
    """An execution, as `start()` gives it back: an instance of the model `Execution`."""

    id: UUID
    workflow: str
    status: str
    key: str | None

    @property
    def is_finished(self) -> bool: ...
    def result(self, timeout: float | timedelta | None = None) -> R_co: ...
    async def aresult(self, timeout: float | timedelta | None = None) -> R_co: ...
    def signal(self, name: str, data: Any = None, *, message_id: str | None = None) -> object: ...
    def pause(self, reason: str = "", *, by: Any = None) -> Any: ...
    def resume(self, reason: str = "", *, by: Any = None) -> Any: ...
    def cancel(self, reason: str = "", *, by: Any = None) -> Any: ...
    def retry(self, reason: str = "", *, by: Any = None) -> Any: ...
    def history(self) -> list[Mapping[str, Any]]: ...
    def refresh_from_db(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """How an execution is started. Durations are seconds, timedeltas or text ("1 hour")."""

    key: str | None = None
    idempotency_key: str | None = None
    on_conflict: OnConflict = "return"
    queue: str | None = None
    priority: int | None = None
    delay: Duration | None = None
    start_at: datetime | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    ttl: Duration | None = None
    timeout: Duration | None = None
    version: int | None = None
    parent_close: Literal["cancel", "abandon"] = "cancel"
    parent: UUID | None = None  # the engine's: of a child with a key
    trigger: UUID | None = None  # the engine's: what started it from outside


class Client(Protocol):
    """Starts executions and publishes events."""

    def start(
        self, definition: Any, args: Sequence[Any], kwargs: Mapping[str, Any], options: StartOptions
    ) -> Handle[Any]: ...
    def start_many(
        self, definition: Any, inputs: Iterable[Mapping[str, Any]], options: StartOptions
    ) -> Sequence[Handle[Any]]: ...
    def send_event(self, name: str, data: Any = None, *, id: str | None = None) -> object: ...


class Ports:
    """The fulfilled protocols."""

    client: Client

    def __getattr__(self, name: str) -> NoReturn:
        """Only what nobody has fulfilled yet is looked for here."""
        raise NotInstalled(
            "Nothing can be started yet: add 'django_workflows' to INSTALLED_APPS, and let scripts of your own call "
            "django.setup() first."
        )


ports = Ports()
