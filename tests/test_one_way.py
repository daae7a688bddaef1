"""A module imports only from a lower rank or from its own package (docs/architecture.md)."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "src" / "tospike"

#: package or top-level module -> rank. Equal ranks of different packages cannot see each other.
RANKS = {
    "errors": 0,
    "yaml_files": 0,
    "units": 0,
    "sources": 0,
    "constant": 0,
    "actions": 0,
    "implementation": 1,
    "network": 1,
    "technology": 1,
    "architecture": 1,
    "activity": 2,
    "conversion": 3,
    "kernels": 2,
    "pricing": 2,
    "equations": 3,
    "machines": 3,
    "decision": 4,
    "reporting": 5,
    "papers": 5,
    "survey": 4,
    "checking": 5,
    "tables": 1,
    "figures": 1,
    "cli": 7,
    "bench": 6,
}
#: rank 0 is ordered too: the later may use the earlier
RANK_0_ORDER = ("errors", "yaml_files", "sources", "units", "constant", "actions")


def imports(path: Path) -> list[tuple[int, str]]:
    """(line, dotted module) of every tospike import in a file, wherever it stands."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            if node.module == "tospike":
                found += [(node.lineno, f"tospike.{alias.name}") for alias in node.names]
            else:
                found.append((node.lineno, node.module))
    return [(line, name) for line, name in found if name.split(".")[0] == "tospike"]


def violations(package: str, path: Path) -> list[str]:
    """Sentences for every import that goes up or sideways."""
    wrong = []
    for line, name in imports(path):
        parts = name.split(".")
        target = parts[1] if len(parts) > 1 else "__init__"
        if target in {package, "__version__"}:
            continue
        if target not in RANKS:
            wrong.append(f"{path.name}:{line} imports {name}, which has no rank")
        elif RANKS[target] == RANKS[package] == 0:
            if RANK_0_ORDER.index(target) > RANK_0_ORDER.index(package):
                wrong.append(f"{path.name}:{line} imports {name} (later in rank 0)")
        elif RANKS[target] >= RANKS[package]:
            wrong.append(
                f"{path.name}:{line}: {package} (rank {RANKS[package]}) imports {name} "
                f"(rank {RANKS[target]})"
            )
    return wrong


def modules() -> list[tuple[str, Path]]:
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        first = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if first not in {"__init__", "__main__"}:
            found.append((first, path))
    return found


def test_every_package_has_a_rank() -> None:
    assert {package for package, _ in modules()} <= set(RANKS)


@pytest.mark.parametrize(
    ("package", "path"), modules(), ids=lambda value: value.name if isinstance(value, Path) else ""
)
def test_imports_go_down(package: str, path: Path) -> None:
    assert violations(package, path) == []


def test_the_check_sees_a_violation(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("from tospike.decision import decide\nimport tospike.machines.dram\n")
    assert len(violations("equations", bad)) == 2


def test_no_module_reads_files_beside_the_repository() -> None:
    for path in ROOT.rglob("*.py"):
        assert "/shared" not in path.read_text(), path


def runtime_imports(path: Path) -> set[str]:
    """Modules of tospike that a file imports at its top level when it runs (not for types)."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.split(".")[0] == "tospike"}


def test_no_import_cycle() -> None:
    names = {
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path
        for path in ROOT.rglob("*.py")
    }
    # A package's __init__ may re-export from its modules, which import each other by full name;
    # only cycles between plain modules matter.
    plain = {name: path for name, path in names.items() if path.name != "__init__.py"}
    order = TopologicalSorter(
        {name: runtime_imports(path) & set(plain) for name, path in plain.items()}
    )
    order.prepare()  # raises CycleError with the cycle
    assert order.is_active()
