"""Sizes of files and functions, and module docstrings."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path.relative_to(ROOT)
    for top in ("mimaface_core", "nodes", "headless", "scale", "live", "cli", "tests", "benchmarks", "tools")
    for path in (ROOT / top).rglob("*.py")
    if "node_modules" not in path.parts
)
PRODUCT = [path for path in SOURCES if path.parts[0] != "tests"]
FILE_LINES, FUNCTION_LINES = 300, 60
REASON = re.compile(r"# long: \w+")  # beside a file's docstring or a function's head


@pytest.mark.parametrize("path", SOURCES, ids=Path.as_posix)
def test_a_file_begins_with_its_purpose(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text)), "no module docstring"


@pytest.mark.parametrize("path", PRODUCT, ids=Path.as_posix)
def test_files_and_functions_are_short(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    lines = text.splitlines()
    assert len(lines) <= FILE_LINES or REASON.search(text.partition("\nimport ")[0]), f"{len(lines)} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = code_lines(node, lines)
            assert length <= FUNCTION_LINES or REASON.search(lines[node.lineno - 1]), f"{node.name}: {length} lines"


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]) -> int:
    """Lines of a function that are neither blank, nor a comment, nor its docstring."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = range(first.lineno - 1, first.end_lineno) if documented else range(0)
    body = range(function.lineno - 1, function.end_lineno)
    return sum(bool(lines[i].strip()) and lines[i].strip()[0] != "#" for i in body if i not in docstring)
