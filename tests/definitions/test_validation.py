"""A definition is checked completely when it is saved: each problem with its path, and what to do."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_workflows import workflow
from django_workflows.declarative.parser import MOST_STEPS, read
from django_workflows.definitions import validate
from django_workflows.exceptions import InvalidDefinition

NOTE: dict[str, Any] = {"id": "n", "action": "note", "input": {"text": "hi"}}

pytestmark = pytest.mark.django_db  # a child's name may be that of a row


def document(*steps: Any, **keys: Any) -> dict[str, Any]:
    return {"name": "flow", "steps": list(steps) or [NOTE], **keys}


def problems(value: Any) -> dict[str, str]:
    with pytest.raises(InvalidDefinition) as raised:
        validate(value)
    return {problem["path"]: problem["message"] for problem in raised.value.problems}


def test_a_good_document_is_read() -> None:
    definition = validate(
        document(
            {"name": "first", "action": "note", "input": {"text": "a"}, "retry": {"attempts": 3}, "timeout": "30 s"},
            {"id": "second", "sleep": 90},
            events=["user.*", {"pattern": "order.created", "where": {"shop": 1}}],
            schedules=["every monday at 9am", {"pattern": "0 6 1 * *", "tz": "Europe/Berlin"}],
            tags=["crm"],
            queue="bulk",
            priority=5,
            timeout="30 days",
            onError="continue",
            description="…",
        )
    )
    assert [step.id for step in definition.steps] == ["first", "second"]
    assert definition.steps[0].retry.max_attempts == 3  # type: ignore[attr-defined]  # an action
    assert [trigger.type for trigger in definition.triggers] == ["event", "event", "schedule", "schedule"]
    assert (definition.queue, definition.priority, definition.on_error) == ("bulk", 5, "continue")


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        (None, "", "is a JSON object"),
        ([], "", "is a JSON object"),
        ({}, "name", "needs a name"),
        ({"name": "x"}, "steps", "needs a list of steps"),
        ({"name": "x", "steps": []}, "steps", "at least one"),
        ({"name": "x", "steps": {}}, "steps", "needs a list of steps"),
        (document(name=""), "name", "must not be empty"),
        (document(name=5), "name", "must be text"),
        (document(name="x" * 300), "name", "at most 200"),
        (document(stepz=[]), "stepz", 'Did you mean "steps"?'),
        (document(version=2), "version", "The keys are: description"),
        (document(timeout="soon"), "timeout", "is no duration"),
        (document(timeout=0), "timeout", "longer than nothing"),
        (document(timeout=True), "timeout", "is no duration"),
        (document(timeout="200 years"), "timeout", "is no duration"),
        (document(timeout=10**12), "timeout", "at most 36,500 days"),
        (document(priority=10), "priority", "from 0 to 9"),
        (document(priority=1.5), "priority", "whole number"),
        (document(onError="ignore"), "onError", "must be one of continue, fail, pause, retry"),
        (document(tags="crm", description=["x"]), "description", "must be a text"),
        (document(tags=[1]), "tags", "list of texts"),
        (document(events="user.created"), "events", "must be a list"),
        (document(events=["a..b"]), "events.0", ""),
        (document(events=["a", "a"]), "events.1", "twice"),
        (document(events=[{"pattern": "a", "wher": {}}]), "events.0.wher", "no such option"),
        (document(schedules=["whenever"]), "schedules.0", ""),
        (document(schedules=[{"pattern": "@daily", "tz": "Mars/Olympus"}]), "schedules.0.tz", ""),
        (document(schedules=[7]), "schedules.0", ""),
        (document(output="$.steps.m"), "output", "there is no step 'm'"),
        (document(output={"a": ["$.step.n"]}), "output.a.0", "a path begins with"),
    ],
)
def test_what_is_wrong_with_a_document(value: Any, path: str, message: str) -> None:
    assert message in problems(value)[path]


@pytest.mark.parametrize(
    ("step", "path", "message"),
    [
        ("note", "", "A step is an object"),
        ({}, "", "exactly one of: action, sleep, waitForEvent, workflow"),
        ({"id": "a", "action": "note", "sleep": 1}, "", "exactly one of"),
        ({"action": "note"}, ".id", "needs an id"),
        ({**NOTE, "id": "1"}, ".id", "must begin with a letter"),
        ({**NOTE, "id": "a.b"}, ".id", "must begin with a letter"),
        ({**NOTE, "name": "m"}, ".name", 'either "id" or "name"'),
        ({**NOTE, "actoin": "note"}, ".actoin", 'Did you mean "action"?'),
        ({**NOTE, "match": {}}, ".match", 'A step with "action" has no "match"'),
        ({"id": "n", "sleep": "5 min", "timeout": "1 h"}, ".timeout", 'A step with "sleep" has no "timeout"'),
        ({**NOTE, "rollback": "mail.apologise"}, ".rollback", "not there yet"),
        ({**NOTE, "action": "nothing.registered"}, ".action", "No @step is registered"),
        ({**NOTE, "action": "os.system"}, ".action", "No @step is registered"),
        ({**NOTE, "action": 3}, ".action", "must be text"),
        ({**NOTE, "input": ["hi"]}, ".input", "the arguments by name"),
        ({**NOTE, "input": {}}, ".input.text", "'note' needs this argument"),
        ({**NOTE, "input": {"text": "", "txt": ""}}, ".input.txt", "Its arguments are: text"),
        ({**NOTE, "input": {"text": "$.steps.later.id"}}, ".input.text", "there is no step 'later'"),
        ({**NOTE, "input": {"text": "$.steps.n"}}, ".input.text", "need not be over"),
        ({**NOTE, "input": {"text": "$.nowhere"}}, ".input.text", "A reference is a path"),
        ({**NOTE, "when": "$.input.x ="}, ".when", "A condition compares"),
        ({**NOTE, "when": True}, ".when", "a condition is a text"),
        ({**NOTE, "when": "$.steps.other == 1"}, ".when", "there is no step 'other'"),
        ({**NOTE, "retry": 3}, ".retry", "must be an object"),
        ({**NOTE, "retry": {"attempts": 0}}, ".retry.attempts", "from 1 to"),
        ({**NOTE, "retry": {"attempts": 1, "maxAttempts": 1}}, ".retry.attempts", "either"),
        ({**NOTE, "retry": {"backoffCoefficient": 0.5}}, ".retry.backoffCoefficient", "from 1 to 100"),
        ({**NOTE, "retry": {"backoff": 2}}, ".retry.backoff", "no such key"),
        ({**NOTE, "retry": {"initialIntervalMs": "1 s"}}, ".retry.initialIntervalMs", "must be a number"),
        ({**NOTE, "dependsOn": ["n"]}, ".dependsOn", "cannot wait for itself"),
        ({**NOTE, "dependsOn": ["other"]}, ".dependsOn", "There is no step 'other'"),
        ({**NOTE, "dependsOn": [1]}, ".dependsOn", "list of texts"),
        ({"id": "n", "action": "far_away", "input": {"points": 1}, "timeout": 5}, ".timeout", "as its @step says"),
        (
            {"id": "n", "action": "far_away", "input": {"points": 1}, "onError": "pause"},
            ".onError",
            "as its @step says",
        ),
        ({"id": "n", "sleep": "tomorrow"}, ".sleep", "is no duration"),
        ({"id": "n", "sleep": -1}, ".sleep", "longer than nothing"),
        ({"id": "n", "sleep": "$.steps.x"}, ".sleep", "there is no step 'x'"),
        ({"id": "n", "waitForEvent": "user.*"}, ".waitForEvent", "without *"),
        ({"id": "n", "waitForEvent": "e", "match": {"a,b": 1}}, ".match.a,b", "without a comma"),
        ({"id": "n", "waitForEvent": "e", "onError": "continue"}, ".onError", 'has no "onError"'),
        ({"id": "n", "workflow": "nobody"}, ".workflow", "There is no workflow 'nobody'"),
        ({"id": "n", "workflow": "provision", "input": {}}, ".input.user", "'provision' needs this argument"),
        ({"id": "n", "workflow": "provision", "input": {"user": 1, "x": 1}}, ".input.x", "no such argument"),
        ({"id": "n", "workflow": "provision", "input": {"user": 1}, "onError": "pause"}, ".onError", "must be one of"),
    ],
)
def test_what_is_wrong_with_a_step(step: Any, path: str, message: str) -> None:
    assert message in problems(document(step))[f"steps.0{path}"]


def test_everything_is_told_at_once() -> None:
    told = problems(document({**NOTE, "when": "("}, NOTE, {"id": "s", "sleep": "x"}, nmae="flow", timeout=0))
    assert set(told) == {"steps.0.when", "steps.1.id", "steps.2.sleep", "nmae", "timeout"}


def test_what_it_refers_to_is_told_together_with_keys_and_types_and_each_mistake_once() -> None:
    value = document(
        {"id": "a", "action": "note", "input": "no object"},
        5,
        {"id": "b", "action": "nobody", "colour": "red"},
        {"id": "c", "sleep": "soon", "when": "$.steps.zz == 1"},
        {"id": "d", "waitForEvent": "x", "match": {"y": "$.steps.e.id"}},
        {"id": "e"},
        {"id": "f", "action": "note", "input": {"text": "$.steps.e"}},
        output="$.steps.nowhere",
        events=["a*"],
    )

    assert problems(value).keys() == {
        "steps.0.input",
        "steps.1",
        "steps.2.action",
        "steps.2.colour",
        "steps.3.sleep",
        "steps.3.when",
        "steps.4.match.y",
        "steps.5",
        "output",
        "events.0",
    }


def test_ids_are_unique() -> None:
    assert problems(document(NOTE, {"name": "n", "sleep": 1})) == {"steps.1.id": "Another step has the id 'n' already."}


def test_steps_that_wait_for_each_other_are_told_with_the_way_round() -> None:
    steps = [
        {"id": "a", "sleep": 1, "dependsOn": ["c"]},
        {"id": "b", "sleep": 1, "dependsOn": ["a"]},
        {"id": "c", "sleep": 1, "dependsOn": ["b"]},
    ]
    assert problems(document(*steps)) == {"steps": "They wait for each other: a → c → b → a."}


def test_in_a_graph_a_reference_must_be_to_what_is_done_before() -> None:
    first, second = {**NOTE, "id": "a"}, {**NOTE, "id": "b", "input": {"text": "$.steps.a"}}
    third = {**NOTE, "id": "c", "dependsOn": ["b"], "when": "exists $.steps.a"}
    assert problems(document(first, second, third)) == {
        "steps.1.input.text": "$.steps.a: the step 'a' need not be over when this one begins; "
        'add "a" to its dependsOn.',
        "steps.2.when": "$.steps.a: the step 'a' need not be over when this one begins; add \"a\" to its dependsOn.",
    }
    validate(document(first, {**second, "dependsOn": ["a"]}, third))  # through b


def test_a_name_that_is_code_is_refused() -> None:
    @workflow
    def taken(ctx: Any) -> None: ...

    assert "is code" in problems(document(name="taken"))["name"]
    assert "is code" in problems(document(name="note"))["name"]


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ([], "inputSchema"),
        ({"type": "array"}, "inputSchema.type"),
        ({"properties": {"a": {"type": "texts"}}}, "inputSchema.properties.a.type"),
        ({"$ref": "https://example.org/schema.json"}, "inputSchema.$ref"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "inputSchema.properties.a.$ref"),
        ({"properties": {"a": {"pattern": "(a+)+$"}}}, "inputSchema.properties.a.pattern"),
        ({"patternProperties": {"(a+)+$": {}}}, "inputSchema.patternProperties"),
        ({"items": [{"uniqueItems": True}]}, "inputSchema.items.0.uniqueItems"),
        (
            {"unevaluatedProperties": False, "allOf": [{"anyOf": [{"unevaluatedProperties": False}]}]},
            "inputSchema.allOf.0.anyOf.0.unevaluatedProperties",
        ),
        (
            {"unevaluatedItems": False, "if": {"not": {"unevaluatedItems": False}}},
            "inputSchema.if.not.unevaluatedItems",
        ),
        ({"properties": {f"p{number}": True for number in range(500)}}, "inputSchema"),
        ({"enum": list(range(3_001))}, "inputSchema"),
        ({"const": [[number] for number in range(3_001)]}, "inputSchema"),
    ],
)
def test_a_schema_reaches_nowhere_and_costs_little(schema: Any, path: str) -> None:
    assert path in problems(document(inputSchema=schema))


def test_names_in_a_schema_are_no_keywords() -> None:
    validate(document(inputSchema={"properties": {"pattern": {"enum": [{"$ref": "x"}]}, "$ref": True}}))


def test_a_document_is_bounded() -> None:
    many = [{"id": f"s{number}", "sleep": 1} for number in range(MOST_STEPS + 1)]
    assert f"At most {MOST_STEPS}" in problems(document(*many))["steps"]
    assert "at most 256 KiB" in problems(document(description="x" * 300_000))[""]
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    assert "nested deeper" in problems(document(output=deep))[""]
    assert len(problems({"name": "x", **{f"key{number}": 1 for number in range(500)}})) <= 101


def test_the_largest_document_is_read_quickly() -> None:
    ids = [f"s{number}" for number in range(MOST_STEPS)]
    steps = [{"id": id, "sleep": 1, "dependsOn": ids[max(0, number - 20) : number]} for number, id in enumerate(ids)]
    began = time.process_time()
    validate(document(*steps))
    assert time.process_time() - began < 2


words = st.sampled_from(
    ["name", "steps", "id", "action", "sleep", "when", "note", "$.input.a", "$.steps.n", "workflow", "retry", "5 min"]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words | st.text(max_size=3), inner, max_size=5),
    max_leaves=20,
)


@given(st.fixed_dictionaries({"name": words | anything, "steps": st.lists(anything, max_size=3) | anything}))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_document_is_read_or_refused(value: Any) -> None:
    with contextlib.suppress(InvalidDefinition):
        read(value)
