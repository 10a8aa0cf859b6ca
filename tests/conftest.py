"""What all tests share: the package `mimaface` and the fixtures that several files use."""

import os
import tempfile
import time

import pytest

# Processes that share the tests share the processor's cores; PyTorch reads this when it is imported.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    shared = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, shared)))

from support import checkout  # noqa: F401 - first, since the fixtures import the package
from support.comfyui_server import base, server  # noqa: F401
from support.machine import slower
from support.people import tiny_people  # noqa: F401
from support.scenes import evaluate, run, tiny_models  # noqa: F401

# Not the settings of whoever runs the tests.
os.environ["XDG_CONFIG_HOME"] = os.environ["APPDATA"] = tempfile.mkdtemp(prefix="mimaface-tests-")

MUCH_SLOWER = 3


def pytest_collection_modifyitems(items):
    """In CI, where time is limited, a machine that is much slower than usual leaves the longest tests out."""
    times = slower() if os.environ.get("CI") else 1
    if times > MUCH_SLOWER:
        left_out = pytest.mark.skip(reason=f"long, and this machine is {times:.0f} times slower than usual")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(left_out)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Once the time that CI gives the tests is over, those that have not begun are skipped and say so."""
    if time.time() > float(os.environ.get("TESTS_UNTIL", "inf")):
        pytest.skip("not begun before the end of CI's time; run `make test`")
