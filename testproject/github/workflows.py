"""A workflow for each delivery, and one for each commit that has checks."""

from __future__ import annotations

from django.core.mail import send_mail

from django_workflows import Context, Received, TransitionError, step, webhook, workflow
from django_workflows.client import signal
from testproject.github import conf
from testproject.github.models import CheckRun, Commit, Issue
from testproject.github.payloads import CheckNews, IssueNews
from testproject.github.triage import suggest


@workflow(triggers=[webhook("github", verify="github", secret="GITHUB")], tags=["github"])  # nosec B106  # its name
def github_delivery(ctx: Context, event: Received) -> str:
    """Take in what GitHub delivers; returns what was done with it."""
    kind = event.headers.get("x-github-event", "")
    ctx.state["event"] = kind
    match kind:
        case "issues" | "issue_comment":
            return ctx.do(triage_issue, IssueNews.of(event.data))
        case "check_run":
            news = CheckNews.of(event.data)
            if ctx.do(record_check, news):
                ctx.do(announce_check, news.repository, news.commit, event.id)
                return "recorded"
            return "outdated"
    return "not for us"


@workflow(tags=["github"])
def summarise_checks(ctx: Context, repository: str, commit: str) -> str:
    """One mail about a commit once its checks are quiet, instead of one for each check."""
    while ctx.wait_for_signal("check", timeout=conf.quiet_time()):
        pass
    state, summary = ctx.do(write_summary, repository, commit)
    if state == Commit.State.FAILING:
        ctx.do(tell_maintainers, f"{repository}@{commit[:7]}", summary)
    return state


@step(atomic=True)
def triage_issue(news: IssueNews) -> str:
    """Deliveries may come in any order: an older one changes nothing."""
    issue = Issue.objects.select_for_update().filter(repository=news.repository, number=news.number).first()
    if issue is not None and issue.updated_at > news.updated_at:
        return "outdated"
    Issue.objects.update_or_create(
        repository=news.repository,
        number=news.number,
        defaults={
            "title": news.title,
            "author": news.author,
            "url": news.url,
            "is_open": news.is_open,
            "labels": news.labels,
            "suggested": suggest(news.title, news.body, news.labels),
            "updated_at": news.updated_at,
        },
    )
    return "triaged"


@step(atomic=True)
def record_check(news: CheckNews) -> bool:
    """False for news that are older than what we know: a check that has ended only ends again later."""
    check = CheckRun.objects.select_for_update().filter(github_id=news.id).first()
    known = None if check is None else check.completed_at
    if known is not None and (news.completed_at is None or news.completed_at < known):
        return False
    CheckRun.objects.update_or_create(
        github_id=news.id,
        defaults={
            "repository": news.repository,
            "commit": news.commit,
            "name": news.name,
            "status": news.status,
            "conclusion": news.conclusion,
            "url": news.url,
            "completed_at": news.completed_at,
        },
    )
    return True


@step
def announce_check(repository: str, commit: str, delivery: str) -> None:
    """Tell the workflow of this commit, which is started by the first of its checks."""
    try:
        summary = summarise_checks.using(key=f"{repository}@{commit}").start(repository, commit)
        signal(summary, "check", message_id=delivery)
    except TransitionError:  # it ended in this very moment: the next attempt starts another
        summarise_checks.using(key=f"{repository}@{commit}").start(repository, commit)


@step(atomic=True)
def write_summary(repository: str, commit: str) -> tuple[str, str]:
    checks = CheckRun.objects.of(repository, commit)
    failed, open_ones = list(checks.failed()), list(checks.unfinished())
    state = Commit.State.FAILING if failed else Commit.State.PENDING if open_ones else Commit.State.PASSING
    lines = [f"{len(failed)} of {checks.count()} checks failed, {len(open_ones)} have not ended."]
    lines += [f"- {check} {check.url}" for check in failed]
    summary = "\n".join(lines)
    Commit.objects.update_or_create(repository=repository, sha=commit, defaults={"state": state, "summary": summary})
    return state, summary


@step
def tell_maintainers(commit: str, summary: str) -> None:
    send_mail(f"Checks failed: {commit}", summary, None, conf.maintainers())
