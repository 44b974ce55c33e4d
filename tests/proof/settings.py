"""Settings of the worker processes under trial; the database is the one of the test."""

from __future__ import annotations

import os

from testproject.database_url import to_settings

SECRET_KEY = "for-tests-only"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = ["django_workflows", "django.contrib.auth", "django.contrib.contenttypes", "tests.proof"]

DATABASES = {"default": to_settings(os.environ["DATABASE_URL"])}

# Polling is all that is left when an accident has hit the listener.
WORKFLOWS = {"POLL_INTERVAL": 0.05, "LISTEN_POLL_INTERVAL": 0.05, "PUBLIC_URL": "https://workflows.example.com"}
