"""Publishing events, and following everything that happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.request import Request

from django_workflows import conf, operations
from django_workflows.api import fields, paging
from django_workflows.api.access import SEND_EVENT, VIEW, Access, uuid_of
from django_workflows.api.requests import Strict, checked
from django_workflows.api.serializers.events import event_document, feed_document
from django_workflows.authoring.names import check_callers_key, numbered_key
from django_workflows.client.messages import publish_or_get
from django_workflows.engine.database.transactions import transact
from django_workflows.exceptions import InvalidInput, PayloadError
from django_workflows.inspection.feed import Cursor, Wanted, everything, feed, from_now_on
from django_workflows.models import Event, EventType
from django_workflows.rights import id_of

NOW = "now"
FEED_TYPES = [*EventType.values, "signal"]


class EventBody(Strict):
    """An event to publish."""

    name = fields.Name(help_text="Words with dots between: order.created")
    data = fields.AnyJson(required=False, default=None)  # type: ignore[assignment]  # the metaclass takes fields out of the class
    id = fields.Key(required=False, help_text="The publisher's own id; the same again publishes nothing.")
    source = fields.Name(required=False, default="", allow_blank=True)  # type: ignore[assignment]  # the metaclass takes fields out of the class
    deliver_at = fields.Moment(required=False, allow_null=True, help_text="Hand it out then, not before.")


class FeedQuery(paging.Limited):
    """Which things that happened."""

    after = fields.Text(
        required=False,
        max_length=4_000,
        help_text="The `cursor` of the last answer, or `now`; without it the feed begins with the oldest.",
    )
    type = fields.Choice(choices=FEED_TYPES, required=False)
    name = fields.Name(required=False)
    workflow = fields.Name(required=False)


class RedriveBody(Strict):
    """Why, for the log of events."""

    reason = fields.Text(required=False, default="", allow_blank=True, max_length=2_000)


def publish(access: Access, body: Any, key: str | None) -> tuple[dict[str, Any], bool]:
    """Publish an event; whether it is new. The key of the request serves as its id, unless it has one."""
    access.require(SEND_EVENT)
    said = checked(EventBody, body)
    said["id"] = said.get("id", key)
    event, is_new = _send(access, said)
    return event_document(event), is_new


def publish_many(access: Access, bodies: Sequence[Any], key: str | None) -> list[dict[str, Any]]:
    """Publish all or none; an error names the place in the batch."""
    access.require(SEND_EVENT)
    most = conf.api_max_batch()
    if not 1 <= len(bodies) <= most:
        raise serializers.ValidationError(_("A batch has 1 to %(most)s events.") % {"most": most})
    said, errors = [], {}
    for number, body in enumerate(bodies):
        try:
            event = checked(EventBody, body)
        except serializers.ValidationError as error:
            errors[str(number)] = error.detail
            continue
        event.setdefault("id", None if key is None else numbered_key(key, number))
        said.append(event)
    if errors:
        raise serializers.ValidationError(errors)
    sent = transact(
        conf.database(), lambda cursor: [_send(access, event, f"{place}.")[0] for place, event in enumerate(said)]
    )
    return [event_document(event) for event in sent]


def _send(access: Access, said: Mapping[str, Any], place: str = "") -> tuple[Event, bool]:
    """The event, and whether it is new. An id that a hidden event has is refused: its sender must not take the one for
    the other.
    """
    made_by = id_of(access.user)
    try:
        if said["id"] is not None:
            check_callers_key("id", said["id"])
        return access.within(lambda: publish_or_get(**said, made_by=made_by))
    except InvalidInput as error:
        raise InvalidInput({f"{place}{name}": messages for name, messages in error.errors.items()}) from None
    except PayloadError as error:
        raise type(error)(f"{place}data: {error}") from None


def redrive(access: Access, id: object, body: Any) -> dict[str, Any]:
    """Have an event dispatched again that was set aside; of any other nothing is changed."""
    reason = checked(RedriveBody, body)["reason"]
    uuid = uuid_of(id)
    rows = Event.objects.filter(type=EventType.EVENT, execution=None)
    rows = rows.none() if uuid is None else rows.filter(pk=uuid)
    missing = _("There is no event %(id).100r.") % {"id": str(id)}
    event = access.row(rows, SEND_EVENT, missing)
    redriven = operations.redrive(event, reason, by=access.user)
    return {**event_document(event), "redriven": redriven}


def follow(access: Access, query: Mapping[str, Any]) -> dict[str, Any]:
    """What happened after the cursor."""
    query = checked(FeedQuery, query)
    access.require("view_event", VIEW)
    after = query.get("after", "")
    cursor = from_now_on() if after == NOW else _cursor(after) if after else None
    page = feed(
        cursor,
        Wanted(
            type=query.get("type", ""),
            name=query.get("name", ""),
            workflow=query.get("workflow", ""),
            limit=paging.limit_of(query),
            most_bytes=conf.api_max_page_bytes(),
            visible=access.visible if access.is_scoped else everything,
        ),
    )
    reveal = access.reveals()
    return {
        "results": [feed_document(item, reveal=reveal) for item in page.items],
        "cursor": paging.to_cursor(str(page.cursor)),
        "more": page.more,
    }


def _cursor(after: str) -> Cursor:
    (text,) = paging.from_cursor(after, paging.word)
    return Cursor.parse(text)


def with_next(found: dict[str, Any], request: Request) -> dict[str, Any]:
    """The page with the address of what follows."""
    address = paging.address(request, after=found["cursor"])
    return {"results": found["results"], "next": address, "cursor": found["cursor"], "more": found["more"]}
