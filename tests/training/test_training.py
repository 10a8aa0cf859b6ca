"""Training on synthetic people: seeded pictures, a tiny run end to end, and the pack that it writes."""

import copy
import json

import pytest
import torch
from PIL import Image

from mimaface.cli import main as cli
from mimaface.mimaface_core.diffusion.latents import build_vae
from mimaface.mimaface_core.diffusion.unet import predict
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.packs.pack import ModelPack
from mimaface.mimaface_core.training.config import load_config
from mimaface.mimaface_core.training.data.dataset import StoredSample, sample_path, stored_samples
from mimaface.mimaface_core.training.engine.checkpoint import read_checkpoint
from mimaface.mimaface_core.training.models.networks import Noising, build_parts, clip_context, split
from mimaface.mimaface_core.training.models.vae import PictureLoss, crops, load_pairs, load_vae
from mimaface.mimaface_core.training.people.camera import from_jpeg
from mimaface.mimaface_core.training.people.person import random_person
from mimaface.mimaface_core.training.people.synthesis import make_sample
from mimaface.mimaface_core.training.recipe import run_stage


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_people):
    """All stages of a pack that does not speak, at the tiny size."""
    folder, config = tmp_path_factory.mktemp("training"), load_config("tiny")
    (folder / "data").symlink_to(tiny_people)
    for stage in ("vae", "image", "video", "pack"):
        run_stage(stage, config, folder / "data", folder / "out")
    return folder, config


def log_of(folder, stage):
    return [json.loads(line) for line in (folder / f"{stage}.jsonl").read_text().splitlines()]


def test_the_same_seed_gives_the_same_person(trained):
    folder, config = trained
    stored, again = StoredSample(sample_path(folder / "data", 1)), make_sample(1, config["data"]["frames"])
    assert torch.equal(stored.source(), from_jpeg(again.source))
    assert torch.equal(stored.image("render", 2), from_jpeg(again.renders[2]))
    assert torch.equal(stored.motion, again.motion)
    other = random_person(0)
    assert (random_person(1).skin - other.skin).abs().mean() > 0.01
    assert stored.person == "1"


def test_a_sample_shows_what_the_render_gets_wrong(trained):
    folder, config = trained
    sample = StoredSample(sample_path(folder / "data", 0))
    assert sample.frames == config["data"]["frames"] and sample.motion.shape == (sample.frames, 71)
    target, render = (sample.image(kind, 3).float() / 255 for kind in ("target", "render"))
    assert target.shape == (3, 512, 512)
    difference = (target - render).abs().mean(0)
    assert 0.001 < difference.mean() < 0.2
    # the corners stand still in both
    assert difference[:40, :40].mean() < 0.03
    weight = sample.weight
    assert weight.shape == (sample.frames, 64, 64) and weight.min() == 0.5 and weight.max() > 3


def test_the_pack_loads_and_fits(trained, capsys):
    folder, config = trained
    pack = ModelPack.load(folder / "out" / "pack")
    report = pack.verify()
    assert set(report) == {"vae", "appearance", "unet"} and pack.clip_frames == config["data"]["frames"]
    assert cli.main(["pack", "verify", str(pack.folder)]) == 0 and "every part loads" in capsys.readouterr().out
    tensors, _ = read_checkpoint(folder / "out" / "video.safetensors")
    trained_weight = tensors["average/unet.conv_in.weight"]
    assert torch.allclose(pack.unet.conv_in.weight, trained_weight, atol=1e-3)
    # the image stage cannot see carried latents, the video stage learns to
    before, _ = read_checkpoint(folder / "out" / "image.safetensors")
    assert float(before["weights/scale"]) == pytest.approx(pack.latents.scale, rel=1e-3)
    before = before["average/unet.conv_in.weight"]
    assert (before[:, 8:] == 0).all() and (trained_weight[:, 8:] != 0).any()
    assert torch.equal(before[:, :8], trained_weight[:, :8])


def test_the_video_stage_leaves_the_image_stage_alone(trained):
    folder, _ = trained
    image, video = (read_checkpoint(folder / "out" / f"{stage}.safetensors")[0] for stage in ("image", "video"))
    before = {key.removeprefix("weights/"): value for key, value in image.items() if key.startswith("weights/")}
    before |= {key.removeprefix("average/"): value for key, value in image.items() if key.startswith("average/")}
    learned = {key for key, value in before.items() if not torch.equal(video.get(f"weights/{key}", value), value)}
    assert learned and all("motion_modules" in key or key == "unet.conv_in.weight" for key in learned)
    assert not any("appearance" in key for key in video)


