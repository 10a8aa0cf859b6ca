"""Training on synthetic people: seeded pictures, a tiny run end to end, resuming, and the pack that it writes."""

import copy
import json

import pytest
import torch

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.packs.pack import ModelPack
from mimaface.mimaface_core.training.bundled import load_config, run_stage
from mimaface.mimaface_core.training.camera import from_jpeg
from mimaface.mimaface_core.training.dataset import StoredSample, sample_path, stored_samples
from mimaface.mimaface_core.training.loop import Training, load_averaged, read_checkpoint
from mimaface.mimaface_core.training.person import random_person
from mimaface.mimaface_core.training.synthetic import make_sample


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """All stages at the tiny size, with two people."""
    folder, config = tmp_path_factory.mktemp("training"), load_config("tiny")
    for stage in ("data", "vae", "image", "video", "pack"):
        run_stage(stage, config, folder / "data", folder / "out")
    return folder, config


def test_the_same_seed_gives_the_same_person(trained):
    folder, config = trained
    stored, again = StoredSample(sample_path(folder / "data", 1)), make_sample(1, config["data"]["frames"])
    assert torch.equal(stored.source(), from_jpeg(again.source))
    assert torch.equal(stored.picture("render", 2), from_jpeg(again.renders[2]))
    assert torch.equal(stored.motion, again.motion)
    other = random_person(0)
    assert (random_person(1).skin - other.skin).abs().mean() > 0.01


def test_a_sample_shows_what_the_render_gets_wrong(trained):
    folder, config = trained
    sample = StoredSample(sample_path(folder / "data", 0))
    assert sample.frames == config["data"]["frames"] and sample.motion.shape == (sample.frames, 71)
    target, render = (sample.picture(kind, 3).float() / 255 for kind in ("target", "render"))
    assert target.shape == (3, 512, 512)
    difference = (target - render).abs().mean(0)
    assert 0.001 < difference.mean() < 0.2
    # the corners stand still in both
    assert difference[:40, :40].mean() < 0.03
    weight = sample.weight
    assert weight.shape == (sample.frames, 64, 64) and weight.min() == 0.5 and weight.max() > 3


def test_the_pack_loads_and_fits(trained):
    folder, config = trained
    pack = ModelPack.load(folder / "out" / "pack")
    report = pack.verify()
    assert set(report) == {"vae", "appearance", "unet"} and pack.clip_frames == config["data"]["frames"]
    tensors, _ = read_checkpoint(folder / "out" / "video.safetensors")
    trained_weight = tensors["average/unet.conv_in.weight"]
    assert torch.allclose(pack.unet.conv_in.weight, trained_weight, atol=1e-3)
    # the image stage cannot see carried latents, the video stage learns to
    before, _ = read_checkpoint(folder / "out" / "image.safetensors")
    before = before["average/unet.conv_in.weight"]
    assert (before[:, 8:] == 0).all() and (trained_weight[:, 8:] != 0).any()
    assert torch.equal(before[:, :8], trained_weight[:, :8])


def test_the_loss_goes_down(tmp_path, trained):
    folder, config = trained
    config = copy.deepcopy(config)
    config["vae"].update(steps=4)
    run_stage("vae", config, folder / "data", tmp_path)
    first = json.loads((tmp_path / "vae.jsonl").read_text().splitlines()[0])["loss"]
    config["vae"].update(steps=40)
    run_stage("vae", config, folder / "data", tmp_path)
    assert json.loads((tmp_path / "vae.jsonl").read_text().splitlines()[-1])["loss"] < 0.8 * first


def test_resuming_continues_where_it_stopped(tmp_path):
    settings = {"steps": 6, "minutes": 60, "rate": 0.1, "average": 0.9, "save_minutes": 60, "seed": 5}

    def training(out, steps):
        torch.manual_seed(0)
        layer = torch.nn.Linear(3, 2)
        stage = Training("toy", out, {"layer": layer}, list(layer.parameters()), settings)

        def loss_of(generator):
            if stage.step == steps:
                raise KeyboardInterrupt
            return layer(torch.randn(8, 3, generator=generator)).square().mean()

        return stage, layer, loss_of

    stage, whole, loss_of = training(tmp_path / "a", None)
    stage.run(loss_of)
    stage, _, loss_of = training(tmp_path / "b", 3)
    with pytest.raises(KeyboardInterrupt):
        stage.run(loss_of)
    stage.save()
    stage, rest, loss_of = training(tmp_path / "b", None)
    assert stage.step == 3
    stage.run(loss_of)
    assert torch.equal(whole.weight, rest.weight)
    averaged = torch.nn.Linear(3, 2)
    load_averaged(tmp_path / "b" / "toy.safetensors", {"layer": averaged})
    assert torch.equal(averaged.weight, stage.average["layer.weight"]) and not torch.equal(averaged.weight, rest.weight)


def test_refusals(tmp_path):
    with pytest.raises(InputError, match="stage 'data'"):
        stored_samples(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_checkpoint(tmp_path / "none.safetensors")
    settings = {"steps": 1, "minutes": 1, "rate": 0.1, "average": 0.9, "save_minutes": 1}
    small, large = torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Linear(2, 2))
    Training("toy", tmp_path, {"part": small}, list(small.parameters()), settings).save()
    with pytest.raises(InputError, match="another configuration"):
        Training("toy", tmp_path, {"part": large}, list(large.parameters()), settings)
