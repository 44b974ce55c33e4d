"""The engine's objects have parts; they are not classes cut into layers of inheritance."""

from __future__ import annotations

import ast
from pathlib import Path

import django_workflows.engine

ENGINE = Path(django_workflows.engine.__file__ or "").parent
PLAIN = {"Struct", "Exception", "BaseException", "Enum", "Protocol", "WorkflowsError", "ControlFlow"}
MOST_LEVELS = 2


def classes(folder: Path) -> dict[str, list[str]]:
    """The bases of each class in a folder, by name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found[node.name] = [ast.unparse(base).split("[")[0].rpartition(".")[2] for base in node.bases]
    return found


def levels(name: str, bases: dict[str, list[str]]) -> int:
    return 1 + max((levels(base, bases) for base in bases.get(name, []) if base in bases), default=0)


def is_plain(name: str, bases: dict[str, list[str]]) -> bool:
    """Whether it is a value or an exception, which may refine another."""
    return name in PLAIN or any(is_plain(base, bases) for base in bases.get(name, []))


def too_deep(folder: Path) -> list[str]:
    bases = classes(folder)
    return sorted(name for name in bases if levels(name, bases) > MOST_LEVELS and not is_plain(name, bases))


def test_no_class_of_the_engine_has_more_than_two_levels_of_inheritance() -> None:
    assert too_deep(ENGINE) == []


def test_a_third_level_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "turn.py").write_text("class A: ...\nclass B(A): ...\nclass C(B): ...\n")
    (tmp_path / "values.py").write_text(
        "class V(msgspec.Struct): ...\nclass W(V, frozen=True): ...\nclass X(W, frozen=True): ...\n"
    )
    assert too_deep(tmp_path) == ["C"]
