"""The layers of ARCHITECTURE.md: imports go down only, no file is in two, and no imports form a circle."""

import ast
import re
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOPS = ("mimaface_core", "nodes", "headless", "scale", "live", "cli")
FILES = sorted(
    path.relative_to(ROOT)
    for path in [
        ROOT / "__init__.py",
        *(
            p
            for top in ("mimaface_core", "nodes", "headless", "scale", "live", "cli")
            for p in (ROOT / top).rglob("*.py")
        ),
    ]
)
ROW = re.compile(r"^\| (\d+) \| `([^`]+)` \|", re.MULTILINE)


def entries() -> dict[str, tuple[int, str]]:
    """Path of a package or file → its layer, and the row it stands in."""
    found = {}
    for layer, place in ROW.findall((ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")):
        parts = [part.split(",") for part in re.split(r"[{}]", place)]
        for path in map("".join, product(*parts)):
            assert path not in found, f"{path} stands in the table twice"
            found[path] = (int(layer), place)
    return found


ENTRIES = entries()


def entry(path: Path) -> tuple[int, str]:
    """The layer and the row of a file: that of the longest path in the table that holds it."""
    for place in [path.as_posix(), *(parent.as_posix() for parent in path.parents)]:
        if place in ENTRIES:
            return ENTRIES[place]
    raise AssertionError(f"{path} is in no layer of docs/ARCHITECTURE.md")


def resolved(base: Path, name: str) -> Path | None:
    """The file of a module called `name` in a folder, if there is one."""
    for path in (base / f"{name}.py", base / name / "__init__.py"):
        if (ROOT / path).is_file():
            return path
    return None


def imports(path: Path) -> dict[Path, int]:
    """Files of the project that a file imports, at its head or in a function, with the line."""
    found = {}
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = path.parents[node.level - 1]
        target = base.joinpath(*(node.module or "").split(".")) if node.module else base
        for alias in node.names:
            module = (
                resolved(target, alias.name) or resolved(target.parent, target.name) or resolved(target, "__init__")
            )
            assert module is not None, f"{path}:{node.lineno} imports {target}, which is no file"
            found[module] = node.lineno
    return found


IMPORTS = {path: imports(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=Path.as_posix)
def test_imports_go_down(path):
    layer, row = entry(path)
    for other, line in IMPORTS[path].items():
        below, other_row = entry(other)
        assert row == other_row or below < layer, f"{path}:{line} imports {other}, of layer {below}, from layer {layer}"


def test_no_imports_form_a_circle():
    state: dict[Path, str] = {}

    def visit(path: Path, way: list[Path]) -> None:
        if state.get(path) == "done":
            return
        assert path not in way, " → ".join(map(Path.as_posix, [*way[way.index(path) :], path]))
        for other in IMPORTS[path]:
            visit(other, [*way, path])
        state[path] = "done"

    for path in FILES:
        visit(path, [])


def test_every_row_of_the_table_is_there():
    for place in ENTRIES:
        assert (ROOT / place).exists(), f"docs/ARCHITECTURE.md lists {place}, which is not there"


def test_only_one_package_imports_comfyui():
    foreign = re.compile(r"^\s*(?:from|import)\s+(comfy\w*|folder_paths|nodes|server|execution)\b", re.MULTILINE)
    found = [path for path in FILES if foreign.search((ROOT / path).read_text(encoding="utf-8"))]
    assert found and all(path.as_posix().startswith("nodes/comfyui/") for path in found)
