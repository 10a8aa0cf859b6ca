"""Fixture: the synthetic people of the tiny training configuration, drawn once."""

import pytest

from mimaface.mimaface_core.training.config import load_config
from mimaface.mimaface_core.training.recipe import run_stage


@pytest.fixture(scope="session")
def tiny_people(tmp_path_factory):
    """The folder of the tiny training data, made by stage `data`."""
    folder = tmp_path_factory.mktemp("people") / "data"
    run_stage("data", load_config("tiny"), folder, folder)
    return folder
