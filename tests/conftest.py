"""What every test may use.

The database is the one of `DATABASE_URL`, SQLite without it; `make test` runs the suite on SQLite and on PostgreSQL.
pytest-django gives each process of pytest-xdist a test database of its own.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings
from django.db import connection, connections
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from testproject import database_url as urls
from tests.cleaning import Cleaner
from tests.proof.sampling import RUNS_ALL

# As many examples as `make test` has time for; `make proof` looks further.
hypothesis.settings.register_profile("quick", max_examples=25, deadline=None)
hypothesis.settings.register_profile("thorough", max_examples=1_000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

ROOT = Path(__file__).resolve().parents[1]

# Where a test is in one of these folders, it finds its way to the database without a fixture of pytest-django.
HAVE_THEIR_OWN_WAY = ("tests/acceptance/", "tests/proof/", "tests/chaos/")

# They use a database and are the same on each: none has SQL of its own, and what they ask for others have asked, on
# all databases. The reason stands beside each.
ON_SQLITE_ALONE = {
    "tests/acceptance/test_demo.py": "the example project, which is tried as a newcomer has it",
    "tests/api/test_checks.py": "the settings of the API",
    "tests/admin/test_matrix.py": "who may do what; what is done stands in the files beside it",
    "tests/api/test_matrix.py": "the same",
    "tests/api/test_permissions.py": "who may call what; what is called stands in the files beside it",
    "tests/api/test_schema.py": "the description of the API",
    "tests/api/test_security.py": "headers, sizes and shapes of requests",
    "tests/benchmarks": "how measures are taken and reported",
    "tests/codec": "values in memory",
    "tests/docs": "what the pages say of the package",
    "tests/examples": "workflows that use the package as anybody would",
    "tests/expressions": "texts and values in memory",
    "tests/remote": "the client over HTTP; what the server does with a call is tried in tests/api",
    "testproject": "the same, beside the examples",
}
ON_EACH = ("tests/docs/test_sql_recipes.py",)  # it is about SQL


def pytest_configure() -> None:
    # Hashing a password takes a quarter of a second, on purpose; tests have no passwords worth it.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_report_header() -> str:
    return f"database: {connection.vendor}"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """A session on another database does not even load what is tried on SQLite alone."""
    path = collection_path.relative_to(ROOT).as_posix()
    return True if collection_path.is_file() and not is_for_this_database(path) else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What needs no database is the same on each: the session on SQLite has tried it."""
    wanted = [item for item in items if is_for_this_database(item.nodeid) and needs_this_database(item)]
    kept = set(wanted)
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = dealt(wanted, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))


def dealt(items: list[pytest.Item], hands: int) -> list[pytest.Item]:
    """In an order in which each process, which gets one stretch of it, has some of every file: those that wait for
    worker processes stand together, and one process after the other would wait alone. In each hand it is the order of
    pytest-django: what commits comes last.
    """
    return [item for hand in range(hands) for item in items[hand::hands]]


def is_for_this_database(path: str) -> bool:
    """Whether a file, or a test in it, is to be tried on the database of this session."""
    return connection.vendor == "sqlite" or path.startswith(ON_EACH) or not path.startswith(tuple(ON_SQLITE_ALONE))


def needs_this_database(item: pytest.Item) -> bool:
    return connection.vendor == "sqlite" or (needs_database(item) and (RUNS_ALL or is_tried_this_way(item)))


def is_tried_this_way(item: pytest.Item) -> bool:
    """Behaviour has four ways: both colours, each as a worker goes on and evicted at every wait.

    They differ in memory. A second database sees a test once in each colour, once of them with eviction; which goes
    with which differs from test to test, so that it sees all four ways of the engine.
    """
    ways = getattr(getattr(item, "callspec", None), "params", {})
    if not {"colour", "workflows"} <= ways.keys():
        return True
    swapped = zlib.crc32(getattr(item, "originalname", item.name).encode()) % 2 == 1
    return ((ways["colour"] == "def") == (ways["workflows"] == "normal")) is not swapped


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


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Have tests that commit clean up quickly: see `tests/cleaning.py`."""
    with django_db_blocker.unblock():
        cleaners = {alias: Cleaner(alias) for alias in connections}

    def clean_up(test: TransactionTestCase) -> None:
        for alias in test._databases_names(include_mirrors=False):  # type: ignore[attr-defined]  # the stubs leave it out
            cleaners[alias].clean()

    TransactionTestCase._fixture_teardown = clean_up  # type: ignore[attr-defined]  # as above
    yield
    with django_db_blocker.unblock():
        leave_alone()


def leave_alone() -> None:
    """End other sessions: a test database that a thread of an event loop has left open cannot be dropped."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture
def database_url(transactional_db: None) -> str:
    """The `DATABASE_URL` with which another process shares this test's database, where rows are really committed."""
    return urls.from_settings(connection.settings_dict)
