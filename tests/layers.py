"""Reads which module imports which, without importing any, and says where the direction is wrong."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

DOOR = "__init__"  # the author's door, django_workflows/__init__.py: it must not need the ORM

# From the ground up. A module imports its own part of the package and what stands lower.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"exceptions"}),
    frozenset({"clock", "codec", "conf", "signals"}),
    frozenset({"expressions"}),
    frozenset({"authoring"}),
    frozenset({DOOR}),
    frozenset({"models"}),
    frozenset({"migrations", "rights"}),
    frozenset({"engine"}),
    frozenset({"client", "operations", "inspection"}),
    frozenset({"triggers"}),
    frozenset({"declarative", "definitions"}),
    frozenset({"services"}),
    frozenset({"api", "admin", "management", "metrics", "checks", "testing", "remote"}),
    frozenset({"urls"}),
    frozenset({"wiring"}),
    frozenset({"apps"}),
)
LEVELS = {part: level for level, layer in enumerate(LAYERS) for part in layer}

# In these layers the parts must not know each other either: the doors and verbs, and the faces.
APART = {LEVELS["client"], LEVELS["api"]}

# The same inside the engine, where the packages of one floor never know each other.
FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"database"}),
    frozenset({"history"}),
    frozenset({"claims"}),
    frozenset({"commit"}),
    frozenset({"events"}),
    frozenset({"verbs", "turn"}),
    frozenset({"handlers"}),
    frozenset({"runners"}),
    frozenset({"worker"}),
    frozenset({"inline"}),
)
ENGINE = "django_workflows.engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    importer: str
    imported: str
    line: int
    in_function: bool

    @property
    def place(self) -> str:
        return f"{self.importer}, line {self.line}"


def violations(package: Path) -> list[str]:
    """Every import below `package` that breaks a rule, as a sentence."""
    modules = find_modules(package)
    imports = [found for name, path in modules.items() for found in read_imports(name, path, modules)]
    inside = [found for found in imports if found.imported in modules]
    return [
        *strangers(modules),
        *hidden(imports),
        *not_down(inside),
        *not_down_in_the_engine(inside),
        *re_exports(modules, inside),
        *cycles(inside),
    ]


def find_modules(package: Path) -> dict[str, Path]:
    """The dotted name of each module below `package`; a package's `__init__.py` has the package's name."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def read_imports(importer: str, path: Path, modules: Mapping[str, Path]) -> Iterator[Import]:
    """What a file imports, under `if TYPE_CHECKING` too: a type is a dependency like any other."""
    base = importer if path.name == "__init__.py" else importer.rpartition(".")[0]
    for node, in_function in walk(ast.parse(path.read_text())):
        for imported in imported_names(node, base, modules):
            yield Import(importer=importer, imported=imported, line=node.lineno, in_function=in_function)


def walk(node: ast.AST, in_function: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, in_function
        yield from walk(child, in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def imported_names(node: ast.Import | ast.ImportFrom, base: str, modules: Mapping[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    above = base.rsplit(".", node.level - 1)[0] if node.level else ""
    source = ".".join(filter(None, [above, node.module]))
    for alias in node.names:
        submodule = f"{source}.{alias.name}"
        yield submodule if submodule in modules else source


def part(module: str) -> str:
    """The part of the package that a module belongs to: `django_workflows.engine.replay` to `engine`."""
    return module.split(".")[1] if "." in module else DOOR


def floor(module: str) -> int | None:
    """The floor of a module of the engine; None of what stands outside, and of the engine's own `__init__.py`."""
    if not module.startswith(ENGINE + "."):
        return None
    name = module.split(".")[2]
    return next((level for level, packages in enumerate(FLOORS) if name in packages), len(FLOORS))


def strangers(modules: Mapping[str, Path]) -> Iterator[str]:
    for name in sorted({part(module) for module in modules} - LEVELS.keys()):
        yield f"{name} stands in no layer: give it a place in tests/layers.py"
    packages = {module.split(".")[2] for module in modules if floor(module) == len(FLOORS)}
    for name in sorted(packages):
        yield f"engine.{name} stands on no floor: give it a place in tests/layers.py"


def hidden(imports: list[Import]) -> Iterator[str]:
    for found in imports:
        if found.in_function:
            yield f"{found.place}: imports {found.imported} inside a function"


def not_down(imports: list[Import]) -> Iterator[str]:
    for found in imports:
        importer, imported = part(found.importer), part(found.imported)
        if importer == imported or not {importer, imported} <= LEVELS.keys():
            continue
        if LEVELS[imported] > LEVELS[importer]:
            yield f"{found.place}: imports {found.imported}, which stands higher"
        elif LEVELS[imported] == LEVELS[importer] and LEVELS[imported] in APART:
            yield f"{found.place}: imports {found.imported}; these two must not know each other"
        elif imported == "testing":
            yield f"{found.place}: imports {found.imported}, which is for tests"


def not_down_in_the_engine(imports: list[Import]) -> Iterator[str]:
    for found in imports:
        importer, imported = floor(found.importer), floor(found.imported)
        if importer is None or imported is None or len(FLOORS) in {importer, imported}:
            continue
        if imported > importer:
            yield f"{found.place}: imports {found.imported}, which stands higher"
        elif imported == importer and found.importer.split(".")[2] != found.imported.split(".")[2]:
            yield f"{found.place}: imports {found.imported}; these two must not know each other"


def re_exports(modules: Mapping[str, Path], imports: list[Import]) -> Iterator[str]:
    """A name of the engine has one address: its packages pass nothing on."""
    for found in imports:
        if modules[found.importer].name == "__init__.py" and found.importer.startswith(ENGINE):
            yield f"{found.place}: imports {found.imported}; a package of the engine passes no names on"


def cycles(imports: list[Import]) -> Iterator[str]:
    graph: dict[str, set[str]] = {}
    for found in imports:
        graph.setdefault(found.importer, set()).add(found.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # graphlib puts the imported before the importer.
        yield "a cycle: " + " imports ".join(reversed(error.args[1]))
