"""Addresses and forms that no browser makes: each is refused in words, none is an error, none tells a payload."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.auth.models import AnonymousUser
from django.contrib.messages.storage.cookie import CookieStorage
from django.core.exceptions import SuspiciousOperation
from django.db import models
from django.test import Client, RequestFactory
from django.urls import reverse

from django_workflows.admin.base import LONGEST_SEARCH, MOST_VALUES
from django_workflows.models import Execution, Status, Trigger, Workflow
from tests.admin.conftest import Login
from tests.factories import make_execution, make_trigger, make_workflow

OURS = [model for model in admin.site._registry if model._meta.app_label == "django_workflows"]
SECRET = "xyzzy4711"

HOSTILE = (
    "\0",
    "a\0b",
    "\ud800",
    "\N{RIGHT-TO-LEFT OVERRIDE}\x1b[2J",
    "-1",
    "9999",
    "9" * 30,
    "9" * 5_000,
    "1e400",
    "no-uuid",
    "(a+)+$",
    "[",
    "'\"\\%_",
    "1.2.-.3",
    "a " * 4_000,
    "",
)
# What the pages declare, and what Django itself reads.
PARAMETERS = (
    "q",
    "o",
    "p",
    "all",
    "_facets",
    "_changelist_filters",
    "workflow",
    "queue",
    "status__exact",
    "status__isnull",
    "type__exact",
    "enabled__exact",
    "origin__exact",
    "retired_at__isempty",
    "created_at__year",
    "created_at__month",
    "created_at__day",
    "\0",
)
DECLARED = {*PARAMETERS, "type__isnull", "enabled__isnull", "origin__isnull"}
ENDINGS = ("", "__contains", "__regex", "__iregex", "__startswith", "__isnull", "__in", "__gte", "__year")
RELATIONS = ("execution", "parent", "children", "events", "signals", "steps")


class Refused(Exception):
    """A list does not take this address: the answer is a 400, or the list without filters."""


def look(model: type[models.Model], **query: Any) -> list[Any]:
    """The rows that a list finds for an address."""
    request = RequestFactory().get("/?" + urlencode(query, doseq=True, errors="surrogatepass"))
    request.user = AnonymousUser()
    request._messages = CookieStorage(request)  # type: ignore[attr-defined]  # what the middleware of messages does
    try:
        return list(admin.site.get_model_admin(model).get_changelist_instance(request).result_list)
    except (SuspiciousOperation, IncorrectLookupParameters) as refusal:
        raise Refused(str(refusal)) from refusal


def lookups(model: type[models.Model]) -> Iterator[str]:
    for field in model._meta.get_fields():
        yield from (f"{field.name}{ending}" for ending in ENDINGS)
    for relation in RELATIONS:
        yield from (f"{relation}__{column}" for column in ("input__startswith", "error__regex", "reason", "data__in"))


@pytest.mark.django_db
@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_only_declared_filters_are_looked_up(model: type[models.Model]) -> None:
    """Each letter of a payload could be asked for, by those who may not see it."""
    for name in sorted({*lookups(model)} - DECLARED):
        with pytest.raises(Refused):
            look(model, **{name: "x"})


@pytest.mark.django_db
@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_whatever_stands_in_an_address_is_no_error(model: type[models.Model]) -> None:
    for name in PARAMETERS:
        for value in HOSTILE:
            with contextlib.suppress(Refused):
                look(model, **{name: value})


@pytest.mark.django_db
def test_a_filter_takes_some_values_and_not_any_number() -> None:
    paused, failed = make_execution(Status.PAUSED), make_execution(Status.FAILED)
    make_execution()

    assert set(look(Execution, status__exact=["paused", "failed"])) == {paused, failed}
    with pytest.raises(Refused):
        look(Execution, status__exact=["paused"] * (MOST_VALUES + 1))


@pytest.mark.django_db
def test_only_sortable_columns_are_sorted_by() -> None:
    """The others have no index: a click would sort millions of rows."""
    make_execution(key="b")
    make_execution(key="a")

    assert [row.key for row in look(Execution, o="2")] == [row.key for row in look(Execution)]
    oldest_first = look(Execution, o="4")
    assert [row.key for row in oldest_first] == ["b", "a"]


@pytest.mark.django_db
@pytest.mark.parametrize("term", ["a\0b", "\ud800", "a " * LONGEST_SEARCH])
@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_a_search_that_no_database_takes_finds_nothing(model: type[models.Model], term: str) -> None:
    """Boxes that complete what is typed ask for it without any check of Django's."""
    make_execution(key="a")
    model_admin = admin.site.get_model_admin(model)
    request = RequestFactory().get("/")

    found, _duplicates = model_admin.get_search_results(request, model_admin.get_queryset(request), term)

    assert list(found) == []


