"""What every test may use.

The database is the one of `DATABASE_URL`, SQLite without it; `make test` runs the suite on SQLite and on PostgreSQL.
pytest-django gives each process of pytest-xdist a test database of its own.
"""

from __future__ import annotations

import os

import hypothesis
import pytest
from django.conf import settings
from django.db import connection

from testproject import database_url as urls

# As many examples as `make test` has time for; `make proof` looks further.
hypothesis.settings.register_profile("quick", max_examples=25, deadline=None)
hypothesis.settings.register_profile("thorough", max_examples=1_000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# Where a test is in one of these folders, it finds its way to the database without a fixture of pytest-django.
HAVE_THEIR_OWN_WAY = ("tests/acceptance/", "tests/proof/", "tests/benchmarks/", "tests/chaos/")


def pytest_configure() -> None:
    # Hashing a password takes a quarter of a second, on purpose; tests have no passwords worth it.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_report_header() -> str:
    return f"database: {connection.vendor}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What needs no database is the same on each: the session on SQLite has tried it."""
    if connection.vendor == "sqlite":
        return
    wanted = [item for item in items if needs_database(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(wanted)])
    items[:] = wanted


def needs_database(item: pytest.Item) -> bool:
    """Whether a test asks for a database, or lives where tests find one without asking."""
    fixtures = {"db", "transactional_db"}.intersection(getattr(item, "fixturenames", ()))
    return bool(fixtures or item.get_closest_marker("django_db") or item.nodeid.startswith(HAVE_THEIR_OWN_WAY))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Put SQLite's test database into a file, since the engine's threads share it, and into a folder of this session.

    Two sessions in one checkout would otherwise delete each other's database.
    """
    database = settings.DATABASES["default"]
    if database["ENGINE"] == urls.SQLITE:
        database["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")


@pytest.fixture
def database_url(transactional_db: None) -> str:
    """The `DATABASE_URL` with which another process shares this test's database, where rows are really committed."""
    return urls.from_settings(connection.settings_dict)
