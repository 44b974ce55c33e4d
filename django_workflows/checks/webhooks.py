"""Webhooks that refuse everything, or nothing: told before somebody delivers. No message holds a secret."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError, transaction

from django_workflows import conf
from django_workflows.authoring.registry import registry
from django_workflows.checks.settings import TAG, check_settings
from django_workflows.models import Trigger, TriggerType
from django_workflows.triggers.webhooks import schemes

SHORTEST_SECRET = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """What the code or a row says of a webhook."""

    workflow: str
    path: str
    scheme: str
    secret: str

    def __str__(self) -> str:
        return f"The webhook {self.path!r} of {self.workflow!r}"


@register(TAG)
def check_webhooks(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Secrets, and the webhooks of the code."""
    if _settings_are_broken():
        return []
    return [*_malformed(conf.get("WEBHOOK_SECRETS")), *_unusable(_of_code())]


@register(TAG, deploy=True)
def check_open_webhooks(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Webhooks of the code that anybody may call, and secrets that can be guessed."""
    return [] if _settings_are_broken() else list(_open(_of_code()))


@register(Tags.database)
def check_stored_webhooks(
    app_configs: Any = None, databases: Collection[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """The same for webhooks that operators or definitions added."""
    return _of_rows(databases, _unusable)


@register(Tags.database, deploy=True)
def check_open_stored_webhooks(
    app_configs: Any = None, databases: Collection[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    return _of_rows(databases, _open)


def _settings_are_broken() -> bool:
    """Then the settings cannot be read, and have been complained about."""
    return any(isinstance(message, Error) for message in check_settings())


def _of_code() -> list[Webhook]:
    return [
        _webhook(definition.name, trigger.pattern, trigger.config)
        for definition in registry.workflows()
        for trigger in definition.options.triggers
        if trigger.type == TriggerType.WEBHOOK
    ]


def _of_rows(
    databases: Collection[str] | None, look: Callable[[Iterable[Webhook]], Iterator[CheckMessage]]
) -> list[CheckMessage]:
    """Nothing while the tables are not there: `migrate` checks first."""
    if _settings_are_broken() or conf.database() not in (databases or ()):
        return []
    known = set(_of_code())
    rows = Trigger.objects.using(conf.database()).filter(type=TriggerType.WEBHOOK, enabled=True, retired_at=None)
    try:
        with transaction.atomic(using=conf.database()):
            found = [_webhook(row.workflow, row.pattern, row.config) for row in rows]
    except DatabaseError:
        return []
    return list(look(webhook for webhook in found if webhook not in known))


def _webhook(workflow: str, path: str, config: Any) -> Webhook:
    config = config if isinstance(config, Mapping) else {}
    scheme, secret = config.get("verify", ""), config.get("secret", "")
    return Webhook(workflow=workflow, path=path, scheme=str(scheme), secret=str(secret))


def _malformed(secrets: Mapping[Any, Any]) -> Iterator[CheckMessage]:
    for name, value in secrets.items():
        several = value if isinstance(value, list | tuple) else [value]
        if not isinstance(name, str) or not all(isinstance(secret, str) for secret in several):
            yield Error(
                f"WORKFLOWS['WEBHOOK_SECRETS'][{name!r:.60}] is neither a text nor a list of texts.",
                hint='Write {"GITHUB": ["the new one", "the old one"]}; a missing environment variable gives None.',
                id="django_workflows.E011",
            )


def _unusable(webhooks: Iterable[Webhook]) -> Iterator[CheckMessage]:
    for webhook in webhooks:
        secrets = conf.webhook_secrets(webhook.secret)
        if webhook.scheme == "standard" and not schemes.HAS_STANDARD:
            yield Error(
                f"{webhook} needs a package that is not installed.",
                hint=schemes.INSTALL_STANDARD,
                id="django_workflows.E012",
            )
        if webhook.scheme == "standard":
            secrets = [secret for secret in secrets if schemes.is_standard_secret(secret)]
        if webhook.scheme != "none" and not secrets:
            kind = "base64, perhaps after whsec_" if webhook.scheme == "standard" else "a text that nobody can guess"
            yield Warning(
                f"{webhook} refuses every delivery: it has no secret that can be used.",
                hint=f"Set WORKFLOWS['WEBHOOK_SECRETS'][{webhook.secret!r}] to {kind}.",
                id="django_workflows.W008",
            )


def _open(webhooks: Iterable[Webhook]) -> Iterator[CheckMessage]:
    for webhook in webhooks:
        if webhook.scheme == "none":
            yield Warning(
                f'{webhook} starts executions for anybody who knows its address (verify="none").',
                hint="Let the sender sign its deliveries, or send a secret; see docs/webhooks.md.",
                id="django_workflows.W009",
            )
        elif any(len(secret) < SHORTEST_SECRET for secret in conf.webhook_secrets(webhook.secret)):
            yield Warning(
                f"{webhook} has a secret of less than {SHORTEST_SECRET} characters, which can be guessed.",
                hint='Make one: python -c "import secrets; print(secrets.token_urlsafe(32))".',
                id="django_workflows.W010",
            )
