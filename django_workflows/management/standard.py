"""Django's own options, behind a subcommand too: people put them there, and Django itself reads `--settings` there."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser

_SWITCHES = ("--traceback", "--no-color", "--force-color")


def add_standard_options(parser: ArgumentParser) -> None:
    """Take them; `manage.py workflows --help` explains them. Those that are not given here count as given before."""
    parser.add_argument("-v", "--verbosity", type=int, choices=range(4), default=SUPPRESS, help=SUPPRESS)
    for option in ("--settings", "--pythonpath"):
        parser.add_argument(option, default=SUPPRESS, help=SUPPRESS)
    for switch in _SWITCHES:
        parser.add_argument(switch, action="store_true", default=SUPPRESS, help=SUPPRESS)
