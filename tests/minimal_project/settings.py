"""The least that a project needs; `tests/wheel_smoke.sh` runs it where only the required dependencies are installed."""

from __future__ import annotations

SECRET_KEY = "for-demonstration-only"
USE_TZ = True

INSTALLED_APPS = ["django_workflows", "orders"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "db.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        },
    }
}
