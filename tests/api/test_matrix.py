"""Every operation of the API for everybody: a stranger, somebody without and with the permission, another tenant's
user with all permissions, a superuser. An operation without a line in the table fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.urls import reverse

from django_workflows.api.methods import METHODS
from django_workflows.api.views.documentation import description
from tests.api import matrix
from tests.api.conftest import MANAGER, Api, Login
from tests.api.matrix import OPEN, REST, RPC, SECRET, STRANGER, TENANT

ALL = (*MANAGER, "open_webhook")


def of_tenant(user: User, rows: QuerySet[Any]) -> QuerySet[Any]:
    """What begins with the tenant's name, and executions on a queue of that name; all for superusers."""
    if user.is_superuser:
        return rows
    column = {"Execution": "queue", "Trigger": "workflow"}.get(rows.model.__name__, "name")
    return rows.filter(**{f"{column}__startswith": user.username.partition("-")[0]})


@pytest.fixture(autouse=True)
def scoped(settings: Any) -> None:
    settings.WORKFLOWS = {"API_SCOPE": "tests.api.test_matrix.of_tenant"}


@pytest.fixture
def things(db: None) -> dict[str, str]:
    return matrix.build()


def operations() -> Iterator[tuple[str, str, str]]:
    """The name, method and path of each operation that is described."""
    for path, methods in description(reverse("django_workflows:root"), "en")["paths"].items():
        for method, about in methods.items():
            yield about["operationId"], method, path


def send(api: Api, name: str, things: Mapping[str, str]) -> tuple[int, str]:
    """The status and the text of the answer, however it comes."""
    method, path = next((method, path) for found, method, path in operations() if found == name)
    target = things.get(REST[name].of, "")
    answer = api(method.upper(), path.replace("{name}", target).replace("{id}", target), REST[name].body)
    streams = getattr(answer, "streaming", False)
    content = b"".join(answer.streaming_content) if streams else answer.content
    return answer.status_code, content.decode()


def call(api: Api, name: str, things: Mapping[str, str]) -> dict[str, Any]:
    request = {"jsonrpc": "2.0", "id": 1, "method": name, "params": RPC[name].params(things)}
    answer: dict[str, Any] = api.post("rpc", request).json()
    return answer


def test_every_operation_has_a_line() -> None:
    assert {name for name, _, _ in operations()} == REST.keys() | OPEN
    assert METHODS.keys() == RPC.keys()


@pytest.mark.parametrize("name", REST)
def test_nobody_does_anything_without_being_logged_in(nobody: Api, things: dict[str, str], name: str) -> None:
    before = matrix.stored()
    status, text = send(nobody, name, things)

    assert status in {401, 403}
    assert "not-authenticated" in text
    assert matrix.stored() == before


@pytest.mark.parametrize("name", REST)
def test_without_a_permission_an_operation_is_refused_and_the_permission_named(
    login: Login, things: dict[str, str], name: str
) -> None:
    before = matrix.stored()
    for number, needed in enumerate(REST[name].needs):
        api = login(*(set(ALL) - {needed}), name=f"{TENANT}-{number}")
        status, text = send(api, name, things)
        assert (status, needed in text, SECRET in text) == (403, True, False)
    if REST[name].needs:
        status, text = send(login(name=f"{TENANT}-plain"), name, things)
        assert (status, SECRET in text) == (403, False)
    assert matrix.stored() == before


@pytest.mark.parametrize("name", REST)
@pytest.mark.parametrize("superuser", [False, True])
def test_the_permissions_suffice(login: Login, things: dict[str, str], name: str, superuser: bool) -> None:
    user = {"name": "root", "superuser": True} if superuser else {"name": TENANT}
    status, text = send(login(*(() if superuser else REST[name].needs), **user), name, things)

    assert status == REST[name].answers, text


@pytest.mark.parametrize("name", REST)
def test_to_another_tenant_nothing_of_it_exists(login: Login, things: dict[str, str], name: str) -> None:
    before = matrix.stored()
    status, text = send(login(*ALL, name=STRANGER), name, things)

    assert status == REST[name].hidden, text
    assert SECRET not in text
    assert matrix.stored() == before
    if REST[name].hidden == 200:
        assert [id for id in things.values() if id in text] == []


# JSON-RPC


@pytest.mark.parametrize("name", RPC)
def test_a_method_needs_the_permissions_of_its_operation(login: Login, things: dict[str, str], name: str) -> None:
    before = matrix.stored()
    for number, needed in enumerate(RPC[name].needs):
        error = call(login(*(set(ALL) - {needed}), name=f"{TENANT}-{number}"), name, things)["error"]
        assert (error["code"], needed in error["message"]) == (matrix.FORBIDDEN, True)
    assert call(login(name=f"{TENANT}-plain"), name, things)["error"]["code"] == matrix.FORBIDDEN
    assert matrix.stored() == before


@pytest.mark.parametrize("name", RPC)
@pytest.mark.parametrize("superuser", [False, True])
def test_the_permissions_suffice_for_a_method(login: Login, things: dict[str, str], name: str, superuser: bool) -> None:
    user = {"name": "root", "superuser": True} if superuser else {"name": TENANT}
    answer = call(login(*(() if superuser else RPC[name].needs), **user), name, things)

    assert answer.get("result") not in (None, False), answer


@pytest.mark.parametrize("name", RPC)
def test_to_another_tenant_a_method_finds_nothing(login: Login, things: dict[str, str], name: str) -> None:
    before = matrix.stored()
    answer = call(login(*ALL, name=STRANGER), name, things)

    hidden = RPC[name].hidden
    found = answer["error"]["code"] if "error" in answer else answer["result"]
    assert hidden is ... or found == hidden
    assert SECRET not in str(answer)
    assert matrix.stored() == before


@pytest.mark.parametrize("name", RPC)
def test_nobody_calls_a_method_without_being_logged_in(nobody: Api, things: dict[str, str], name: str) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": name, "params": RPC[name].params(things)}

    assert nobody.post("rpc", request).status_code in {401, 403}


def test_a_notification_and_a_batch_are_asked_as_well(login: Login, things: dict[str, str]) -> None:
    before = matrix.stored()
    calls = [{"jsonrpc": "2.0", "method": name, "params": RPC[name].params(things)} for name in RPC]

    answer = login(*ALL, name=STRANGER).post("rpc", calls)

    assert answer.status_code == 204
    assert matrix.stored() == before
