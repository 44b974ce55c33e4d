"""The test project with the workflows that are measured."""

from __future__ import annotations

from testproject.settings import *  # noqa: F403  # a settings module is read as a whole
from testproject.settings import INSTALLED_APPS as PROJECT_APPS

INSTALLED_APPS = [*PROJECT_APPS, "benchmarks.app"]
DEBUG = False
