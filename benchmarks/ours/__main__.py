"""`python -m benchmarks.ours MEASURE SIZES`: see `benchmarks.protocol`."""

from __future__ import annotations

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
django.setup()

from benchmarks.ours.measurements import MEASUREMENTS  # noqa: E402  # models are there only after django.setup()
from benchmarks.protocol import answer  # noqa: E402  # as above

answer(MEASUREMENTS, sys.argv[1:])
