"""The HTTP API: its scope, and what would leave it open to the world."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string
from rest_framework.authentication import BasicAuthentication, TokenAuthentication
from rest_framework.settings import api_settings

from django_workflows import conf
from django_workflows.checks.settings import TAG, check_settings

# Beyond these a single request can keep a web process busy for long.
LARGE = {"API_MAX_BODY_BYTES": 64 * 1024 * 1024, "WEBHOOK_MAX_BODY_BYTES": 64 * 1024 * 1024}
LARGE |= {"API_MAX_PAGE_SIZE": 1_000, "API_MAX_BATCH": 1_000}

FUNCTIONS = (
    (
        "API_SCOPE",
        "django_workflows.E013",
        "Give the dotted path of a function scope(user, queryset) that returns the rows which the user may find.",
    ),
    (
        "DEFINITION_ACTIONS",
        "django_workflows.E015",
        "Give the dotted path of a function allowed(user, step) that says whether the user's definitions may call it.",
    ),
)


@register(TAG)
def check_api(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Whether the project's functions that decide on rights are there: without, all would be allowed, or nothing."""
    if any(isinstance(message, Error) for message in check_settings()):
        return []
    found = (_function(*about) for about in FUNCTIONS if conf.get(about[0]))
    return [error for error in found if error is not None]


def _function(setting: str, id: str, hint: str) -> Error | None:
    path = conf.get(setting)
    try:
        problem = "" if callable(import_string(path)) else "it is no function"
    except ImportError as error:
        problem = str(error)
    return Error(f"WORKFLOWS[{setting!r}] is {path!r}: {problem}.", hint=hint, id=id) if problem else None


@register(TAG, deploy=True)
def check_open_api(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """What a project that serves the API should not leave as it is."""
    if not _is_mounted() or any(isinstance(message, Error) for message in check_settings()):
        return []
    return [*_authentication(), *_cross_site(), *_limits()]


def _is_mounted() -> bool:
    try:
        reverse("django_workflows:root")
    except (NoReverseMatch, AttributeError):  # the latter of a project without ROOT_URLCONF
        return False
    return True


def _authentication() -> Iterator[CheckMessage]:
    classes: Sequence[Any] = api_settings.DEFAULT_AUTHENTICATION_CLASSES
    if not classes:
        yield Warning(
            "The HTTP API knows no way to log in: REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES'] is empty.",
            hint="Name the classes that your project logs in with; until then everybody is refused.",
            id="django_workflows.W011",
        )
    plain = [one.__name__ for one in classes if issubclass(one, BasicAuthentication | TokenAuthentication)]
    if plain and not (settings.SECURE_SSL_REDIRECT or settings.SECURE_PROXY_SSL_HEADER):
        yield Warning(
            f"The HTTP API takes secrets with each request ({', '.join(plain)}), and plain HTTP is not ruled out.",
            hint="Set SECURE_SSL_REDIRECT = True, or SECURE_PROXY_SSL_HEADER behind a proxy that ends TLS; or name "
            "other classes in REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES'].",
            id="django_workflows.W012",
        )
    if not api_settings.DEFAULT_THROTTLE_CLASSES:
        yield Warning(
            "Nothing limits how often the HTTP API is called, so secrets can be guessed and workflows started at will.",
            hint="Set REST_FRAMEWORK['DEFAULT_THROTTLE_CLASSES'] and its rates, or limit requests before Django and "
            "silence this check.",
            id="django_workflows.W014",
        )


def _cross_site() -> Iterator[CheckMessage]:
    everybody = getattr(settings, "CORS_ALLOW_ALL_ORIGINS", False) or getattr(settings, "CORS_ORIGIN_ALLOW_ALL", False)
    if everybody and getattr(settings, "CORS_ALLOW_CREDENTIALS", False):
        yield Warning(
            "Every other site may call the HTTP API in the name of who is logged in (CORS_ALLOW_ALL_ORIGINS with "
            "CORS_ALLOW_CREDENTIALS).",
            hint="Name the sites that may: CORS_ALLOWED_ORIGINS.",
            id="django_workflows.W013",
        )


def _limits() -> Iterator[CheckMessage]:
    for name, most in LARGE.items():
        if conf.get(name) > most:
            yield Warning(
                f"WORKFLOWS[{name!r}] is {conf.get(name):,}: one request may keep a web process busy for long.",
                hint=f"Stay below {most:,}; the default is {conf.DEFAULTS[name].default:,}.",
                id="django_workflows.W015",
            )
