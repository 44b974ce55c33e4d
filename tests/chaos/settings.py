"""Settings of the workers under chaos: the test project's, with days made of seconds, and a clock that is wrong.

| variable | meaning |
|---|---|
| `DATABASE_URL` | the server that goes away and comes back |
| `CHAOS_PAYMENT_URL` | the provider |
| `CHAOS_SKEW` | seconds by which this process's clock is wrong |
"""

from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any

import django
import time_machine

from testproject.settings import *  # noqa: F403  # a settings module is a namespace: all of it is wanted

SHOP_APPROVAL_TIMEOUT = "3 seconds"
SHOP_COURIER_TIME = "1 second"
SHOP_PAYMENT_URL = os.environ.get("CHAOS_PAYMENT_URL", "")
SHOP_PAYMENT_TIMEOUT = 2
SERVERS_CERTIFICATE_LIFETIME = timedelta(seconds=2)
NEWSLETTER_INTERVAL = "1 second"

if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.dummy.EmailBackend"}}
else:
    EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

# A step that queries the database meets with its restarts: it is tried for longer than they last.
_OWN: Any = {
    "LEASE": 5.0,
    "HANG_TIMEOUT": 8.0,
    "GRACE": 5.0,
    "DEFAULT_RETRY": {"max_attempts": 8, "initial_interval": 0.5, "max_interval": 10},
}
WORKFLOWS = {**WORKFLOWS, **_OWN}  # noqa: F405  # the test project's

if skew := float(os.environ.get("CHAOS_SKEW", "0")):
    time_machine.travel(time.time() + skew, tick=True).start()
