"""What is going on, in a few lines."""

from __future__ import annotations

import json
from collections import defaultdict
from urllib.request import urlopen

from django.db.models import Count

from django_workflows.models import Execution
from django_workflows.models.statuses import Status


def executions() -> list[str]:
    """One line for each workflow: how many executions have which status."""
    counts: dict[str, dict[str, int]] = defaultdict(dict)
    for name, status, count in Execution.objects.values_list("workflow", "status").annotate(Count("pk")):
        counts[name][status] = count
    width = max((len(name) for name in counts), default=0)
    return [f"{name:{width}}  {in_words(counts[name])}" for name in sorted(counts)]


def in_words(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts[status]:,} {Status(status).label}" for status in Status if status in counts)


def provider(url: str) -> str:
    """What the provider's ledger says; a word about it when it does not answer."""
    try:
        with urlopen(f"{url}/ledger", timeout=2) as answer:  # nosec B310  # our own server
            counts = json.load(answer)
    except (OSError, ValueError) as error:
        return f"provider: no answer ({error})"
    return (
        "provider: {calls:,} calls ({failed} failed, {hung} hung, {dropped} dropped, {repeated} repeated), "
        "{charges} charges, {refunds} refunds, {duplicates} duplicates".format(**counts)
    )
