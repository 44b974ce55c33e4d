"""`manage.py workflowsdoctor`: names every execution that is stuck, and says what to do."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from django_workflows import codec
from django_workflows.inspection.doctor import HISTORY, LIMIT, Diagnosis, examine
from django_workflows.management.as_json import to_json
from django_workflows.management.output import told
from django_workflows.management.pipes import until_closed
from django_workflows.management.schema import explained


class Command(BaseCommand):
    help = "Checks that nothing is stuck. The exit status is 1 when something is, so that cron and monitors notice."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="One JSON document for programs.")
        parser.add_argument("--all", action="store_true", help="Look at all histories, not only at the last day's.")
        parser.add_argument(
            "--limit", type=int, default=LIMIT, help="Findings of one kind to name (default %(default)s)."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with told(), explained():
            diagnosis = examine(limit=max(options["limit"], 1), history=None if options["all"] else HISTORY)
        with until_closed(self.stdout):
            if options["as_json"]:
                self.stdout.write(to_json(_as_dict(diagnosis)))
            else:
                self._tell(diagnosis)
        if not diagnosis.is_healthy:
            raise SystemExit(1)

    def _tell(self, diagnosis: Diagnosis) -> None:
        if diagnosis.is_healthy:
            self.stdout.write(self.style.SUCCESS("Nothing is stuck: every unfinished execution has a reason to wake."))
            return
        for finding in diagnosis.findings:
            self.stdout.write(f"{self.style.ERROR(finding.check)}: {codec.printable(finding.problem)}")
            self.stdout.write(f"    {codec.printable(finding.remedy)}")
        for check, count in diagnosis.more.items():
            self.stdout.write(f"{self.style.ERROR(check)}: {count:,} more.")


def _as_dict(diagnosis: Diagnosis) -> dict[str, Any]:
    findings = [asdict(finding) for finding in diagnosis.findings]
    return {"healthy": diagnosis.is_healthy, "findings": findings, "more": diagnosis.more}
