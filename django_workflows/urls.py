"""The paths of the HTTP API, for `path("api/", include("django_workflows.urls"))`, with and without a last slash."""

from __future__ import annotations

from collections.abc import Iterator

from django.urls import URLPattern, path
from django.urls.converters import StringConverter, register_converter

from django_workflows.api import webhooks
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


class NameConverter(StringConverter):
    """A workflow's name, which may hold slashes."""

    regex = ".*[^/]"


register_converter(NameConverter, "workflow_name")

# The more special address of two comes first: a name may hold slashes.
ROUTES: tuple[tuple[str, str, type[ApiView]], ...] = (
    ("workflows", "workflows", workflows.Workflows),
    ("start", "workflows/<workflow_name:name>/start", workflows.Start),
    ("versions", "workflows/<workflow_name:name>/versions", workflows.Versions),
    ("workflow", "workflows/<workflow_name:name>", workflows.Workflow),
    ("executions", "executions", executions.Executions),
    ("execution", "executions/<str:id>", executions.Execution),
    ("pause", "executions/<str:id>/pause", executions.Pause),
    ("resume", "executions/<str:id>/resume", executions.Resume),
    ("cancel", "executions/<str:id>/cancel", executions.Cancel),
    ("retry", "executions/<str:id>/retry", executions.Retry),
    ("signal", "executions/<str:id>/signal", executions.Signal),
    ("history", "executions/<str:id>/history", executions.History),
    ("steps", "executions/<str:id>/steps", executions.Steps),
    ("timeline", "executions/<str:id>/timeline", executions.Timeline),
    ("stream", "executions/<str:id>/stream", waiting.Stream),
    ("result", "executions/<str:id>/result", waiting.Result),
    ("events", "events", events.Events),
    ("triggers", "triggers", triggers.Triggers),
    ("trigger", "triggers/<str:id>", triggers.Trigger),
    ("fire", "triggers/<str:id>/fire", triggers.Fire),
    ("metrics", "metrics", metrics.Metrics),
    ("rpc", "rpc", rpc.Rpc),
    ("openapi", "openapi.json", documentation.OpenApi),
    ("docs", "docs", documentation.Docs),
)


def _patterns() -> Iterator[URLPattern]:
    for name, route, view in ROUTES:
        yield path(route, view.as_view(), name=name)
        yield path(f"{route}/", view.as_view(schema=None))


LISTED = tuple(
    (route.replace("<workflow_name:name>", "{name}").replace("<str:id>", "{id}"), view) for _, route, view in ROUTES
)

urlpatterns = [
    path("", root.Root.as_view(routes=LISTED), name="root"),
    *_patterns(),
    path("webhooks/<path:path>", webhooks.receive_webhook, name="webhook"),
]
