"""Settings of the worker processes that tests start: the database of the test, and what its environment asks for.

| variable | meaning |
|---|---|
| `DATABASE_URL` | the test's database |
| `SAMPLE_FOLDER` | where the ledger and the gates are |
| `SAMPLE_WORKFLOWS` | JSON: what the test sets in `WORKFLOWS` |
| `SAMPLE_POOL` | JSON: the pool of connections in the database's `OPTIONS`, on PostgreSQL |
| `SAMPLE_ROUTER` | a class for `DATABASE_ROUTERS`; it gets a second database, "replica", without tables |
"""

from __future__ import annotations

import json
import os

from testproject.database_url import to_settings

SECRET_KEY = "for-tests-only"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = ["django_workflows", "django.contrib.auth", "django.contrib.contenttypes", "tests.sample"]

DATABASES = {"default": to_settings(os.environ["DATABASE_URL"])}

WORKFLOWS = {"LEASE": 2.0, "GRACE": 20.0, **json.loads(os.environ.get("SAMPLE_WORKFLOWS", "{}"))}

if pool := os.environ.get("SAMPLE_POOL"):
    database = DATABASES["default"]
    database |= {"CONN_MAX_AGE": 0, "OPTIONS": {**database.get("OPTIONS", {}), "pool": json.loads(pool)}}

if router := os.environ.get("SAMPLE_ROUTER"):
    DATABASES["replica"] = to_settings(f"sqlite:///{os.environ['SAMPLE_FOLDER']}/replica.sqlite3")
    DATABASE_ROUTERS = [router]
