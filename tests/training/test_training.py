"""Training on synthetic people: seeded samples, a tiny run end to end, the pack that it writes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mimaface.cli import main as cli
from mimaface.mimaface_core.diffusion.latents import build_vae
from mimaface.mimaface_core.diffusion.unet import predict
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.packs.manifest import SchedulerEntry
from mimaface.mimaface_core.packs.pack import ModelPack
from mimaface.mimaface_core.training.config import CONFIGS, load_config, parse_config
from mimaface.mimaface_core.training.data.dataset import StoredSample, sample_path, stored_samples
from mimaface.mimaface_core.training.engine.checkpoint import read_checkpoint
from mimaface.mimaface_core.training.engine.record import recorded
from mimaface.mimaface_core.training.models.networks import (
    ForwardDiffusion,
    build_networks,
    clip_context,
    split_latents,
    without_motion_modules,
)
from mimaface.mimaface_core.training.models.vae import AutoencoderLoss, crops, load_pairs, load_vae
from mimaface.mimaface_core.training.people.camera import from_jpeg
from mimaface.mimaface_core.training.people.covers import WORN, worn
from mimaface.mimaface_core.training.people.performance import random_performance
from mimaface.mimaface_core.training.people.person import random_person
from mimaface.mimaface_core.training.people.person_renderer import PersonRenderer
from mimaface.mimaface_core.training.people.synthesis import make_sample, worn_by
from mimaface.mimaface_core.training.people.tracker_landmarks import true_landmarks
from mimaface.mimaface_core.training.recipe import run_stage


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_people):
    """All stages of a pack that does not speak, at the tiny size."""
    folder, config = tmp_path_factory.mktemp("training"), load_config("tiny")
    (folder / "data").symlink_to(tiny_people)
    for stage in ("vae", "image", "video", "distill", "pack"):
        run_stage(stage, config, folder / "data", folder / "out")
    return folder, config


def log_of(folder, stage):
    return [json.loads(line) for line in (folder / f"{stage}.jsonl").read_text().splitlines()]


def test_the_same_seed_gives_the_same_person(trained):
    folder, config = trained
    stored, again = StoredSample(sample_path(folder / "data", 1)), make_sample(1, config.data.frames)
    assert torch.equal(stored.source(), from_jpeg(again.source))
    assert torch.equal(stored.image("render", 2), from_jpeg(again.renders[2]))
    assert torch.equal(stored.motion, again.motion)
    other = random_person(0)
    assert (random_person(1).skin - other.skin).abs().mean() > 0.01
    assert stored.person == "1"


def test_a_fifth_of_the_people_wear_something_and_it_moves_with_them():
    kinds = [worn_by(seed) for seed in range(400)]
    assert 0.7 < kinds.count(None) / 400 < 0.9 and set(kinds) == {None, *WORN}
    assert worn_by(3) == worn_by(3)
    points = true_landmarks(PersonRenderer(random_person(1), *_performance(1)))[:1, :, :2]
    grey = torch.full((2, 3, 512, 512), 0.7)
    changed = (worn(grey, torch.cat([points, points + 10]), "glasses", 5) - grey).abs().amax(1) > 0.05
    irises = points[0, 468:].round().long()
    assert changed[0].any() and not changed[0, irises[:, 1], irises[:, 0]].any()
    assert (changed[0, :-10, :-10] != changed[1, 10:, 10:]).float().mean() < 0.002


def _performance(seed):
    rng = np.random.default_rng(seed)
    return random_performance(rng, 2, depth=0.0), rng


def test_a_sample_differs_from_its_render(trained):
    folder, config = trained
    sample = StoredSample(sample_path(folder / "data", 0))
    assert sample.frames == config.data.frames and sample.motion.shape == (sample.frames, 71)
    target, render = (sample.image(kind, 3).float() / 255 for kind in ("target", "render"))
    assert target.shape == (3, 512, 512)
    difference = (target - render).abs().mean(0)
    assert 0.001 < difference.mean() < 0.2
    # the corners do not move
    assert difference[:40, :40].mean() < 0.03
    weight = sample.weight
    assert weight.shape == (sample.frames, 64, 64) and weight.min() == 0.5 and weight.max() > 3
    freedom = sample.freedom
    assert freedom.shape == weight.shape and 0 <= freedom.min() < 0.1 and 0.5 < freedom.max() <= 1


def test_the_pack_holds_the_averaged_weights(trained, capsys):
    folder, config = trained
    pack = ModelPack.load(folder / "out" / "pack")
    report = pack.verify()
    assert set(report) == {"vae", "appearance", "unet"} and pack.clip_frames == config.data.frames
    assert cli.main(["pack", "verify", str(pack.folder)]) == 0 and "every part loads" in capsys.readouterr().out
    tensors, _ = read_checkpoint(folder / "out" / "video.safetensors")
    trained_weight = tensors["average/unet.conv_in.weight"]
    assert torch.allclose(pack.unet.conv_in.weight.float(), trained_weight, atol=1e-3)
    # carried latents have zero weights in the image stage; the video stage trains them
    before, _ = read_checkpoint(folder / "out" / "image.safetensors")
    assert float(before["weights/scale"]) == pytest.approx(pack.latents.scale, rel=1e-3)
    before = before["average/unet.conv_in.weight"]
    assert (before[:, 8:] == 0).all() and (trained_weight[:, 8:] != 0).any()
    assert torch.equal(before[:, :8], trained_weight[:, :8])


def test_the_video_stage_trains_motion_modules_and_input_layer_only(trained):
    folder, _ = trained
    image, video = (read_checkpoint(folder / "out" / f"{stage}.safetensors")[0] for stage in ("image", "video"))
    before = {key.removeprefix("weights/"): value for key, value in image.items() if key.startswith("weights/")}
    before |= {key.removeprefix("average/"): value for key, value in image.items() if key.startswith("average/")}
    learned = {key for key, value in before.items() if not torch.equal(video.get(f"weights/{key}", value), value)}
    assert learned and all("motion_modules" in key or key == "unet.conv_in.weight" for key in learned)
    assert not any("appearance" in key for key in video)


def test_the_distilled_pack_differs_by_its_u_net_and_samples_in_few_steps(trained):
    folder, config = trained
    whole, few = (ModelPack.load(folder / "out" / name) for name in ("pack", "pack-few-steps"))
    assert few.sampling == {"scheduler": "lcm", "steps": config.distill.sampled, "guidance": 1.0} != whole.sampling
    assert few.manifest.name == "tiny-few-steps" and set(few.verify()) == set(whole.verify())
    assert torch.equal(few.vae.encoder.layers[0].weight, whole.vae.encoder.layers[0].weight)
    before, now = (pack.unet.state_dict() for pack in (whole, few))
    learned = [key for key in before if not torch.equal(before[key], now[key])]
    for part in ("conv_in", "conv_out", "resnets", "motion_modules"):
        assert any(part in key for key in learned), part


def test_losses_are_logged_and_plotted(trained):
    folder, _ = trained
    log = log_of(folder / "out", "image")
    assert {"loss", "denoise", "identity", "steps_a_second"} <= log[0].keys()
    assert (
        {"residual_error", "residual_change_error"} <= log[-1].keys()
        and log[-1]["step"] == 20
        and log[0]["identity"] > 0
    )
    for stage, step in (("image", 20), ("video", 6), ("distill", 6)):
        # source, render, sampled frame and truth of the held-out person
        assert Image.open(folder / "out" / "samples" / f"{stage}-{step:06d}.jpg").size == (4 * 192, 192)
        assert Image.open(folder / "out" / f"{stage}-loss.png").width > 300


def test_the_autoencoder_learns(trained):
    folder, config = trained
    targets, renders, weights = load_pairs(folder / "data", 3, 2)
    batch = crops([targets, renders], weights, 64, 8, torch.Generator().manual_seed(0))
    torch.manual_seed(config.vae.seed)
    new = build_vae("AutoencoderTiny", config.vae.config)
    with torch.no_grad():
        before, after = (
            float(AutoencoderLoss(vae)(*batch, torch.zeros(16, 4, 8, 8))["loss"])
            for vae in (new, load_vae(config.vae, None, folder / "out"))
        )
    assert after < 0.9 * before


@pytest.mark.parametrize("name", ["bundled", "ablation"])
def test_the_networks_of_a_shipped_configuration_fit_its_latents(name):
    config = load_config(name)
    networks, side = build_networks(config), config.latents.size // 8
    context = clip_context(networks.appearance, torch.zeros(1, 3, 224, 224), torch.zeros(2, 71), average=False)
    with torch.no_grad():
        output = predict(networks.unet, torch.zeros(1, 13, 2, side, side), torch.tensor([999]), context[None])
    assert output.shape == (1, 4, 2, side, side)


def test_motion_modules_are_left_out_and_come_back():
    unet = build_networks(load_config("tiny")).unet
    sample, context = torch.randn(1, 13, 2, 8, 8), torch.randn(1, 2, 5, 16)
    names = list(unet.state_dict())
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.normal_(0, 0.1)
        with_modules = predict(unet, sample, torch.tensor([500]), context)
        with without_motion_modules(unet):
            one_by_one = [
                predict(unet, sample[:, :, i : i + 1], torch.tensor([500]), context[:, i : i + 1]) for i in range(2)
            ]
            together = predict(unet, sample, torch.tensor([500]), context)
        assert torch.allclose(torch.cat(one_by_one, 2), together, atol=1e-5) and not torch.equal(together, with_modules)
        assert torch.equal(predict(unet, sample, torch.tensor([500]), context), with_modules)
    assert list(unet.state_dict()) == names


def test_latents_are_encoded_once_and_people_are_held_out(trained):
    folder, config = trained
    files = sorted((folder / "out" / "latents").iterdir())
    written = [file.stat().st_mtime_ns for file in files]
    learned, held, _ = split_latents(config, folder / "data", folder / "out")
    assert [file.stat().st_mtime_ns for file in files] == written
    assert set(learned.person.tolist()).isdisjoint(held.person.tolist()) and len(held.samples) == 1
    views = learned.views(torch.tensor([0, 0, 0]), torch.Generator().manual_seed(0))
    source = learned.sources(torch.tensor([0]))
    assert views.shape == (3, 3, 224, 224) and not torch.equal(views[:1], source)


def test_latents_in_the_memory_of_a_device_give_the_same_batches(trained):
    folder, config = trained
    learned, _, _ = split_latents(config, folder / "data", folder / "out")
    near, rows = learned.packed(torch.device("cpu")), learned.rows[torch.tensor([2, 0, 3])]
    for one, other in (
        (learned.frames(rows), near.frames(rows)),
        (learned.clip(learned.clips[:1], torch.tensor([1]), 2), near.clip(learned.clips[:1], torch.tensor([1]), 2)),
        ({"source": learned.sources(rows[:, 0])}, {"source": near.sources(rows[:, 0])}),
    ):
        assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    views = [x.views(rows[:, 0], torch.Generator().manual_seed(0)) for x in (learned, near)]
    assert torch.equal(*views)
    assert learned.near(torch.device("cpu")) is learned


@pytest.mark.parametrize("kind", ["sample", "epsilon", "v_prediction"])
def test_the_prediction_target_determines_the_clean_latents(kind):
    diffusion = ForwardDiffusion(SchedulerEntry(prediction_type=kind, timestep_spacing="trailing"), "even")
    clean, noise = torch.randn(2, 3, 4, 1, 5, 5).unbind()
    time = diffusion.draw_times(3, torch.Generator().manual_seed(0))
    noisy, target, weight = diffusion(clean, time, noise)
    alpha = diffusion.alphas[time].view(-1, 1, 1, 1, 1)
    back = {
        "sample": target,
        "epsilon": (noisy - (1 - alpha).sqrt() * target) / alpha.sqrt(),
        "v_prediction": alpha.sqrt() * noisy - (1 - alpha).sqrt() * target,
    }[kind]
    assert torch.allclose(back, clean, atol=2e-3) and (weight > 0).all() and weight.max() <= 5


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
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match="broken.json is not JSON"):
        load_config(str(tmp_path / "broken.json"))
    assert cli.main(["train", "data", "--config", "tiny", "--part", "2/2"]) == 2
    assert "--part 2/2" in capsys.readouterr().err


def test_one_person_alone_is_refused(tmp_path, trained):
    folder, config = trained
    config = replace(config, latents=replace(config.latents, people=1))
    (tmp_path / "vae.safetensors").write_bytes((folder / "out" / "vae.safetensors").read_bytes())
    with pytest.raises(InputError, match="show 1 of the 2 people"):
        run_stage("image", config, folder / "data", tmp_path)


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.json")))
def test_the_record_of_a_shipped_configuration_is_its_file(name):
    content = json.loads((CONFIGS / f"{name}.json").read_text())
    record = {"precision": "fp32", **json.loads(json.dumps(recorded(load_config(name))))}
    assert record == content


@pytest.mark.parametrize(
    ("section", "settings", "message"),
    [
        ("imaeg", {}, "'imaeg' is unknown, the closest known key is 'image'"),
        ("image", {"stepz": 20}, "'image.stepz' is unknown, the closest known key is 'steps'"),
        ("vae", {"peopel": 3}, "'vae.peopel' is unknown, the closest known key is 'people'"),
        ("latents", {"size": "512"}, "'latents.size' is not of type int"),
        ("image", {"rate": 10**400}, "'image.rate' is too large for a number"),
        ("latents", {"target": "image"}, "latents.target 'image' is not one of picture, residual"),
        ("ablate", {"ica": 1}, "'ablate.ica' is not of type bool"),
        ("start", {"lora": "x"}, "'start.lora' is unknown, known keys are unet, motion, vision, vae"),
        ("video", {"steps": 0}, "video: steps, minutes and accumulate must be above 0"),
    ],
)
def test_settings_that_are_unknown_or_of_another_type_are_refused(section, settings, message):
    content = json.loads((CONFIGS / "tiny.json").read_text())
    content[section] = {**content.get(section, {}), **settings}
    with pytest.raises(InputError, match=f"mine.json: .*{message}; correct it"):
        parse_config(content, "mine.json")


def test_an_autoencoder_is_trained_or_pretrained():
    content = json.loads((CONFIGS / "tiny.json").read_text())
    content["vae"] = {"config": content["vae"]["config"]}
    with pytest.raises(InputError, match="'vae' has no settings of training, and 'start.vae' names no autoencoder"):
        parse_config(content, "mine.json")
    assert parse_config({**content, "start": {"vae": "folder"}}, "mine.json").pretrained.vae == "folder"


def test_arguments_that_a_network_does_not_have_are_refused():
    config = load_config("tiny")
    with pytest.raises(InputError, match="cannot be built .*widht.*correct unet or appearance"):
        build_networks(replace(config, unet={**config.unet, "widht": 3}))
