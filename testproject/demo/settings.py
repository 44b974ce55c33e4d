"""Settings of the demo: the test project's, with days made of seconds, and files in a folder per database."""

from __future__ import annotations

import os
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from testproject import database_url
from testproject.settings import *  # noqa: F403  # a settings module is a namespace: all of it is wanted
from testproject.settings import BASE_DIR, DATABASES, INSTALLED_APPS, WORKFLOWS

INSTALLED_APPS = [*INSTALLED_APPS, "testproject.demo"]

SHOP_APPROVAL_TIMEOUT = "1 minute"
SHOP_COURIER_TIME = "10 seconds"
SHOP_PAYMENT_URL = os.environ.get("DEMO_PAYMENT_URL", "http://127.0.0.1:8090")
SHOP_PAYMENT_TIMEOUT = 3
SERVERS_CERTIFICATE_LIFETIME = timedelta(seconds=20)
NEWSLETTER_INTERVAL = "15 seconds"
GITHUB_QUIET_TIME = "10 seconds"
DOMAINS_REGISTRAR_URL = os.environ.get("DEMO_REGISTRAR_URL", "http://127.0.0.1:8091")
DOMAINS_CHECK_TIMEOUT = "2 minutes"
DOMAINS_FIRST_PAUSE = "1 second"

WORKFLOWS = {**WORKFLOWS, "PUBLIC_URL": os.environ.get("DEMO_PUBLIC_URL", "http://127.0.0.1:8000/api")}

# What the provider has charged belongs to one database; with another one the same orders are new.
_url = database_url.from_settings(DATABASES["default"])
DEMO_FOLDER = Path(
    os.environ.get("DEMO_FOLDER")
    or BASE_DIR / "demo" / f"{_url.partition(':')[0]}-{sha256(_url.encode()).hexdigest()[:8]}"
)

EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = DEMO_FOLDER / "mail"
