"""A tiny pack for the tests of model packs."""

import pytest
from support.tiny_pack import write_tiny_pack

from mimaface.mimaface_core.packs.pack import ModelPack


@pytest.fixture()
def pack(tmp_path) -> ModelPack:
    return write_tiny_pack(tmp_path / "tiny")
