"""`manage.py check` tells of webhooks that nobody can use, and with `--deploy` of those that anybody can."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import CheckMessage
from pytest_django.fixtures import Settings

from django_workflows import Context, webhook
from django_workflows.authoring.definitions import WorkflowDefinition
from django_workflows.authoring.registry import Registry
from django_workflows.checks import (
    check_open_stored_webhooks,
    check_open_webhooks,
    check_settings,
    check_stored_webhooks,
    check_webhooks,
    webhooks,
)
from django_workflows.models import Trigger
from django_workflows.triggers.webhooks import schemes
from tests.triggers.webhooks.conftest import Hook

LONG = "a secret that nobody can guess"


def ids(messages: list[CheckMessage]) -> list[str]:
    return [str(message.id).removeprefix("django_workflows.") for message in messages]


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry of its own."""
    own = Registry()
    monkeypatch.setattr(webhooks, "registry", own)
    return own


def declare(code: Registry, verify: str, **options: Any) -> None:
    def body(ctx: Context) -> None: ...

    code.add_workflow(WorkflowDefinition(body, {"name": "w", "triggers": [webhook("hook", verify=verify, **options)]}))


@pytest.mark.parametrize(
    ("secrets", "expected"),
    [
        ({"IT": LONG}, []),
        ({"IT": [LONG, "an older one, long too"]}, []),
        ({}, ["W008"]),
        ({"IT": ""}, ["W008"]),
        ({"IT": []}, ["W008"]),
        ({"IT": None}, ["E011", "W008"]),
        ({"IT": [LONG, 1]}, ["E011"]),
    ],
)
def test_a_webhook_without_a_secret_is_told(
    code: Registry, settings: Settings, secrets: dict[str, Any], expected: list[str]
) -> None:
    settings.WORKFLOWS = {"WEBHOOK_SECRETS": secrets}
    declare(code, "github", secret="IT")
    messages = check_webhooks()
    assert ids(messages) == expected
    assert LONG not in str(messages)


def test_a_secret_of_standard_webhooks_is_base64(code: Registry, settings: Settings) -> None:
    declare(code, "standard", secret="IT")
    settings.WORKFLOWS = {"WEBHOOK_SECRETS": {"IT": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}
    assert check_webhooks() == []
    settings.WORKFLOWS = {"WEBHOOK_SECRETS": {"IT": "whsec_"}}
    assert ids(check_webhooks()) == ["W008"]


def test_a_package_that_is_missing_is_told_with_the_way_to_get_it(
    code: Registry, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schemes, "HAS_STANDARD", False)
    settings.WORKFLOWS = {"WEBHOOK_SECRETS": {"IT": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}}
    declare(code, "standard", secret="IT")
    (message,) = check_webhooks()
    assert ids([message]) == ["E012"]
    assert 'pip install "django-workflows[webhooks]"' in str(message.hint)


def test_before_a_deploy_it_is_told_what_anybody_may_start(code: Registry, settings: Settings) -> None:
    settings.WORKFLOWS = {"WEBHOOK_SECRETS": {"IT": "short"}}
    declare(code, "none")
    assert check_webhooks() == []
    assert ids(check_open_webhooks()) == ["W009"]
    declare(code, "bearer", secret="IT")
    assert ids(check_open_webhooks()) == ["W010"]
    assert "short'" not in str(check_open_webhooks())


def test_a_secret_of_the_wrong_type_is_not_shown(settings: Settings) -> None:
    settings.WORKFLOWS = {"WEBHOOK_SECRETS": LONG}
    messages = check_settings()
    assert ids(messages) == ["E002"]
    assert LONG not in str(messages)
    assert check_webhooks() == check_open_webhooks() == []


@pytest.mark.django_db
def test_webhooks_of_operators_are_told_of_with_the_database(hook: Hook, code: Registry) -> None:
    Trigger.objects.all().delete()  # those of the example apps
    hook("github", secret="MISSING")
    hook("none", path="open")
    disabled = hook("none", path="disabled")
    disabled.enabled = False
    disabled.save()
    assert check_stored_webhooks(databases=None) == check_open_stored_webhooks(databases=None) == []
    assert ids(check_stored_webhooks(databases=["default"])) == ["W008"]
    (message,) = check_open_stored_webhooks(databases=["default"])
    assert message.msg.startswith("The webhook 'open' of 'hook_anything' starts executions for anybody")
