"""Messages: a signal is addressed to one execution, an event is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import connections
from django.db.backends.utils import CursorWrapper
from django.db.models import Q, QuerySet

from django_workflows import codec, conf
from django_workflows.authoring.names import KEY_LENGTH, check_callers_key, check_input_name
from django_workflows.authoring.plans import check_moment
from django_workflows.client import statements
from django_workflows.client.commits import write
from django_workflows.client.handles import first_of, id_of, instance, not_found
from django_workflows.clock import DatabaseNow
from django_workflows.engine.database.dialects import Dialect, dialect_of, read_time, store
from django_workflows.engine.database.notify import ANY_QUEUE
from django_workflows.engine.events.after_commit import announce
from django_workflows.exceptions import TransitionError
from django_workflows.models import Event, EventType, Execution, Signal, Status, allowed_verbs, transition

# Another sender or an operator may get in between; not often.
_TRIES = 20

# A signal, and the queue and the priority of its receiver, if they are known.
Received = tuple[Signal, str, int | None]

_RECEIVING = ", ".join(f"'{status.value}'" for status in Status if "signal" in allowed_verbs(status))


def signal(execution: Any, name: str, data: Any = None, *, message_id: str | None = None) -> Signal:
    """Send a message to one execution, in the caller's transaction; it is kept until the execution asks for it.

    The same `message_id` again gives back the first signal, even when the execution has ended since. Raises
    `ExecutionNotFound`, `TransitionError` for an execution that has ended, `InvalidInput` and `PayloadError`.
    """
    sending = Sending(
        execution_id=id_of(execution),
        name=check_input_name("name", name),
        data=_encode(data),
        message_id=None if message_id is None else check_input_name("message_id", message_id, KEY_LENGTH),
    )
    status = ""
    for _ in range(_TRIES):
        one_statement = not sending.dialect.is_sqlite
        received = write(sending.alias, sending.receive, sending.read_back, one_statement=one_statement)
        if received is not None:
            sent, queue, priority = received
            announce(sending.alias, [queue], executions=[sent.execution_id], priority=priority)
            return sent
        if (known := sending.known()) is not None:
            return known
        status = sending.status()
        transition("signal", status)
    raise TransitionError("signal", status, allowed_verbs(status), "its status kept changing")


def send_event(
    name: str,
    data: Any = None,
    *,
    id: str | None = None,
    source: str = "",
    headers: Mapping[str, Any] | None = None,
    deliver_at: datetime | None = None,
) -> Event:
    """Publish an event, in the caller's transaction; from `deliver_at` on, workers hand it to all who wait for it and
    start what it triggers.

    The same `id` within `WORKFLOWS["EVENT_WINDOW"]` is a no-op that gives back the first event. Raises `InvalidInput`,
    for an id of the engine's own kind too, and `PayloadError`.
    """
    if id is not None:
        check_callers_key("id", id)
    return publish_or_get(name, data, id=id, source=source, headers=headers, deliver_at=deliver_at)[0]


def publish_or_get(
    name: str,
    data: Any = None,
    *,
    id: str | None = None,
    source: str = "",
    headers: Mapping[str, Any] | None = None,
    deliver_at: datetime | None = None,
    made_by: str = "",
) -> tuple[Event, bool]:
    """The same with any id, and whether the event is a new one; without an id it always is.

    With `made_by`, the id of a user, it reaches only what exists for him.
    """
    publishing = Publishing(
        name=check_input_name("name", name),
        data=_encode(data),
        event_id=None if id is None else check_input_name("id", id, KEY_LENGTH),
        source=check_input_name("source", source) if source else "",
        headers=None if headers is None else _encode(dict(headers)),
        made_by=made_by,
        deliver_at=None if deliver_at is None else check_moment("deliver_at", deliver_at),
    )
    for _ in range(_TRIES):
        event = write(publishing.alias, publishing.publish, publishing.read_back, one_statement=True)
        if event is not None:
            announce(publishing.alias, [ANY_QUEUE], event=event.id)
            return event, True
        if (known := publishing.known()) is not None:
            return known, known.pk == publishing.id
        publishing.forget_old_id()
    raise AssertionError("unreachable: an id is either taken or free")


def _encode(data: Any) -> str:
    return codec.encode(data, max_bytes=conf.max_payload_bytes(), max_depth=conf.max_payload_depth())


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is on its way; its id is chosen here, so that a commit in doubt can be read back."""

    name: str
    data: str
    id: UUID = field(default_factory=uuid4)
    alias: str = field(default_factory=conf.database)

    @property
    def dialect(self) -> Dialect:
        return dialect_of(connections[self.alias])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending(Message):
    """A signal on its way."""

    execution_id: UUID
    message_id: str | None

    def receive(self, cursor: CursorWrapper) -> Received | None:
        """The signal and where its receiver is; None when it cannot receive, or has this message already."""
        # sent twice at the same instant: the inbox has grown in vain, which only makes the receiver look once more
        row = self._write_both(cursor) if self.dialect.is_sqlite else self._write_at_once(cursor)
        if row is None:
            return None
        number, queue, priority, created_at = row
        return self._stored(number, created_at), queue, priority

    def _write_at_once(self, cursor: CursorWrapper) -> Sequence[Any] | None:
        text = statements.RECEIVE_SIGNAL.format(now=self.dialect.now(), receiving=_RECEIVING)
        cursor.execute(text, [*self._receiver, *self._own])
        row: Sequence[Any] | None = cursor.fetchone()
        return row

    def _write_both(self, cursor: CursorWrapper) -> Sequence[Any] | None:
        now = self.dialect.now()
        cursor.execute(statements.RECEIVE.format(now=now, receiving=_RECEIVING), self._receiver)
        if (received := cursor.fetchone()) is None:
            return None
        cursor.execute(statements.SIGNAL.format(number=received[0], received="WHERE true", now=now), self._own)
        return None if (stored := cursor.fetchone()) is None else (*received, *stored)

    @property
    def _receiver(self) -> list[Any]:
        execution_id = store(self.dialect, self.execution_id)
        return [execution_id, execution_id, self.message_id]

    @property
    def _own(self) -> list[Any]:
        ids = [store(self.dialect, id) for id in (self.id, self.execution_id)]
        return [*ids, self.name, self.data, self.message_id]

    def read_back(self) -> Received | None:
        found = first_of(Signal.objects.using(self.alias).filter(pk=self.id))
        return None if found is None else (found, ANY_QUEUE, None)

    def known(self) -> Signal | None:
        """The signal that came before under this id."""
        same = Q(pk=self.id)
        if self.message_id is not None:
            same |= Q(execution_id=self.execution_id, message_id=self.message_id)
        return first_of(Signal.objects.using(self.alias).filter(same))

    def status(self) -> str:
        """The receiver's. Raises `ExecutionNotFound`."""
        execution = first_of(Execution.objects.using(self.alias).filter(pk=self.execution_id).only("status"))
        if execution is None:
            raise not_found(self.execution_id)
        return execution.status

    def _stored(self, number: int, created_at: Any) -> Signal:
        return instance(
            Signal,
            self.alias,
            id=self.id,
            execution_id=self.execution_id,
            number=number,
            name=self.name,
            data=codec.decode(self.data),
            message_id=self.message_id,
            created_at=read_time(created_at),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing(Message):
    """An event on its way."""

    event_id: str | None
    source: str
    headers: str | None
    made_by: str
    deliver_at: datetime | None

    def publish(self, cursor: CursorWrapper) -> Event | None:
        """The event, or None when its id was used before."""
        dialect = self.dialect
        later = [] if self.deliver_at is None else [store(dialect, self.deliver_at)]
        text = statements.PUBLISH.format(now=dialect.now(), deliver_at="%s" if later else dialect.now())
        own = [store(dialect, self.id), self.name, self.data, self.headers, self.source, self.event_id, self.made_by]
        cursor.execute(text, [*own, *later])
        row = cursor.fetchone()
        return None if row is None else self._stored(*row)

    def read_back(self) -> Event | None:
        return first_of(Event.objects.using(self.alias).filter(pk=self.id))

    def known(self) -> Event | None:
        """The event that came before under this id, and not too long ago."""
        if self.event_id is None:
            return self.read_back()
        return first_of(self._same_id().filter(created_at__gt=self._window()))

    def forget_old_id(self) -> None:
        """Take the id from an event older than the window; it keeps everything else."""
        self._same_id().filter(created_at__lte=self._window()).update(event_id=None)

    def _same_id(self) -> QuerySet[Event]:
        return Event.objects.using(self.alias).filter(event_id=self.event_id)

    def _window(self) -> Any:
        return DatabaseNow() - timedelta(seconds=conf.event_window())

    def _stored(self, deliver_at: Any, created_at: Any) -> Event:
        return instance(
            Event,
            self.alias,
            id=self.id,
            type=EventType.EVENT,
            name=self.name,
            data=codec.decode(self.data),
            headers=None if self.headers is None else codec.decode(self.headers),
            source=self.source,
            event_id=self.event_id,
            made_by=self.made_by,
            deliver_at=read_time(deliver_at),
            created_at=read_time(created_at),
        )
