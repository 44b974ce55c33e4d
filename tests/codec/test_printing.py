"""Texts on their way to a terminal or a log."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from django_workflows.codec import printable, printable_json
from django_workflows.codec.printing import CONTINUED
from django_workflows.codec.redaction import RedactingFilter

HOSTILE = "\x1b[2J\x9b31m\r\x07\x00\x85\u2028\u2029\u202e\u2066\u061c\ud800\U000e0041\x7f\ufeff"


def test_a_terminal_is_told_nothing_that_it_would_obey() -> None:
    assert printable("a\x1b[31mb\rc\u202ed\x9be\tf\ud800") == r"a\x1b[31mb\rc\u202ed\x9be\tf\ud800"
    assert printable(HOSTILE).isprintable()
    assert printable(HOSTILE).isascii()


def test_a_text_takes_one_line_unless_it_may_have_more() -> None:
    assert printable("a\nb\r\nc") == r"a\nb\nc"
    assert printable("a\nb", CONTINUED) == "a\n    b"
    assert printable(ValueError("a")) == "a"


@pytest.mark.parametrize("text", ["plain", "größer, 日本語, می‌خواهم", "👩‍👩‍👧", "a\\x1b", ""])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_json_for_a_terminal_is_the_same_value() -> None:
    value = {"größe": HOSTILE, HOSTILE: [1, "a\nb"]}

    text = printable_json(value)

    assert json.loads(text) == value
    assert "größe" in text
    assert all(character == "\n" or character.isprintable() for character in text)


@pytest.fixture
def console() -> Iterator[tuple[logging.Logger, StringIO]]:
    logger, stream = logging.getLogger("tests.printing"), StringIO()
    handler, own = logging.StreamHandler(stream), RedactingFilter()
    handler.setFormatter(logging.Formatter("12:00:00 %(message)s"))
    logger.addFilter(own)
    logger.addHandler(handler)
    yield logger, stream
    logger.removeHandler(handler)
    logger.removeFilter(own)


@pytest.mark.parametrize("names", [["password"], []])
def test_an_entry_of_the_log_cannot_be_taken_for_two(
    console: tuple[logging.Logger, StringIO], names: list[str], settings: Any
) -> None:
    """Whether anything is redacted or not."""
    settings.WORKFLOWS = {"REDACT": names}
    logger, stream = console
    try:
        raise ValueError(f"no\n12:00:00 completed  all is well{HOSTILE}")
    except ValueError as error:
        logger.exception("failed     %s: %s", "order\n12:00:00 paused", error)

    lines = stream.getvalue().splitlines()
    assert [line for line in lines if line.startswith("12:00:00")] == [lines[0]]
    assert lines[0].startswith(r"12:00:00 failed     order\n12:00:00 paused: no\n12:00:00 completed")
    assert lines[1] == "Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in lines[2:])
    assert "".join(lines).isprintable()


def test_a_message_without_a_traceback_has_none_afterwards(console: tuple[logging.Logger, StringIO]) -> None:
    logger, stream = console
    logger.error("%s", "a", exc_info=(None, None, None) if sys.exc_info()[0] else None)

    assert stream.getvalue() == "12:00:00 a\n"
