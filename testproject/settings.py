"""Settings of the test project: SQLite unless `DATABASE_URL` names another database.

Everything django-workflows needs stands in `INSTALLED_APPS` and, for SQLite, in the connection's options
(`testproject/database_url.py`); the rest is an ordinary project.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import django

from testproject.database_url import to_settings

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = "for-demonstration-only"  # nosec B105  # the demo and the tests need one, and nothing else uses it
DEBUG = True
ALLOWED_HOSTS = ["*"]

EXAMPLE_APPS = ["shop", "billing", "servers", "newsletter", "domains", "github"]

INSTALLED_APPS = [
    "django_workflows",
    *[f"testproject.{app}" for app in EXAMPLE_APPS if (BASE_DIR / "testproject" / app / "apps.py").exists()],
    "rest_framework",
    *(["drf_spectacular_sidecar"] if find_spec("drf_spectacular_sidecar") else []),  # the extra `openapi`
    "admin_interface",
    "colorfield",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "testproject.urls"
WSGI_APPLICATION = "testproject.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {"default": to_settings(os.environ.get("DATABASE_URL") or f"sqlite:///{BASE_DIR / 'db.sqlite3'}")}
# A secret of one's own comes from the environment; this one is for the demo, whose signed deliveries know it.
WORKFLOWS: dict[str, Any] = {
    "WEBHOOK_SECRETS": {"GITHUB": [os.environ.get("GITHUB_WEBHOOK_SECRET", "for-demonstration-only")]}
}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"

# Django 6.1 took this name to let a project have several.
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.console.EmailBackend"}}
else:
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

# The admin theme opens related objects in a frame of the same site.
X_FRAME_OPTIONS = "SAMEORIGIN"
SILENCED_SYSTEM_CHECKS = ["security.W019"]
