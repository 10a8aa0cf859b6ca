"""IF-MDM's checkpoints become packs, without running code in them."""

import argparse

import pytest
import torch

from mimaface.cli.main import main
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.implicit.checkpoint import load_generator
from mimaface.mimaface_core.implicit.generator import Generator
from mimaface.mimaface_core.implicit.grow import grown
from mimaface.mimaface_core.implicit.transformer import MotionTransformer
from mimaface.mimaface_core.packs.convert_implicit import convert_implicit


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    return Generator(256, 4)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory, generator):
    """Stages 1 and 2 as the authors' scripts write them, and a stage 2 of another model."""
    folder = tmp_path_factory.mktemp("checkpoints")
    arguments = argparse.Namespace(size=256)
    torch.save({"gen": generator.state_dict(), "dis": {}, "args": arguments}, folder / "001000.pt")
    for name, dimensions in (("0001000.pt", 4), ("other.pt", 7)):
        state = MotionTransformer("DiT-tiny", dimensions).state_dict()
        torch.save({"model": {}, "ema": state, "opt": {}, "args": arguments}, folder / name)
    return folder


def test_checkpoints_become_a_pack_that_verifies(checkpoints, generator, tmp_path, capsys, monkeypatch):
    out = tmp_path / "mine"
    stage1, stage2 = str(checkpoints / "001000.pt"), str(checkpoints / "0001000.pt")
    arguments = ["pack", "convert", stage1, str(out), "--transformer", stage2, "--speech", "hubert", "--half"]
    assert main(arguments) == 0 and "a pack for implicit motion" in capsys.readouterr().out
    assert main(["pack", "verify", str(out)]) == 0
    assert "mine: every part loads." in capsys.readouterr().out
    monkeypatch.setenv("MIMAFACE_MODELS", str(tmp_path))
    assert main(["pack", "list"]) == 0 and "mine\t" in capsys.readouterr().out
    read = load_generator(out / "generator.safetensors")
    assert torch.allclose(read.dec.direction.weight, generator.dec.direction.weight, atol=2e-3)


def test_stages_that_do_not_belong_together_are_refused(checkpoints, tmp_path):
    stage1 = checkpoints / "001000.pt"
    with pytest.raises(InputError, match="4 dimensions of motion, stage 2 7"):
        convert_implicit(stage1, tmp_path / "out", checkpoints / "other.pt", "hubert")
    with pytest.raises(InputError, match="by --speech"):
        convert_implicit(stage1, tmp_path / "out", checkpoints / "0001000.pt")
    with pytest.raises(InputError, match="holds no state dict; use a checkpoint of IF-MDM"):
        convert_implicit(checkpoints / "0001000.pt", tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    with pytest.raises(InputError, match="a folder with other files"):
        convert_implicit(stage1, tmp_path / "full")


def test_a_generator_moves_to_twice_the_size_with_all_it_has_learned(generator):
    larger, before = Generator(512, 4).state_dict(), generator.state_dict()
    moved = grown(before)
    assert all(larger[key].shape == value.shape for key, value in moved.items())
    new = ("enc.net_app.convs.0.", "enc.net_app.convs.1.", "dec.convs.12.", "dec.convs.13.", "dec.to_rgbs.6.")
    assert {key for key in larger if key not in moved} == {
        key for key in larger if key.startswith((*new, "dec.to_flows.6."))
    }
    assert torch.equal(moved["enc.net_app.convs.3.conv1.0.weight"], before["enc.net_app.convs.2.conv1.0.weight"])
