"""Fixtures of the tests in a real browser."""

import os
import re
import sys
from pathlib import Path

import pytest
from support.comfyui_server import COMFYUI, base, comfyui, started  # noqa: F401 - a fixture
from support.page import FOLDER, Page
from support.scenes import nodding_camera

KEPT = os.environ.get("BROWSER_SCREENSHOTS")


@pytest.fixture(scope="module", params=["frontend", "comfyui"] if COMFYUI else ["frontend"])
def browser(request, base, tmp_path_factory):  # noqa: F811
    """The loaded page of one of the two servers."""
    if request.param == "comfyui":
        serving = comfyui(base)
    else:
        serving = started([sys.executable, FOLDER / "serve.py", base], base / "frontend.log")
    with serving as (address, _):
        page = Page(request.param, address, nodding_camera(tmp_path_factory.mktemp("camera") / "camera.mjpeg"))
        try:
            page("open")
            yield page
        finally:
            page.close()


@pytest.fixture(scope="session")
def shots(tmp_path_factory):
    folder = Path(KEPT or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


@pytest.fixture
def page(browser, shots, request):
    """The page with an empty graph, which must have reported no error at the end of a test.

    Its screenshot is kept where BROWSER_SCREENSHOTS names a folder.
    """
    browser("blank")
    yield browser
    if KEPT:
        name = re.sub(r"[^\w-]+", "_", request.node.name.removeprefix("test_"))
        browser("shot", path=str(shots / f"{name}.png"))
    assert browser("faults") == []
