"""The test project on PostgreSQL: `DATABASE_URL`, or the server of this machine."""

from __future__ import annotations

import os

from testproject.database_url import to_settings
from testproject.settings import *  # noqa: F403  # a settings module is a namespace: all of it is wanted

DATABASES = {"default": to_settings(os.environ.get("DATABASE_URL") or "postgres://postgres@localhost:5432/postgres")}
