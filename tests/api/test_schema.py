"""What the API says of itself: valid, without warnings, and true for whatever a machine makes of it."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import schemathesis
from django.contrib.auth.models import User
from django.contrib.staticfiles.finders import find
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connection
from django.test import override_settings
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

from django_workflows.api.views.documentation import description
from tests.api.conftest import Login

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="once is enough: it is about the API alone")

CREDENTIALS = "Basic " + base64.b64encode(b"root:secret").decode()

# Who is let in is tested path by path; and what fits a schema may still name what does not exist, or be no cursor.
ELSEWHERE = [ignored_auth, positive_data_acceptance]

schema = schemathesis.openapi.from_dict(description("/api/", "en"))
schema.app = get_wsgi_application()


@pytest.fixture
def root(db: None) -> Iterator[None]:
    """Somebody who may do everything; a request leaves the test's transaction open."""
    User.objects.create_superuser("root", password="secret")
    for moment in (request_started, request_finished):
        moment.disconnect(close_old_connections)
    yield
    for moment in (request_started, request_finished):
        moment.connect(close_old_connections)


@schema.include(path_regex="^/api/(?!executions/.id./stream)").parametrize()
@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_request_finds_an_answer_that_was_not_described(root: None, case: Any) -> None:
    """OBS-10: schemathesis"""
    # JSON-RPC tells its errors with 200
    excluded = [*ELSEWHERE, negative_data_rejection] if case.path == "/api/rpc" else ELSEWHERE
    with override_settings(WORKFLOWS={"API_MAX_WAIT": 0}):
        case.call_and_validate(headers={"Authorization": CREDENTIALS}, excluded_checks=excluded)


def test_the_description_is_made_without_warnings(capfd: pytest.CaptureFixture[str]) -> None:
    description.cache_clear()
    made = description("/elsewhere/", "en")

    assert capfd.readouterr().err == ""
    assert made["openapi"].startswith("3.1")
    assert all(path.startswith("/elsewhere/") for path in made["paths"])


def operations() -> Iterator[dict[str, Any]]:
    for methods in description("/api/", "en")["paths"].values():
        yield from methods.values()


def test_every_operation_has_a_name_a_summary_and_its_errors() -> None:
    found = list(operations())

    assert len({operation["operationId"] for operation in found}) == len(found)
    for operation in found:
        assert operation["summary"]
        is_open = operation.get("security") == []  # a secret stands for a login
        assert is_open or {"401", "403"} <= operation["responses"].keys()
        refused = {"400", "413"} if is_open else {"400", "413", "415"}
        assert "requestBody" not in operation or refused <= operation["responses"].keys()


def test_examples_are_what_their_schemas_say() -> None:
    document = description("/api/", "en")
    checked = 0
    for operation in operations():
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in (one for body in bodies for one in body.get("content", {}).values()):
            for example in content.get("examples", {}).values():
                jsonschema.validate(example["value"], content["schema"] | {"components": document["components"]})
                checked += 1

    assert checked > 25


def test_every_body_has_an_example() -> None:
    for operation in operations():
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert content.get("examples"), operation["operationId"]


def test_the_pages_need_nothing_from_elsewhere(login: Login) -> None:
    api = login()
    page = api.get("docs/")
    made = api.get("openapi.json")

    assert page.status_code == 200
    assert "http://" not in page.content.decode()
    assert "https://" not in page.content.decode()
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    assert 'data-schema="/api/openapi.json"' in page.content.decode()
    for file in re.findall(r'(?:src|href)="/static/([^"]+)"', page.content.decode()):
        assert find(file), file
    assert json.loads(made.content)["info"]["title"] == "django-workflows"


def test_the_discovery_document_lists_every_path(login: Login) -> None:
    document = login().get("/api/").json()

    listed = {row["path"] for row in document["routes"]}
    assert {"/api/executions/{id}/stream", "/api/workflows/{name}/start"} <= listed
    assert {"/api/webhooks/{path}", "/api/tokens/{secret}"} <= listed
    assert listed - set(description("/api/", "en")["paths"]) <= {"/api/openapi.json", "/api/docs"}
    assert document["documentation"] == "/api/docs/"
    assert {"GET", "POST"} == set(next(row["methods"] for row in document["routes"] if row["path"] == "/api/events"))


@pytest.mark.parametrize("path", ["docs", "openapi.json"])
def test_without_the_extra_there_is_help_instead(login: Login, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_workflows.api.views.documentation.INSTALLED", False)
    answer = login().get(path)

    assert answer.status_code == 501
    assert "django-workflows[openapi]" in answer.json()["detail"]


def test_without_the_sidecar_there_is_help_instead(login: Login, settings: Any) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "drf_spectacular_sidecar"]

    assert "INSTALLED_APPS" in login().get("docs").json()["detail"]


def test_the_api_works_without_the_extra() -> None:
    """In a process of its own: what is not installed is decided when the modules are imported."""
    code = (
        "import sys; sys.modules['drf_spectacular'] = None; import django; django.setup(); "
        "from django.urls import resolve; from django_workflows.api.openapi import INSTALLED; "
        "print(INSTALLED, resolve('/api/executions').url_name)"
    )
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "testproject.settings"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)

    assert done.stdout.split() == ["False", "executions"], done.stderr
