"""Exceptions as data: always recorded, whatever they do."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from django_workflows import codec
from django_workflows.codec.errors import MAX_MESSAGE, MAX_TRACEBACK


class PaymentDeclined(Exception):
    def __init__(self, order: object, code: int) -> None:
        self.order, self.code = order, code
        super().__init__(order, code)

    def __str__(self) -> str:
        return f"code {self.code}"


def raised(exc: BaseException, cause: BaseException | None = None) -> BaseException:
    """The exception after it was raised, with its traceback."""
    try:
        raise exc from cause
    except BaseException as caught:
        return caught


def encoded(exc: BaseException) -> dict[str, Any]:
    """What is stored, after the checks that hold for every exception."""
    data = codec.encode_exception(exc)
    text = codec.encode(data)
    assert codec.decode(text) == data
    assert {"type", "class", "message", "traceback"} <= data.keys()
    return data


def test_type_message_traceback_and_cause_are_kept() -> None:
    """SER-04."""
    data = encoded(raised(PaymentDeclined(object(), 51), raised(KeyError("card"))))

    assert data["type"] == "PaymentDeclined"
    assert data["class"] == f"{__name__}.PaymentDeclined"
    assert data["message"] == "code 51"
    assert data["cause"]["type"] == "KeyError"
    assert data["cause"]["class"] == "builtins.KeyError"
    assert data["cause"]["message"] == "'card'"
    assert "traceback" not in data["cause"]
    first, second = data["traceback"].split("direct cause of the following exception")
    assert "KeyError: 'card'" in first
    assert "raise exc from cause" in second
    assert second.endswith("PaymentDeclined: code 51\n")


def test_an_exception_while_handling_another_names_it_unless_suppressed() -> None:
    def fail(suppress: bool) -> None:
        try:
            raise KeyError("first")
        except KeyError:
            if suppress:
                raise ValueError("second") from None
            raise ValueError("second")  # noqa: B904  # the missing `from` is what is tested

    with pytest.raises(ValueError, match="second") as caught:
        fail(suppress=False)
    data = encoded(caught.value)
    assert data["cause"]["message"] == "'first'"
    assert "During handling of the above exception" in data["traceback"]

    with pytest.raises(ValueError, match="second") as caught:
        fail(suppress=True)
    assert "cause" not in encoded(caught.value)


def test_an_exception_that_was_never_raised_has_a_short_traceback() -> None:
    assert encoded(ValueError("x"))["traceback"] == "ValueError: x\n"


def test_notes_are_kept() -> None:
    exc = ValueError("x")
    exc.add_note("order 42")
    exc.add_note("n" * 10_000)

    data = encoded(exc)

    assert data["notes"][0] == "order 42"
    assert "truncated: 10,000 characters" in data["notes"][1]
    assert "order 42" in data["traceback"]


def test_the_members_of_a_group_are_kept_with_their_tracebacks() -> None:
    """SER-05."""
    group = BaseExceptionGroup(
        "many", [raised(ValueError("one")), BaseExceptionGroup("inner", [raised(KeyError("two"))])]
    )

    data = encoded(raised(group))

    assert [member["message"] for member in data["members"]] == ["one", "inner (1 sub-exception)"]
    assert data["members"][1]["members"][0]["type"] == "KeyError"
    assert "members_omitted" not in data
    assert data["traceback"].count("raise exc from cause") == 3
    assert "  | ValueError: one" in data["traceback"]


def test_a_group_of_thousands_is_bounded() -> None:
    group = BaseExceptionGroup("many", [raised(ValueError("x" * 5_000)) for _ in range(5_000)])

    data = encoded(group)

    assert len(data["members"]) + data["members_omitted"] == 5_000
    assert len(data["members"]) < 30


def test_long_chains_and_rings_end() -> None:
    first = exc = ValueError("0")
    for number in range(1, 5_000):
        exc.__cause__ = ValueError(str(number))
        exc = exc.__cause__
    exc.__cause__ = first

    data = encoded(first)
    depth = 0
    while "cause" in data:
        data, depth = data["cause"], depth + 1
    assert 3 < depth < 20

    alone = ValueError("me")
    alone.__cause__ = alone
    assert "cause" not in encoded(alone)


class StrRaises(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    __repr__ = __str__


class StrExits(Exception):
    def __str__(self) -> str:
        sys.exit(1)


class StrIsNoText(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]  # the lie is what is tested


class Sly(str):
    __slots__ = ()

    def __getitem__(self, item: Any) -> str:
        raise RuntimeError("no slice for you")

    encode = __len__ = __getitem__  # type: ignore[assignment]  # all of it raises


class StrIsSly(Exception):
    def __str__(self) -> str:
        return Sly("sly")


class AttributesRaise(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"no {name} for you")


class NotesRaise(Exception):
    @property
    def __notes__(self) -> list[str]:
        raise RuntimeError("no notes for you")

    @__notes__.setter
    def __notes__(self, notes: object) -> None: ...


class Recursive(Exception):
    def __str__(self) -> str:
        return str(self)


class OddMeta(type):
    @property
    def __name__(cls) -> Any:  # type: ignore[override]  # the lie is what is tested
        return 5


class OddlyNamed(Exception, metaclass=OddMeta):
    pass


class OddGroup(BaseExceptionGroup[Exception]):
    @property
    def exceptions(self) -> Any:
        return 5


class HostileMeta(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(f"no {name} for you")


def nameless() -> BaseException:
    class Nameless(Exception, metaclass=HostileMeta):
        pass

    return Nameless()


class OddNotes(Exception):
    __notes__: Any = [5, b"x", None, "kept"]


@pytest.mark.parametrize(
    "make",
    [
        StrRaises,
        StrExits,
        StrIsNoText,
        StrIsSly,
        AttributesRaise,
        NotesRaise,
        Recursive,
        nameless,
        OddlyNamed,
        lambda: OddGroup("odd", [ValueError("x")]),
        OddNotes,
        lambda: ValueError(object(), lambda: 1, {1: StrRaises()}),
        lambda: ValueError(StrRaises()),
        lambda: type("N\1ü" * 1000, (Exception,), {})("x"),
        lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        lambda: SyntaxError("bad", ("f", 1, 1, "\0", 1, 1)),
        lambda: RecursionError("deep"),
        lambda: MemoryError(),
        lambda: GeneratorExit(),
        lambda: asyncio.CancelledError(),
        lambda: KeyboardInterrupt(),
        lambda: SystemExit(object()),
        lambda: BaseExceptionGroup("g", [StrRaises(), AttributesRaise()]),
    ],
)
def test_hostile_exceptions_are_recorded_all_the_same(make: Callable[[], BaseException]) -> None:
    """SER-05, RTY-17."""
    data = encoded(raised(make(), raised(StrRaises())))

    assert data["message"] is not None
    assert len(codec.encode(data)) < 20_000


def test_what_can_be_read_of_a_hostile_one_is_read() -> None:
    data = encoded(raised(StrRaises()))

    assert data["type"] == "StrRaises"
    assert "could not be read" in data["message"]
    assert encoded(OddNotes())["notes"] == ["kept"]
    assert encoded(StrIsSly())["message"] == "sly"


def test_fifty_megabytes_are_cut_and_say_so() -> None:
    """SER-05."""
    started = time.process_time()
    data = encoded(raised(ValueError("x" * 50_000_000), raised(ValueError("ü" * 50_000_000))))

    assert data["message"].endswith("… [truncated: 50,000,000 characters in all]")
    assert len(data["message"].encode()) < MAX_MESSAGE + 100
    assert "truncated: 50,000,000" in data["cause"]["message"]
    assert len(data["traceback"].encode()) < MAX_TRACEBACK + 100
    assert time.process_time() - started < 5


def test_characters_that_no_column_holds_are_replaced() -> None:
    """SER-05, SER-08."""
    data = encoded(raised(ValueError("a\0b\ud800c😀")))

    assert data["message"] == "a\ufffdb\ufffdc😀"
    assert data["traceback"].endswith("ValueError: a\ufffdb\ufffdc😀\n")


def test_the_worst_case_stays_far_below_the_limit_of_payloads() -> None:
    def worst(depth: int) -> BaseException:
        message = "\x01" * 1_000_000
        if not depth:
            return raised(ValueError(message))
        exc = BaseExceptionGroup(message, [worst(depth - 1) for _ in range(4)])
        for _ in range(20):
            exc.add_note(message)
        return raised(exc, raised(ValueError(message)))

    assert len(codec.encode(codec.encode_exception(worst(3)))) < codec.MAX_BYTES


def test_a_deep_recursion_keeps_where_it_ended() -> None:
    def fall(depth: int) -> None:
        if depth:
            fall(depth - 1)
        raise RuntimeError("the ground")

    with pytest.raises(RuntimeError) as caught:
        fall(800)
    data = encoded(caught.value)

    assert "Previous line repeated" in data["traceback"]
    assert data["traceback"].endswith("RuntimeError: the ground\n")


def test_an_overlong_traceback_keeps_both_ends() -> None:
    exc: BaseException = raised(ValueError("first"))
    for number in range(8):
        exc = raised(ValueError(f"{number}-" + "é" * 3_000), exc)

    text = encoded(exc)["traceback"]

    assert "… [truncated: " in text or len(text.encode()) <= MAX_TRACEBACK
    assert text.endswith("characters in all]\n")


def test_the_class_path_in_data_is_only_text() -> None:
    """SER-04: reading never imports it."""
    data = encoded(raised(PaymentDeclined(1, 2)))
    data["class"] = "this.module.does.not.exist"

    assert json.loads(codec.encode(data))["class"] == "this.module.does.not.exist"
    assert "this" not in sys.modules
