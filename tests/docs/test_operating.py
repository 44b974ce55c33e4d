"""The code blocks of the operators' guide, executed from the first to the last."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.db import connections

from django_workflows import Context, conf, workflow
from django_workflows.checks.databases import connections_needed
from django_workflows.models import Execution
from django_workflows.testing import Workflows

GUIDE = Path(__file__).parents[2] / "docs" / "operating.md"
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
OPTION = re.compile(r"^\| `(--[a-z-]+)", re.MULTILINE)
TYPED = re.compile(r"^\$ python manage\.py (\w+)(.*)$", re.MULTILINE)

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_registry")]


def test_the_code_does_what_the_page_says(workflows: Workflows) -> None:
    @workflow
    def fulfil(ctx: Context) -> None:
        ctx.wait_for_signal("approved")

    waiting, finished = fulfil.start(), fulfil.start()
    finished.cancel()
    workflows.run_until_idle()
    namespace: dict[str, Any] = {}
    for block in PYTHON.findall(GUIDE.read_text("utf-8")):
        exec(compile(block, str(GUIDE), "exec"), namespace)
    assert namespace["result"].changed == [waiting.id]
    assert namespace["result"].errors == {}
    assert not namespace["old"].exists()
    assert Execution.objects.count() == 2


def test_the_settings_of_sqlite_are_those_that_the_checks_ask_for() -> None:
    namespaces = [
        _defined(block) for block in PYTHON.findall(GUIDE.read_text("utf-8")) if block.startswith("DATABASES")
    ]
    engines = {names["DATABASES"]["default"]["ENGINE"]: names["DATABASES"]["default"] for names in namespaces}
    assert set(engines) == {
        "django.db.backends.postgresql",
        "django_cockroachdb",
        "django.db.backends.sqlite3",
    }
    if settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
        assert engines["django.db.backends.sqlite3"]["OPTIONS"] == settings.DATABASES["default"]["OPTIONS"]


def _defined(block: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(block, str(GUIDE), "exec"), names)
    return names


def test_the_options_of_the_worker_exist() -> None:
    own = {
        option for action in _parser("runworkflows")._actions for option in action.option_strings if option[1] == "-"
    }
    documented = set(OPTION.findall(GUIDE.read_text("utf-8")))
    assert documented <= own
    every = BaseCommand().create_parser("manage.py", "any")
    inherited = {option for action in every._actions for option in action.option_strings}
    assert own - inherited <= documented


def _parser(command: str) -> Any:
    found = get_commands()[command]
    loaded = found if isinstance(found, BaseCommand) else load_command_class(found, command)
    return loaded.create_parser("manage.py", command)


@pytest.mark.parametrize(("command", "arguments"), TYPED.findall(GUIDE.read_text("utf-8")))
def test_the_commands_take_what_is_typed(command: str, arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings, "new", connections.settings["default"])  # Django names those there are
    _parser(command).parse_args(shlex.split(arguments))


def test_the_number_of_connections_is_that_of_the_defaults() -> None:
    defaults = {name: setting.default for name, setting in conf.DEFAULTS.items()}
    formula = "PROCESSES × (THREADS + BRANCH_THREADS + 3) + 1"
    page = GUIDE.read_text("utf-8")
    assert formula in page
    number = eval(formula.replace("×", "*"), defaults)
    assert number == connections_needed()
    assert f"that is {number} with the defaults" in page
