"""A released folder of small networks."""

import shutil

import pytest
from support.released import write_released


@pytest.fixture(scope="package")
def whole(tmp_path_factory):
    """A released folder; not to be changed."""
    folder = tmp_path_factory.mktemp("released")
    write_released(folder)
    return folder


@pytest.fixture
def released(whole, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(whole, tmp_path / "released")