def test_the_losses_are_logged_and_drawn(trained):
    folder, _ = trained
    log = log_of(folder / "out", "image")
    assert {"loss", "denoise", "identity", "steps_a_second"} <= log[0].keys()
    assert {"left", "jump"} <= log[-1].keys() and log[-1]["step"] == 20 and log[0]["identity"] > 0
    for stage, step in (("image", 20), ("video", 6)):
        # source, render, made and truth of the one person kept apart
        assert Image.open(folder / "out" / "samples" / f"{stage}-{step:06d}.jpg").size == (4 * 192, 192)
        assert Image.open(folder / "out" / f"{stage}-loss.png").width > 300


def test_the_autoencoder_learns(trained):
    folder, config = trained
    pictures = load_pairs(folder / "data", 3, 2)
    batch = crops(list(pictures[:2]), pictures[2], 64, 8, torch.Generator().manual_seed(0))
    torch.manual_seed(config["vae"]["seed"])
    new = build_vae("AutoencoderTiny", config["vae"]["config"])
    with torch.no_grad():
        before, after = (
            float(PictureLoss(vae)(*batch, torch.zeros(16, 4, 8, 8))["loss"])
            for vae in (new, load_vae(config, folder / "out"))
        )
    assert after < 0.9 * before


@pytest.mark.parametrize("name", ["bundled", "ablation"])
def test_a_shipped_configuration_sees_its_latents(name):
    config = load_config(name)
    parts, side = build_parts(config), config["latents"]["size"] // 8
    context = clip_context(config, parts["appearance"], torch.zeros(1, 3, 224, 224), torch.zeros(2, 71))
    with torch.no_grad():
        made = predict(parts["unet"], torch.zeros(1, 13, 2, side, side), torch.tensor([999]), context[None])
    assert made.shape == (1, 4, 2, side, side)


def test_latents_are_coded_once_and_persons_are_kept_apart(trained):
    folder, config = trained
    files = sorted((folder / "out" / "latents").iterdir())
    written = [file.stat().st_mtime_ns for file in files]
    learned, held, _ = split(config, folder / "data", folder / "out")
    assert [file.stat().st_mtime_ns for file in files] == written
    assert set(learned.person.tolist()).isdisjoint(held.person.tolist()) and len(held.samples) == 1
    views = learned.views(torch.tensor([0, 0, 0]), torch.Generator().manual_seed(0))
    source = learned.sources(torch.tensor([0]))
    assert views.shape == (3, 3, 224, 224) and not torch.equal(views[:1], source)


@pytest.mark.parametrize("kind", ["sample", "epsilon", "v_prediction"])
def test_what_is_predicted_gives_the_clean_latents_back(kind):
    config = {"scheduler": {"prediction_type": kind, "timestep_spacing": "trailing"}}
    noising = Noising(config, "even")
    clean, noise = torch.randn(2, 3, 4, 1, 5, 5).unbind()
    time = noising.draw_times(3, torch.Generator().manual_seed(0))
    noisy, wanted, counts = noising(clean, time, noise)
    alpha = noising.alphas[time].view(-1, 1, 1, 1, 1)
    back = {
        "sample": wanted,
        "epsilon": (noisy - (1 - alpha).sqrt() * wanted) / alpha.sqrt(),
        "v_prediction": alpha.sqrt() * noisy - (1 - alpha).sqrt() * wanted,
    }[kind]
    assert torch.allclose(back, clean, atol=2e-3) and (counts > 0).all() and counts.max() <= 5


def test_refusals(tmp_path, capsys):
    with pytest.raises(InputError, match="stage 'data'"):
        stored_samples(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_checkpoint(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="There is no configuration 'huge'; use .*bundled.*tiny"):
        load_config("huge")
    (tmp_path / "half.json").write_text('{"data": {}}')
    with pytest.raises(InputError, match="lacks the section 'vae'"):
        load_config(str(tmp_path / "half.json"))
    assert cli.main(["train", "data", "--config", "tiny", "--part", "2/2"]) == 2
    assert "--part 2/2" in capsys.readouterr().err


def test_one_person_alone_is_refused(tmp_path, trained):
    folder, config = trained
    config = copy.deepcopy(config)
    config["latents"]["people"] = 1
    (tmp_path / "vae.safetensors").write_bytes((folder / "out" / "vae.safetensors").read_bytes())
    with pytest.raises(InputError, match="show 1 of the 2 people"):
        run_stage("image", config, folder / "data", tmp_path)
