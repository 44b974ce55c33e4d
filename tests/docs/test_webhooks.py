"""The page on webhooks: its commands against a real server, its Python, and its tables."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from pytest_django.live_server_helper import LiveServer

from django_workflows.authoring.webhook_options import HANDSHAKES, SCHEMES
from django_workflows.models import Execution, Trigger
from django_workflows.testing import Workflows
from django_workflows.triggers import syncing
from tests.docs.test_pages import PYTHON, ROOT

PAGE = (ROOT / "docs" / "webhooks.md").read_text("utf-8")
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def commands() -> str:
    """What a reader would type, in one script; after each curl a line of its own."""
    text = "\n".join(CONSOLE.findall(PAGE))
    lines = [line for line in text.splitlines() if line.startswith(("$ ", "    "))]
    script = "\n".join(line.removeprefix("$ ") for line in lines)
    return re.sub(r"(--data-binary @\$body)", r"\1 && echo", script)


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
def test_the_commands_do_what_the_page_says(live_server: LiveServer, tmp_path: Path) -> None:
    script = "set -e\n" + commands().replace("http://127.0.0.1:8000", live_server.url)
    done = subprocess.run(["bash", "-c", script], cwd=settings.BASE_DIR, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    accepted, refused = [json.loads(line) for line in done.stdout.splitlines()]
    execution = Execution.objects.get()
    assert accepted == {"execution": str(execution.pk), "delivery": "1", "duplicate": False}
    shown = [json.loads(line) for block in CONSOLE.findall(PAGE) for line in block.splitlines() if line[:1] == "{"]
    assert [accepted.keys(), refused] == [shown[0].keys(), shown[1]]


@pytest.mark.usefixtures("own_registry")
def test_the_python_does_what_the_page_says(workflows: Workflows, settings: Any) -> None:
    blocks = PYTHON.findall(PAGE)
    namespace: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, "webhooks.md", "exec"), namespace)
    syncing.sync("default", only_missing=False)
    assert {row.workflow for row in Trigger.objects.filter(type="webhook", retired_at=None)} == {"github", "book_order"}
    assert namespace["WORKFLOWS"].keys() == {"WEBHOOK_SECRETS"}

    namespace["test_an_order_is_booked"](workflows, settings)


def test_the_table_has_every_scheme() -> None:
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) - {"verify", "handshake"}
    assert named == {*SCHEMES, *HANDSHAKES}
