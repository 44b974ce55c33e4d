from __future__ import annotations

from pathlib import Path

import pytest

import django_workflows
from tests.layers import violations

PACKAGE = Path(django_workflows.__file__ or "").parent


def plant(folder: Path, files: dict[str, str]) -> Path:
    """A made-up package: file names and their text, with the `__init__.py` that each folder needs."""
    package = folder / "django_workflows"
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for directory in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (directory / "__init__.py").touch()
    return package


def test_imports_point_down_in_the_package() -> None:
    assert violations(PACKAGE) == []


def test_the_package_is_not_empty() -> None:
    """A checker that looks into the wrong folder would be content with everything."""
    assert len(list(PACKAGE.rglob("*.py"))) > 30


def test_imports_that_point_down_are_no_violation(tmp_path: Path) -> None:
    package = plant(
        tmp_path,
        {
            "exceptions.py": "import json",
            "conf.py": "from django.conf import settings\nfrom .exceptions import Wrong",
            "clock.py": "from django_workflows import conf",
            "__init__.py": "from django_workflows.authoring.steps import step",
            "authoring/steps.py": "from django_workflows.exceptions import Wrong\nfrom ..clock import now",
            "engine/worker/pump.py": "from django_workflows.engine.turn import turn\nimport django_workflows.models",
            "engine/turn/turn.py": "",
            "models/rows.py": "",
            "client.py": "from django_workflows import step\nfrom django_workflows.engine.turn.turn import go",
            "admin/pages.py": "from django_workflows import client",
            "apps.py": "from django_workflows import admin, checks",
            "checks.py": "",
        },
    )

    assert violations(package) == []


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        pytest.param(
            {"models/rows.py": "import json\nfrom django_workflows.engine.turn import go", "engine/turn/go.py": ""},
            "django_workflows.models.rows, line 2: imports django_workflows.engine.turn.go, which stands higher",
            id="upwards",
        ),
        pytest.param(
            {"models/rows.py": "from .. import engine", "engine/turn/go.py": ""},
            "django_workflows.models.rows, line 1: imports django_workflows.engine, which stands higher",
            id="upwards, relative",
        ),
        pytest.param(
            {"authoring/steps.py": "from django_workflows import step"},
            "django_workflows.authoring.steps, line 1: imports django_workflows, which stands higher",
            id="the author's door from below",
        ),
        pytest.param(
            {"__init__.py": "from django_workflows.models import Execution", "models/rows.py": ""},
            "django_workflows, line 1: imports django_workflows.models, which stands higher",
            id="the author's door needs the ORM",
        ),
        pytest.param(
            {
                "models/rows.py": "if TYPE_CHECKING:\n    from django_workflows.client import start",
                "client.py": "",
            },
            "django_workflows.models.rows, line 2: imports django_workflows.client, which stands higher",
            id="upwards, for types only",
        ),
        pytest.param(
            {"api/v.py": "from django_workflows.admin import pages", "admin/pages.py": ""},
            "django_workflows.api.v, line 1: imports django_workflows.admin.pages; these two must not know each other",
            id="face to face",
        ),
        pytest.param(
            {"client.py": "from django_workflows import operations", "operations.py": ""},
            "django_workflows.client, line 1: imports django_workflows.operations; these two must not know each other",
            id="door to door",
        ),
        pytest.param(
            {"apps.py": "from django_workflows.testing import harness", "testing/harness.py": ""},
            "django_workflows.apps, line 1: imports django_workflows.testing.harness, which is for tests",
            id="the test helpers in production",
        ),
        pytest.param(
            {"client.py": "class Door:\n    async def open(self):\n        import json"},
            "django_workflows.client, line 3: imports json inside a function",
            id="inside a function",
        ),
        pytest.param(
            {"clock.py": "from django_workflows import conf", "conf.py": "from django_workflows import clock"},
            "a cycle: django_workflows.clock imports django_workflows.conf imports django_workflows.clock",
            id="a cycle in one layer",
        ),
        pytest.param(
            {
                "client/__init__.py": "from django_workflows.client.turn import go",
                "client/turn.py": "from django_workflows.client import go",
            },
            "a cycle: django_workflows.client imports django_workflows.client.turn imports django_workflows.client",
            id="a cycle through the package's own door",
        ),
        pytest.param(
            {
                "engine/claims/claims.py": "from django_workflows.engine.worker import pump",
                "engine/worker/pump.py": "",
            },
            "django_workflows.engine.claims.claims, line 1: imports django_workflows.engine.worker.pump, which stands "
            "higher",
            id="up the floors of the engine",
        ),
        pytest.param(
            {"engine/verbs/stop.py": "from django_workflows.engine.turn import turn", "engine/turn/turn.py": ""},
            "django_workflows.engine.verbs.stop, line 1: imports django_workflows.engine.turn.turn; these two must not "
            "know each other",
            id="across a floor of the engine",
        ),
        pytest.param(
            {
                "engine/turn/__init__.py": "from django_workflows.engine.turn.turn import Turn",
                "engine/turn/turn.py": "",
            },
            "django_workflows.engine.turn, line 1: imports django_workflows.engine.turn.turn; a package of the engine "
            "passes no names on",
            id="a second address",
        ),
        pytest.param(
            {"engine/helpers.py": ""},
            "engine.helpers stands on no floor: give it a place in tests/layers.py",
            id="a newcomer in the engine",
        ),
        pytest.param(
            {"helpers.py": ""},
            "helpers stands in no layer: give it a place in tests/layers.py",
            id="a newcomer",
        ),
    ],
)
def test_a_violation_is_found_and_named(tmp_path: Path, files: dict[str, str], complaint: str) -> None:
    assert violations(plant(tmp_path, files)) == [complaint]
