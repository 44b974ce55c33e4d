"""The page on the HTTP API and the README's part on it, typed against a real server with a real worker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from pytest_django.live_server_helper import LiveServer

from django_workflows import conf
from django_workflows.api.methods import METHODS
from django_workflows.urls import ROUTES
from tests.acceptance.processes import Commands
from tests.docs.over_http import NEEDED, Reader, project_environment
from tests.docs.test_pages import ROOT

PAGE = (ROOT / "docs" / "http.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
OVER_HTTP = README.partition("## Over HTTP")[2].partition("\n## ")[0]


@pytest.fixture
def reader(live_server: LiveServer, database_url: str, tmp_path: Path) -> Iterator[Reader]:
    """Somebody with a terminal, beside a server and a worker."""
    User.objects.create_superuser("ada", password="secret")
    workers = Commands(database_url, tmp_path)
    workers.typed(environment=project_environment(tmp_path)).wait_until_up()
    yield Reader({"API": f"{live_server.url}/api", "ADA": "ada:secret", "ADMIN": "ada:secret"})
    workers.close()


@NEEDED
def test_the_page_works_as_it_is_written(reader: Reader) -> None:
    assert reader.read(PAGE) > 20


@NEEDED
def test_the_readme_works_as_it_is_written(reader: Reader) -> None:
    assert reader.read(OVER_HTTP) > 8


def test_the_page_names_every_address_and_method() -> None:
    for _, route, _ in ROUTES:
        last = re.sub(r"<any:\w+>", "", route).rstrip("/").rpartition("/")[2]
        assert last in PAGE, route
    assert all(f"`{method}`" in PAGE for method in METHODS)


def test_the_page_names_every_setting_of_the_api() -> None:
    named = {name for name in conf.DEFAULTS if name.startswith("API_") or name == "FEED_SETTLE"}

    assert {name for name in named if name not in PAGE} <= {"API_PAGE_SIZE", "API_MAX_WAIT", "API_MAX_STREAMS"}
