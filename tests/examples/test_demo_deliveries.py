"""What the demo delivers: signed, over HTTP, to the web server."""

from __future__ import annotations

from pytest_django.live_server_helper import LiveServer

from django_workflows.models import Execution
from django_workflows.testing import Workflows
from testproject.demo.deliveries import GitHub
from testproject.github.models import CheckRun, Commit, Issue
from testproject.github.workflows import github_delivery


def test_github_delivers_twice_and_somebody_else_in_vain(live_server: LiveServer) -> None:
    github = GitHub(live_server.url.removeprefix("http://"))
    said = [line for _ in range(3) for line in github.act()]
    assert said == [
        "GitHub delivers issues: 202 (202: started).",
        "GitHub delivers it again: 200 (200: known, nothing started).",
        "GitHub delivers check_run: 202 (202: started).",
        "GitHub delivers it again: 200 (200: known, nothing started).",
        "Somebody else tries it: 401 (401: wrong signature).",
    ]
    with Workflows() as workflows:
        workflows.run_to_end()
    assert Execution.objects.for_workflow(github_delivery).completed().count() == 2
    assert Issue.objects.get().suggested == ["documentation"]
    assert CheckRun.objects.get().conclusion == "failure"
    assert Commit.objects.get().state == Commit.State.FAILING


def test_a_web_server_that_is_not_there_is_told() -> None:
    github = GitHub("127.0.0.1:9")
    (said,) = [line for _ in range(3) for line in github.act()]
    assert said.startswith("GitHub could not deliver: ")
