"""python -m testproject.demo [--seconds N] [--until-done]: the management command `demo` under the demo's settings."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "testproject.demo.settings"
    # A proxy for the way out does not know the provider on this machine.
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = f"{direct},127.0.0.1" if direct else "127.0.0.1"
    execute_from_command_line([sys.argv[0], "demo", *sys.argv[1:]])
