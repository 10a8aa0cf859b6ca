"""Makes this checkout importable as the package `mimaface`, installed or not, whatever its folder is called."""

import importlib.util
import sys
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
