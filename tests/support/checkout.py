"""Makes this checkout importable as the package `mimaface`, installed or not, whatever its folder is called."""

import importlib.util
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMPORT = f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); from support import checkout\n"
COMMAND = f"{IMPORT}from mimaface.cli.main import main\nsys.exit(main())"  # of a process: python -c COMMAND run …


def _as_package(name: str) -> None:
    spec = importlib.util.spec_from_file_location(name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


_as_package("mimaface")


@lru_cache
def tracked():
    """The repository's files as git knows them, with / between folders."""
    try:
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        import pytest

        pytest.skip("needs git and a checkout")
    return listed.splitlines()
