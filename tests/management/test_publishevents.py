"""`manage.py publishevents`: a foreign stream, fed again after a crash, is published once."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from django_workflows.models import Event

pytestmark = pytest.mark.django_db

Feed = Callable[..., tuple[str, str]]


def line(id: Any = "1", name: Any = "order.created", **values: Any) -> dict[str, Any]:
    return {"id": id, "name": name, **values}


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    """Feed these lines from a file; what was printed, on both streams."""

    def call(lines: list[Any], *arguments: str) -> tuple[str, str]:
        path = tmp_path / "lines.jsonl"
        path.write_text("\n".join(text if isinstance(text, str) else json.dumps(text) for text in lines))
        out, err = StringIO(), StringIO()
        try:
            call_command("publishevents", str(path), *arguments, stdout=out, stderr=err, no_color=True)
        except CommandError as error:
            err.write(f"CommandError: {error}\n")
        return out.getvalue(), err.getvalue()

    return call


def ids() -> set[str | None]:
    return set(Event.objects.values_list("event_id", flat=True))


def test_lines_become_events(feed: Feed) -> None:
    lines = [line(1, data={"order": 7}), "", line("2", "paid", source="till", headers={"x": "y"})]

    _, err = feed([*lines, line("3", deliver_at="2036-01-31T09:00:00Z")], "--source", "kafka")

    assert err == "3 published, 0 known before.\n"
    first, second, third = Event.objects.order_by("event_id")
    assert (first.event_id, first.name, first.data, first.source) == ("1", "order.created", {"order": 7}, "kafka")
    assert (second.source, second.headers) == ("till", {"x": "y"})
    assert third.deliver_at is not None
    assert third.deliver_at.year == 2036


@pytest.mark.parametrize("batch", ["1", "3", "1000"])
def test_a_stream_that_is_fed_again_is_published_once(feed: Feed, batch: str) -> None:
    """EVT-08: at least once from outside, once in here."""
    lines = [line(str(number)) for number in range(10)]

    feed(lines[:6], "--batch", batch)
    _, err = feed(lines, "--batch", batch)

    assert err == "4 published, 6 known before.\n"
    assert len(ids()) == Event.objects.count() == 10


def test_what_is_committed_is_acknowledged_in_order(feed: Feed) -> None:
    out, _ = feed([line("a"), line("b"), line("a")], "--ack", "--batch", "2")

    assert out.splitlines() == ["a", "b", "a"]


def test_it_goes_on_after_an_id(feed: Feed) -> None:
    _, err = feed(["{no json", line("a"), line("b"), line("c")], "--after", "b")

    assert ids() == {"c"}
    assert err == "1 published, 0 known before, 2 passed over.\n"
    _, err = feed([line("a")], "--after", "zzz")
    assert "No line has the id 'zzz'" in err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{no json", "line: is no JSON"),
        ("[1]", "line: must be a JSON object."),
        ("[" * 100_000, "line: is no JSON"),
        ("\xff\x00", "line: is no JSON"),
        (line(None), "id: is missing"),
        (line(nam="x"), "nam: There is no such field"),
        (line(name=""), "name: must not be empty."),
        (line(name=5), "name: must be text, not int."),
        (line(headers=[1]), "headers: must be an object."),
        (line(deliver_at="soon"), "deliver_at: must be a moment"),
        (line(data="x" * 2_000_000), "payload"),
        (line(data="x" * 4_000_000), "line: has more than"),
        (line("x" * 300), "id: must have at most 255 characters"),
    ],
)
def test_a_bad_line_ends_it_with_the_reason_or_is_passed_over(feed: Feed, text: Any, problem: str) -> None:
    lines = [line("a"), text, line("c")]

    _, err = feed(lines, "--batch", "10")
    assert "Line 2: " in err
    assert problem.lower() in err.lower()
    assert "Line 2 was not published, nor what follows" in err
    assert ids() == {"a"}

    _, err = feed(lines, "--skip-invalid")
    assert "1 published, 1 known before, 1 invalid." in err
    assert ids() == {"a", "c"}


def test_lines_without_ids_only_when_asked_for(feed: Feed) -> None:
    feed([{"name": "x"}], "--without-ids")
    feed([{"name": "x"}], "--without-ids")

    assert list(Event.objects.values_list("event_id", flat=True)) == [None, None]


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("publishevents", "/nowhere/at/all")
    with pytest.raises(CommandError, match="--batch is a number"):
        call_command("publishevents", "/nowhere/at/all", "--batch", "0")
