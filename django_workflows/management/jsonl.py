"""Lines of JSON as events to be published: read one by one, however long the stream is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from django.utils.dateparse import parse_datetime

from django_workflows import conf
from django_workflows.exceptions import InvalidInput

FIELDS = {"id", "name", "data", "source", "headers", "deliver_at"}
_MORE_BYTES = 64 * 1024  # of a line, beside its data


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An event to be published."""

    number: int
    id: str | None
    name: str
    data: Any
    source: str
    headers: Mapping[str, Any] | None
    deliver_at: datetime | None


def read_lines(stream: BinaryIO, source: str, *, with_ids: bool) -> Iterator[tuple[int, Line | InvalidInput]]:
    """Each line that is not empty, with its number; what is wrong with it in its place."""
    longest = 2 * conf.max_payload_bytes() + _MORE_BYTES
    number = 0
    while text := stream.readline(longest + 1):
        number += 1
        if len(text) > longest:
            while text and not text.endswith(b"\n"):
                text = stream.readline(longest)
            yield number, InvalidInput({"line": [f"has more than {longest:,} bytes."]})
        elif text.strip():
            try:
                yield number, _read(number, text, source, with_ids)
            except InvalidInput as problem:
                yield number, problem


def _read(number: int, text: bytes, source: str, with_ids: bool) -> Line:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput({"line": [f"is no JSON: {error}."]}) from None
    if not isinstance(values, dict):
        raise InvalidInput({"line": ["must be a JSON object."]})
    problems = {
        name: [f"There is no such field; known: {', '.join(sorted(FIELDS))}."] for name in values.keys() - FIELDS
    }
    if values.get("id") is None and with_ids:
        problems["id"] = ["is missing; fed again, this event would be published again (--without-ids allows that)."]
    if not isinstance(values.get("headers") or {}, dict):
        problems["headers"] = ["must be an object."]
    if problems:
        raise InvalidInput(problems)
    return Line(
        number=number,
        id=_as_text(values.get("id")),
        name=values.get("name", ""),
        data=values.get("data"),
        source=values.get("source") or source,
        headers=values.get("headers"),
        deliver_at=_moment(values.get("deliver_at")),
    )


def _as_text(id: Any) -> Any:
    """Many streams number their messages."""
    return str(id) if isinstance(id, int) and not isinstance(id, bool) else id


def _moment(text: Any) -> datetime | None:
    if text is None:
        return None
    try:
        moment = parse_datetime(text)
    except (ValueError, TypeError):
        moment = None
    if moment is None:
        raise InvalidInput({"deliver_at": ["must be a moment like 2026-01-31T09:00:00Z."]})
    return moment