def page(model: type[models.Model], what: str = "changelist", *args: object) -> str:
    return reverse(f"admin:django_workflows_{model._meta.model_name}_{what}", args=args)


@pytest.mark.parametrize("query", ["?workflow=%00", "?queue=%00", "?created_at__year=9999", "?q=%00", "?p=0"])
def test_a_list_that_refuses_an_address_is_shown_without_filters(operator: Client, query: str) -> None:
    make_execution()

    answer = operator.get(page(Execution) + query, follow=True)

    assert answer.status_code == 200
    assert len(answer.context["cl"].result_list) == 1


@pytest.mark.parametrize("query", ["?input__contains=x", "?error__regex=(a%2B)%2B$", "?_to_field=input"])
def test_an_address_that_asks_for_payloads_is_a_bad_request(operator: Client, query: str) -> None:
    make_execution(input={"card": SECRET})

    assert operator.get(page(Execution) + query).status_code == 400


@pytest.mark.parametrize("key", ["no-uuid", "\0", "9" * 30, "-1", "\N{RIGHT-TO-LEFT OVERRIDE}"])
@pytest.mark.parametrize("model", [Execution, Trigger], ids=lambda model: model.__name__)
def test_an_action_on_what_is_no_row_does_nothing(operator: Client, model: type[models.Model], key: str) -> None:
    action = "pause_selected" if model is Execution else "disable_selected"

    answer = operator.post(page(model), {"action": action, "_selected_action": [key]}, follow=True)

    assert answer.status_code == 200
    assert [str(message) for message in answer.context["messages"]] == ["There is no such row."]


@pytest.mark.parametrize(("model", "what"), [(Execution, "verb"), (Execution, "signal"), (Trigger, "change")])
@pytest.mark.parametrize(
    "text", ["a\0b", '"\\u0000"', '{"a": "\\ud800"}', "[" * 2_000, "9" * 5_000, "\x1b\u202e", "NaN"]
)
def test_whatever_is_posted_is_stored_or_refused_in_words(
    operator: Client, model: type[models.Model], what: str, text: str
) -> None:
    row = make_execution() if model is Execution else make_trigger(workflow="admin_hostile", config={})
    path = page(model, what, row.pk, *(["pause"] if what == "verb" else []))
    names = ("reason", "name", "payload", "workflow", "pattern", "config", "note", "enabled")

    for name in names:
        given = {"name": "go", "type": "event", "pattern": "a.b", "workflow": "fulfil", "enabled": "on"}
        answer = operator.post(path, given | {name: text}, follow=True)
        assert answer.status_code == 200


def test_reasons_in_the_audit_log_are_for_those_who_see_payloads(operator: Client, login: Login) -> None:
    """They quote what went wrong, and passwords are for nobody."""
    execution = make_execution()
    operator.post(page(Execution, "verb", execution.pk, "pause"), {"reason": f"card {SECRET}, password='{SECRET}!'"})
    history = page(Execution, "history", execution.pk)

    seen, hidden = operator.get(history).content.decode(), login().get(history).content.decode()

    assert f"Pause: card {SECRET}, password=" in seen
    assert f"{SECRET}!" not in seen
    assert f"{SECRET}!" not in LogEntry.objects.get().change_message
    assert "Pause" in hidden
    assert SECRET not in hidden


def test_django_s_own_entries_are_shown_as_they_are(operator: Client) -> None:
    workflow = make_workflow("admin_hostile")

    operator.post(page(Workflow, "change", workflow.pk), {})

    assert "Changed Enabled." in operator.get(page(Workflow, "history", workflow.pk)).content.decode()
