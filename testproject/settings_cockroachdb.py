"""The test project on CockroachDB: `DATABASE_URL`, or no server at all.

Without a server `manage.py check` and `manage.py sqlmigrate` still work, which is how everybody can see what
CockroachDB would be told.
"""

from __future__ import annotations

import os

from testproject.database_url import to_settings
from testproject.settings import *  # noqa: F403  # a settings module is a namespace: all of it is wanted

if url := os.environ.get("DATABASE_URL"):
    DATABASES = {"default": to_settings(url)}
else:
    DATABASES = {"default": {"ENGINE": "testproject.serverless_cockroachdb", "NAME": "defaultdb"}}
