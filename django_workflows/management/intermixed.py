"""Options anywhere: `start fulfil --key order-42 order_id=42`, where argparse would have no place for the arguments."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser


class IntermixedParser(CommandParser):
    """Parses options first and positional arguments from what is left; for commands without subcommands."""

    _is_parsing = False

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]  # argparse's own has overloads
        if self._is_parsing or self._subparsers is not None:
            return ArgumentParser.parse_known_args(self, args, namespace)
        self._is_parsing = True  # argparse parses twice, each time by this method
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_parsing = False
