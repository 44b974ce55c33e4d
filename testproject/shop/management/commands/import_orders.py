"""manage.py import_orders FILE.csv"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from testproject.shop.importing import BadFile, Report, import_orders


class Command(BaseCommand):
    help = (
        "Import orders from a CSV file (columns: number, email, sku, quantity) and start to fulfil each of them once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE.csv")

    def handle(self, *args: Any, **options: Any) -> None:
        report = self.read(options["file"])
        for line, problem in report.refused:
            self.stderr.write(f"line {line}: {problem}")
        self.stdout.write(f"{report.imported} orders imported, {report.known} already known.")
        if report.refused:
            raise CommandError(f"{len(report.refused)} lines were refused; correct them and import the file again.")

    def read(self, file: Path) -> Report:
        try:
            with file.open(encoding="utf-8-sig", newline="") as lines:
                return import_orders(lines)
        except OSError as error:
            raise CommandError(f"Cannot read {file}: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"{file} is not UTF-8 text (byte {error.start}).") from error
        except BadFile as error:
            raise CommandError(f"{file}: {error}") from error
