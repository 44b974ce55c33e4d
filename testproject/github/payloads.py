"""What we read out of GitHub's bodies; the rest of them may change as it likes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueNews:
    repository: str
    number: int
    title: str
    body: str
    author: str
    url: str
    is_open: bool
    labels: list[str]
    updated_at: datetime

    @classmethod
    def of(cls, body: Body) -> Self:
        issue = body["issue"]
        return cls(
            repository=body["repository"]["full_name"],
            number=issue["number"],
            title=issue["title"][:300],
            body=issue.get("body") or "",
            author=(issue.get("user") or {}).get("login", ""),  # who has left GitHub is null
            url=issue["html_url"],
            is_open=issue.get("state", "open") == "open",
            labels=sorted(label["name"] for label in issue.get("labels") or []),
            updated_at=datetime.fromisoformat(issue["updated_at"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckNews:
    id: int
    repository: str
    commit: str
    name: str
    status: str
    conclusion: str
    url: str
    completed_at: datetime | None

    @classmethod
    def of(cls, body: Body) -> Self:
        check = body["check_run"]
        ended = check.get("completed_at")
        return cls(
            id=check["id"],
            repository=body["repository"]["full_name"],
            commit=check["head_sha"],
            name=check["name"][:300],
            status=check["status"],
            conclusion=check.get("conclusion") or "",
            url=check.get("html_url") or "",
            completed_at=None if ended is None else datetime.fromisoformat(ended),
        )
