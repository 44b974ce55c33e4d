"""Pages that stay where they are while rows come and go: a cursor says after which row the next one begins."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from django.core.validators import MaxValueValidator
from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _
from rest_framework.request import Request

from django_workflows import conf
from django_workflows.api import fields
from django_workflows.api.problems import invalid
from django_workflows.api.requests import Strict
from django_workflows.inspection.instants import Instant
from django_workflows.inspection.sizes import fitting
from django_workflows.models import Execution

M = TypeVar("M", bound=Model)

_LONGEST = 4_000


class Limited(Strict):
    """The part of a query that says how much."""

    limit = fields.Whole(
        required=False, min_value=1, help_text="Rows on a page; the largest is the setting API_MAX_PAGE_SIZE."
    )

    def get_fields(self) -> dict[str, Any]:
        found = super().get_fields()
        # read now, not at import
        found["limit"].validators.append(MaxValueValidator(conf.api_max_page_size()))
        return found


class Paging(Limited):
    """The part of a query that chooses a page."""

    cursor = fields.Text(required=False, max_length=_LONGEST, help_text="The `cursor` of the page before.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Documents, and the cursor of what follows; None when nothing does."""

    results: Sequence[Any]
    cursor: str | None

    def document(self, request: Request) -> dict[str, Any]:
        """As it is answered: `next` is a path, so that no host header gets into it."""
        next = None if self.cursor is None else address(request, cursor=self.cursor)
        return {"results": list(self.results), "next": next, "cursor": self.cursor}


def address(request: Request, **changes: str) -> str:
    """Path and query of the same request with these parameters."""
    query = [(name, value) for name, values in request.query_params.lists() for value in values if name not in changes]
    return f"{request.path}?{urlencode([*query, *changes.items()])}"


def limit_of(query: Mapping[str, Any]) -> int:
    return int(query.get("limit") or conf.api_page_size())


def to_cursor(*values: Any) -> str:
    """A cursor that holds these texts, numbers, moments and ids."""
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
    text = json.dumps(plain, default=str, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def from_cursor(text: str, *types: Callable[[Any], Any]) -> list[Any]:
    """What `to_cursor` put in, each brought back by its type. Raises `ValidationError`."""
    try:
        values = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        if not isinstance(values, list) or len(values) != len(types):
            raise ValueError
        return [type(value) for type, value in zip(types, values, strict=True)]
    except (ValueError, TypeError, binascii.Error, RecursionError, OverflowError):
        raise invalid("cursor", _("Not a cursor of this list. Take the `cursor` of the page before.")) from None


def moment(text: Any) -> datetime:
    """A cursor's moment; one without a zone is none, nor one that a zone could lead out of the calendar."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None or not 1970 <= found.year < 9999:
        raise ValueError
    return found


def word(value: Any) -> str:
    """A cursor's text, one that a database takes."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    value.encode()
    return value


def identity(value: Any) -> UUID:
    """A cursor's id, which is a text."""
    if not isinstance(value, str):
        raise ValueError
    return UUID(value)


def number(value: Any) -> int:
    """A cursor's number, one that fits a column."""
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**31:
        raise ValueError
    return value


def newest_first(rows: QuerySet[Execution], cursor: str | None) -> QuerySet[Execution]:
    """Executions by the time of their creation, those after the cursor's."""
    rows = rows.order_by("-created_at", "-id")
    if not cursor:
        return rows
    created_at, id = from_cursor(cursor, moment, identity)
    instant = Instant.of(conf.database(), created_at)
    # the first condition is what the index is entered by
    rows = rows.filter(created_at__lte=instant.last)
    return rows.filter(instant.before("created_at") | instant.same("created_at") & Q(id__lt=id))


def read(
    rows: QuerySet[M], limit: int, position: Callable[[M], Sequence[Any]], large: Sequence[str]
) -> tuple[Sequence[M], str | None]:
    """A page of rows, bounded by the bytes of its `large` columns too, and the cursor of the next if there is one."""
    page, has_next = fitting(rows, large, limit=limit, most=conf.api_max_page_bytes())
    return page, to_cursor(*position(page[-1])) if page and has_next else None
