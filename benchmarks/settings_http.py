"""The same small project with the HTTP API, as `startproject` would set it up, behind the servers that are measured."""

from __future__ import annotations

import os

from benchmarks.settings import DATABASES, INSTALLED_APPS, SECRET_KEY, TIME_ZONE, USE_TZ, WORKFLOWS

__all__ = ["SECRET_KEY", "TIME_ZONE", "USE_TZ", "WORKFLOWS"]

INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.sessions", "django.contrib.messages", "rest_framework"]
ROOT_URLCONF = "benchmarks.urls"
ALLOWED_HOSTS = ["127.0.0.1"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.BasicAuthentication"]}
# A hash that is slow on purpose would be all that is measured.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# No request opens a connection: a thread of gunicorn keeps its own. Under ASGI each request has a thread of its own,
# so that Django's documentation asks for a pool there.
DATABASES = {
    "default": DATABASES["default"]
    | (
        {"OPTIONS": DATABASES["default"]["OPTIONS"] | {"pool": {"min_size": 4, "max_size": 8}}}
        if os.environ.get("BENCH_POOL")
        else {"CONN_MAX_AGE": None}
    )
}
