"""References into the data of an execution."""

from __future__ import annotations

from typing import Any

import pytest

from django_workflows.exceptions import InvalidExpression
from django_workflows.expressions.paths import MISSING, parse_path, parse_template

SCOPE: dict[str, Any] = {"input": {"a": {"b": [10, {"c": None}]}, 'say "hi"': 1, "é": 2}, "steps": {}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$.input.a.b[0]", 10),
        ("$.input.a.b[1].c", None),
        ('$.input["a"]["b"][0]', 10),
        ('$.input["say \\"hi\\""]', 1),
        ("$.input.é", 2),
        ("$.input.a.b[2]", MISSING),
        ("$.input.a[0]", MISSING),
        ("$.input.a.b.c", MISSING),
        ("$.steps", {}),
        ("$.event.id", MISSING),
    ],
)
def test_a_path_leads_to_a_value_or_nowhere(text: str, value: Any) -> None:
    path = parse_path(text)
    assert path.find(SCOPE) is value or path.find(SCOPE) == value
    assert path.value(SCOPE) == (None if value is MISSING else value)


@pytest.mark.parametrize(
    "text", ["$", "$.", "$.output", "$.input.", "$.input[-1]", "$.input[x]", "$.input a", "$.input.0"]
)
def test_what_is_no_path_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(InvalidExpression, match=r"A reference is a path"):
        parse_path(text)


def test_a_template_replaces_whole_texts_at_any_depth() -> None:
    template, errors = parse_template({"to": "$.input.é", "all": [1, {"n": "$.input.a.b[0]"}], "gone": "$.input.x"})
    assert not errors
    assert [where for where, _ in template.paths] == ["to", "all.1.n", "gone"]
    assert template.resolve(SCOPE) == {"to": 2, "all": [1, {"n": 10}], "gone": None}


def test_a_text_that_only_looks_like_a_reference_can_be_written() -> None:
    template, errors = parse_template(["$5", "a $.input.a", "$$.input.a", "$"])
    assert not errors
    assert template.resolve(SCOPE) == ["$5", "a $.input.a", "$.input.a", "$"]


def test_each_wrong_reference_is_told_with_its_place() -> None:
    _, errors = parse_template({"a": ["$.nowhere"], "b": "$.input..x"})
    assert list(errors) == ["a.0", "b"]
