"""What `manage.py check` says of the HTTP API, and `check --deploy` of how open it is."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.settings import api_settings

from django_workflows.checks import check_api, check_open_api

SAFE: dict[str, Any] = {"SECURE_SSL_REDIRECT": True}
THROTTLED = {"DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle"]}


def ids(messages: list[Any]) -> set[str]:
    assert all(message.hint for message in messages)
    return {message.id.removeprefix("django_workflows.") for message in messages}


def test_a_careful_project_is_left_alone(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.REST_FRAMEWORK = THROTTLED

    assert check_open_api() == []
    assert check_api() == []


@pytest.mark.parametrize(
    ("changes", "rest", "expected"),
    [
        ({}, {"DEFAULT_AUTHENTICATION_CLASSES": []}, "W011"),
        ({"SECURE_SSL_REDIRECT": False}, {}, "W012"),
        ({"CORS_ALLOW_ALL_ORIGINS": True, "CORS_ALLOW_CREDENTIALS": True}, {}, "W013"),
        ({}, {"DEFAULT_THROTTLE_CLASSES": []}, "W014"),
        ({"WORKFLOWS": {"API_MAX_BODY_BYTES": 10**9}}, {}, "W015"),
        ({"WORKFLOWS": {"API_MAX_PAGE_SIZE": 10**6}}, {}, "W015"),
        ({"WORKFLOWS": {"API_MAX_BATCH": 10**6}}, {}, "W015"),
        ({"WORKFLOWS": {"WEBHOOK_MAX_BODY_BYTES": 10**9}}, {}, "W015"),
    ],
)
def test_each_insecure_setting_is_named(
    settings: Any, changes: dict[str, Any], rest: dict[str, Any], expected: str
) -> None:
    for name, value in ({"REST_FRAMEWORK": THROTTLED | rest} | SAFE | changes).items():
        setattr(settings, name, value)

    assert ids(check_open_api()) == {expected}


def test_a_project_that_does_not_serve_the_api_is_left_alone(settings: Any) -> None:
    settings.ROOT_URLCONF = "tests.api.no_urls"

    assert check_open_api() == []


@pytest.mark.parametrize("path", ["no.such.module", "django_workflows.conf.nothing", "django_workflows.__version__"])
def test_a_scope_that_is_no_function_is_an_error(settings: Any, path: str) -> None:
    settings.WORKFLOWS = {"API_SCOPE": path}

    assert ids(check_api()) == {"E013"}


@pytest.mark.parametrize("path", ["no.such.module", "django_workflows.__version__"])
def test_an_allow_list_of_actions_that_is_no_function_is_an_error(settings: Any, path: str) -> None:
    settings.WORKFLOWS = {"DEFINITION_ACTIONS": path}

    assert ids(check_api()) == {"E015"}


def test_the_settings_are_read_when_asked(settings: Any) -> None:
    settings.REST_FRAMEWORK = THROTTLED

    assert len(api_settings.DEFAULT_THROTTLE_CLASSES) == 1
