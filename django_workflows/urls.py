"""The paths of the HTTP API, for `path("api/", include("django_workflows.urls"))`, with and without a last slash."""

from __future__ import annotations

from collections.abc import Iterator

from django.urls import URLPattern, path
from django.urls.converters import StringConverter, register_converter

from django_workflows.api import tokens, webhooks
from django_workflows.api.base import ApiView
from django_workflows.api.views import (
    documentation,
    events,
    executions,
    metrics,
    root,
    rpc,
    triggers,
    waiting,
    workflows,
)

app_name = "django_workflows"


class AnyConverter(StringConverter):
    """Any text without a slash at its end. Names may hold slashes, and what is no id is not found by the view."""

    regex = r"[\s\S]*[^/]"


register_converter(AnyConverter, "any")

# The more special address of two comes first: a name may hold slashes.
ROUTES: tuple[tuple[str, str, type[ApiView]], ...] = (
    ("workflows", "workflows", workflows.Workflows),
    ("start", "workflows/<any:name>/start", workflows.Start),
    ("versions", "workflows/<any:name>/versions", workflows.Versions),
    ("workflow", "workflows/<any:name>", workflows.Workflow),
    ("executions", "executions", executions.Executions),
    ("pause", "executions/<any:id>/pause", executions.Pause),
    ("resume", "executions/<any:id>/resume", executions.Resume),
    ("cancel", "executions/<any:id>/cancel", executions.Cancel),
    ("retry", "executions/<any:id>/retry", executions.Retry),
    ("signal", "executions/<any:id>/signal", executions.Signal),
    ("history", "executions/<any:id>/history", executions.History),
    ("steps", "executions/<any:id>/steps", executions.Steps),
    ("timeline", "executions/<any:id>/timeline", executions.Timeline),
    ("stream", "executions/<any:id>/stream", waiting.Stream),
    ("result", "executions/<any:id>/result", waiting.Result),
    ("execution", "executions/<any:id>", executions.Execution),
    ("events", "events", events.Events),
    ("redrive", "events/<any:id>/redrive", events.Redrive),
    ("triggers", "triggers", triggers.Triggers),
    ("fire", "triggers/<any:id>/fire", triggers.Fire),
    ("trigger", "triggers/<any:id>", triggers.Trigger),
    ("metrics", "metrics", metrics.Metrics),
    ("rpc", "rpc", rpc.Rpc),
    ("openapi", "openapi.json", documentation.OpenApi),
    ("docs", "docs", documentation.Docs),
)


def _patterns() -> Iterator[URLPattern]:
    for name, route, view in ROUTES:
        yield path(route, view.as_view(), name=name)
        yield path(f"{route}/", view.as_view(schema=None))


LISTED = tuple((route.replace("<any:name>", "{name}").replace("<any:id>", "{id}"), view) for _, route, view in ROUTES)

urlpatterns = [
    path("", root.Root.as_view(routes=LISTED), name="root"),
    *_patterns(),
    path("webhooks/<path:path>", webhooks.receive_webhook, name="webhook"),
    path("tokens/<str:secret>", tokens.answer, name="token"),
    path("tokens/<str:secret>/", tokens.answer),
]
