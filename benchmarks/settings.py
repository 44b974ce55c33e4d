"""A small project with the workflows that are measured. Nothing is set to make it faster than a user would have it."""

from __future__ import annotations

import json
import os

from testproject.database_url import to_settings

SECRET_KEY = "for-measurements-only"
USE_TZ = True
TIME_ZONE = "UTC"
INSTALLED_APPS = ["django_workflows", "django.contrib.auth", "django.contrib.contenttypes", "benchmarks.app"]
DATABASES = {"default": to_settings(os.environ["DATABASE_URL"])}
WORKFLOWS = json.loads(os.environ.get("BENCH_WORKFLOWS", "{}"))
