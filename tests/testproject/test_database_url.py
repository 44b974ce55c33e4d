from __future__ import annotations

from typing import Any

import pytest

from testproject.database_url import COCKROACHDB, POSTGRES, SQLITE, from_settings, to_settings


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///shop.sqlite3", {"ENGINE": SQLITE, "NAME": "shop.sqlite3"}),
        ("sqlite:////var/lib/my%20shop.sqlite3", {"ENGINE": SQLITE, "NAME": "/var/lib/my shop.sqlite3"}),
        (
            "postgres://ada:p%40ss@db.example:6432/shop?sslmode=require",
            {
                "ENGINE": POSTGRES,
                "NAME": "shop",
                "USER": "ada",
                "PASSWORD": "p@ss",
                "HOST": "db.example",
                "PORT": "6432",
                "OPTIONS": {"sslmode": "require"},
            },
        ),
        ("postgresql://ada:@/shop?host=/run/postgresql", {"USER": "ada", "HOST": "/run/postgresql", "OPTIONS": {}}),
        ("cockroachdb://root@localhost:26257/defaultdb", {"ENGINE": COCKROACHDB, "HOST": "localhost", "PORT": "26257"}),
    ],
)
def test_a_url_becomes_settings(url: str, expected: dict[str, Any]) -> None:
    assert to_settings(url).items() >= expected.items()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///shop.sqlite3",
        "sqlite:////var/lib/my%20shop.sqlite3",
        "postgres://ada:p%40s%2Fs@db.example:6432/my%20shop?sslmode=require",
        "postgresql://ada:@/shop?host=/run/postgresql",
        "cockroachdb://root@localhost:26257/defaultdb",
    ],
)
def test_settings_become_a_url_of_the_same_database(url: str) -> None:
    settings = to_settings(url)

    assert to_settings(from_settings(settings)) == settings


def test_sqlite_waits_for_its_one_writer_instead_of_failing() -> None:
    options = to_settings("sqlite:///shop.sqlite3")["OPTIONS"]

    assert options["transaction_mode"] == "IMMEDIATE"
    assert options["timeout"] == 20
    assert "journal_mode=WAL" in options["init_command"]


def test_an_unknown_scheme_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"begins with 'mysql'; it must begin with one of: sqlite, postgres"):
        to_settings("mysql://localhost/shop")
