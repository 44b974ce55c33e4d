"""What every test may use.

The database is the one of `DATABASE_URL`, SQLite without it; `make test` runs the suite on SQLite and on PostgreSQL.
pytest-django gives each process of pytest-xdist a test database of its own.
"""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db import connection

from testproject import database_url as urls


def pytest_configure() -> None:
    # Hashing a password takes a quarter of a second, on purpose; tests have no passwords worth it.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_report_header() -> str:
    return f"database: {connection.vendor}"


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
