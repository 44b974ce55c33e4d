#!/usr/bin/env python
"""The test project's command line; DJANGO_SETTINGS_MODULE and DATABASE_URL choose the database."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testproject.settings")
    execute_from_command_line(sys.argv)
