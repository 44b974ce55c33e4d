"""Writes the generated parts of the docs: `python docs/generate.py`; with `--check` it only says what is out of date.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end of NAME -->`; the rest of a page is by hand.
"""

from __future__ import annotations

import ast
import os
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SCENARIOS = DOCS / "scenarios.toml"
TESTS = (ROOT / "tests", ROOT / "testproject")

PART = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end of (?P=name) -->)", re.DOTALL)
SCENARIO = re.compile(r"\b[A-Z]{3}-\d\d\b")
GROUP_KEYS = {"title", "waits"}

Transitions = Mapping[str, Mapping[str, str]]


# the pages


def pages() -> dict[Path, str]:
    """Every page that has generated parts, as it should be."""
    parts = {**diagrams(), "scenarios": scenario_tables(load_scenarios(), find_tests(TESTS))}
    return {
        path: fill(text, parts) for path in sorted(DOCS.glob("*.md")) if PART.search(text := path.read_text("utf-8"))
    }


def fill(text: str, parts: Mapping[str, str]) -> str:
    """The page with its generated parts put in place."""
    return PART.sub(lambda found: f"{found[1]}\n{parts[found['name']].strip()}\n\n{found[3]}", text)


def out_of_date() -> list[str]:
    """The names of pages that are not as they should be."""
    return [path.name for path, text in pages().items() if path.read_text("utf-8") != text]


# the state diagrams


def diagrams() -> dict[str, str]:
    """What the engine and what operators do to the status of an execution, from the table that both obey."""
    statuses: Any = import_module("django_workflows.models.statuses")  # needs Django to be set up
    verbs = set(statuses.OPERATOR_VERBS)
    own = {verb: moves for verb, moves in statuses.TRANSITIONS.items() if verb not in verbs}
    theirs = {verb: moves for verb, moves in statuses.TRANSITIONS.items() if verb in verbs}
    return {
        "engine-states": state_diagram(own, start="pending", finished=statuses.FINISHED),
        "operator-states": state_diagram(theirs),
        "operator-verbs": verb_table(statuses.Status, statuses.allowed_verbs),
    }


def state_diagram(transitions: Transitions, *, start: str = "", finished: Collection[str] = ()) -> str:
    """A Mermaid diagram with one arrow for each pair of statuses. A verb that never changes the status is left out."""
    labels: dict[tuple[str, str], list[str]] = defaultdict(list)
    for verb, moves in transitions.items():
        if any(before != after for before, after in moves.items()):
            for before, after in moves.items():
                labels[str(before), str(after)].append(verb)
    lines = [f"    {before} --> {after}: {', '.join(verbs)}" for (before, after), verbs in labels.items()]
    ends = sorted({after for _, after in labels} & {str(status) for status in finished})
    first = [f"    [*] --> {start}: start"] if start else []
    return "\n".join(["```mermaid", "stateDiagram-v2", *first, *lines, *(f"    {end} --> [*]" for end in ends), "```"])


def verb_table(statuses: Iterable[str], allowed: Any) -> str:
    """Which verbs apply in which status."""
    rows = [f"| `{status}` | {', '.join(allowed(status)) or 'none'} |" for status in statuses]
    return "\n".join(["| status | verbs that apply |", "|---|---|", *rows])


# the scenarios and their tests


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Scenarios that belong together. `waits` says by id, or under "all", why one has no test yet."""

    name: str
    title: str
    scenarios: Mapping[str, str]
    waits: Mapping[str, str]

    def why_untested(self, id: str) -> str:
        return self.waits.get(id.removeprefix(f"{self.name}-"), self.waits.get("all", ""))


def load_scenarios() -> list[Group]:
    document = tomllib.loads(SCENARIOS.read_text("utf-8"))
    return [
        Group(
            name=name,
            title=table["title"],
            scenarios={f"{name}-{number}": text for number, text in table.items() if number not in GROUP_KEYS},
            waits=table.get("waits", {}),
        )
        for name, table in document.items()
    ]


def find_tests(folders: Iterable[Path]) -> dict[str, list[tuple[Path, str]]]:
    """By scenario, the tests (file and function) whose docstring names it; a module's docstring speaks for its file."""
    found: dict[str, list[tuple[Path, str]]] = defaultdict(list)
    for folder in folders:
        for path in sorted([*folder.rglob("test_*.py"), *folder.rglob("tests.py")]):
            for name, docstring in _docstrings(ast.parse(path.read_text("utf-8"))):
                for id in sorted(set(SCENARIO.findall(docstring))):
                    found[id].append((path.relative_to(ROOT), name))
    return found


def _docstrings(module: ast.Module) -> Iterator[tuple[str, str]]:
    yield "", ast.get_docstring(module) or ""
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name, ast.get_docstring(node) or ""


def scenario_tables(groups: Iterable[Group], tests: Mapping[str, list[tuple[Path, str]]]) -> str:
    """One table for each group."""
    return "\n\n".join(_table(group, tests) for group in groups)


def _table(group: Group, tests: Mapping[str, list[tuple[Path, str]]]) -> str:
    rows = [
        f"| {id} | {text} | {_links(tests[id]) if id in tests else group.why_untested(id) or '**no test yet**'} |"
        for id, text in group.scenarios.items()
    ]
    head = [f"## {group.name} · {group.title}", "", "| id | scenario | test, or what it waits for |", "|---|---|---|"]
    return "\n".join([*head, *rows])


def _links(tests: Iterable[tuple[Path, str]]) -> str:
    return "<br>".join(f"[{name or path.name}](../{path.as_posix()})" for path, name in tests)


def unexplained(groups: Iterable[Group], tests: Collection[str]) -> list[str]:
    """Scenarios that have neither a test nor a reason."""
    return [id for group in groups for id in group.scenarios if id not in tests and not group.why_untested(id)]


def main(arguments: list[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testproject.settings")
    sys.path.insert(0, str(ROOT))
    import_module("django").setup()
    if "--check" in arguments:
        wrong = out_of_date()
        sys.stderr.writelines(f"docs/{name} is out of date: run `python docs/generate.py`.\n" for name in wrong)
        return int(bool(wrong))
    for path, text in pages().items():
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
