"""Whoever writes a schema, or sends input, cannot make its check last: what takes too long is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest

from django_workflows.declarative import effort, schemas
from django_workflows.declarative.effort import Effort, TooMuchEffort, errors
from django_workflows.exceptions import InvalidInput

BOUND = 4 * effort.MOST_SECONDS  # of the processor: what a check may take on a machine that counts slowly
MANY = list(range(50_000))


def _nested(depth: int, keyword: str) -> dict[str, Any]:
    return (
        {keyword: True, "allOf": [_nested(depth - 1, keyword)]}
        if depth
        else {"properties": {"a": True}, "prefixItems": [True]}
    )


def _tree(depth: int, width: int) -> dict[str, Any]:
    return {"anyOf": [_tree(depth - 1, width)] * width} if depth else {"type": "string"}


COSTLY: dict[str, tuple[dict[str, Any], Any]] = {
    "each nested unevaluatedProperties doubles it": (_nested(24, "unevaluatedProperties"), {"a": 1}),
    "each nested unevaluatedItems doubles it": ({"properties": {"a": _nested(24, "unevaluatedItems")}}, {"a": [1]}),
    "alternatives within alternatives": ({"additionalProperties": _tree(8, 4)}, {"a": 1, "b": 2}),
    "a long allOf over a long list": (
        {"additionalProperties": {"items": {"allOf": [{"minimum": 0}] * 300}}},
        {"a": MANY},
    ),
    "contains, again and again": ({"additionalProperties": {"allOf": [{"contains": False}] * 300}}, {"a": MANY}),
    "a huge enum over a long list": (
        {"additionalProperties": {"items": {"enum": [*list("abc") * 900, *MANY[:9]]}}},
        {"a": MANY[:9] * 999},
    ),
    "properties that are compared with each other": (
        {"unevaluatedProperties": True, "additionalProperties": True},
        {f"p{number}": 1 for number in MANY},
    ),
    "errors that show all of the input": (
        {"additionalProperties": {"anyOf": [{"type": "string"}] * 300}},
        {"a": [["x" * 900] * 900]},
    ),
}


@pytest.mark.parametrize("case", COSTLY)
def test_a_check_that_would_take_long_is_refused_in_time(case: str) -> None:
    schema, input = COSTLY[case]
    began = time.process_time()
    with pytest.raises(InvalidInput) as caught:
        schemas.check(schema, input)
    assert "takes too long" in caught.value.errors[schemas.WHOLE][0]
    assert time.process_time() - began < BOUND


def test_much_input_passes_a_simple_schema() -> None:
    schema = {"properties": {"amounts": {"items": {"type": "number", "minimum": 0}}}}
    schemas.check(schema, {"amounts": MANY[:20_000]})


def test_a_schema_itself_is_checked_in_time() -> None:
    began = time.process_time()
    assert list(schemas.problems_with({"required": [[number] for number in range(1_400)]}))
    assert time.process_time() - began < BOUND


def test_a_number_beyond_all_bounds_is_a_refusal_and_no_crash() -> None:
    with pytest.raises(InvalidInput):
        schemas.check({"properties": {"a": {"multipleOf": 1.5}}}, {"a": 10**400})


def test_a_schema_that_was_stored_past_all_checks_refuses_its_input() -> None:
    with pytest.raises(InvalidInput, match="cannot be checked"):
        schemas.check({"properties": {"a": {"type": "texts"}}}, {"a": 1})


def test_the_processor_time_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a step takes longer than anybody has thought of."""
    with pytest.raises(TooMuchEffort):
        list(errors({"items": {"type": "number"}}, list(range(1_000)), Effort(seconds=-1.0)))


def test_two_checks_in_turn_do_not_spend_the_effort_of_each_other() -> None:
    """What is found one after the other is counted where it belongs."""
    schema = {"items": {"type": "string"}}
    first, second = errors(schema, [1, 2], Effort(steps=9)), errors(schema, [1, 2], Effort(steps=9))
    assert [len(str(error.instance)) for pair in zip(first, second, strict=True) for error in pair] == [1, 1, 1, 1]
