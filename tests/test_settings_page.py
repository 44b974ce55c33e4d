"""The settings page says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.checks.registry import registry

from django_workflows import checks
from django_workflows.conf import DEFAULTS
from docs import settings_page


def test_the_page_is_up_to_date() -> None:
    assert settings_page.PAGE.read_text("utf-8") == settings_page.page(), "run `python docs/settings_page.py`"


def test_every_setting_and_every_check_is_on_the_page() -> None:
    text = settings_page.page()
    sources = "".join(path.read_text() for path in Path(checks.__file__).parent.glob("*.py"))
    used = set(re.findall(r'"(?:django_workflows\.)?([EW]\d{3})"', sources))

    assert all(f"| `{name}` |" in text for name in DEFAULTS)
    assert used == set(re.findall(r"^\| ([EW]\d{3}) \|", text, re.MULTILINE))


def test_the_checks_are_registered() -> None:
    registered = registry.get_checks(include_deployment_checks=True)

    assert {checks.check_settings, checks.check_names, checks.check_database, checks.check_server} <= set(registered)


def test_the_check_tells_a_stale_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings_page, "PAGE", tmp_path / "settings.md")

    assert settings_page.main(["--check"]) == 1
    assert settings_page.main([]) == 0
    assert settings_page.main(["--check"]) == 0
