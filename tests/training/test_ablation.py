"""The ablation: the effect of each switch, the estimators, a run of all variants that resumes."""

import json
from dataclasses import replace

import pytest
import torch

from mimaface.cli import main as cli
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.training import ablation
from mimaface.mimaface_core.training.ablation import VARIANTS, boundaries, interval, variant_config, verdict
from mimaface.mimaface_core.training.config import CONFIGS, AblateConfig, parse_config
from mimaface.mimaface_core.training.models.estimators import Estimators, frechet, score
from mimaface.mimaface_core.training.models.latent_cache import Latents
from mimaface.mimaface_core.training.models.networks import build_networks, clip_context, conditioning_render
from mimaface.mimaface_core.training.models.validation import TrackSampler
from mimaface.mimaface_core.training.recipe import run_stage


@pytest.fixture
def content():
    """A configuration file of the tiny size with everything that the ablation needs."""
    config = json.loads((CONFIGS / "tiny.json").read_text())
    config["latents"] |= {"target": "picture", "size": 128, "frames": 4}
    config["video"] |= {"frames": 3, "steps": 2}
    for stage in ("vae", "image"):
        config[stage]["steps"] = 3
    config["estimators"] = {
        "batch": 4,
        "steps": 5,
        "minutes": 60,
        "rate": 0.002,
        "average": 0.9,
        "save_minutes": 60,
        "seed": 1,
    }
    config["ablation"] = {"seeds": [1]}
    return config


@pytest.fixture
def config(content):
    return parse_config(content, "small.json")


def test_all_variants_are_trained_measured_and_reported(content, tiny_people, tmp_path, capsys, monkeypatch):
    path, out = tmp_path / "small.json", tmp_path / "out"
    path.write_text(json.dumps(content))
    monkeypatch.setattr(ablation, "VARIANTS", {name: VARIANTS[name] for name in ("base", "render")})
    command = ["train", "ablation", "--config", str(path), "--data", str(tiny_people), "--out", str(out)]
    assert cli.main(command) == 0
    assert capsys.readouterr().out.splitlines() == [str(out / "ablation.md")]
    runs = json.loads((out / "ablation.json").read_text())["runs"]
    assert set(runs) == {"base", "render"} and set(runs["base"]) == {"1"}
    text = (out / "ablation.md").read_text()
    assert "base: everything" in text and "| no render | pose error (°) |" in text and "(one seed): not shown" in text
    # nothing is trained again, and every number is the same
    trained = {file: file.stat().st_mtime_ns for file in out.rglob("*.safetensors")}
    assert cli.main(command) == 0
    assert {file: file.stat().st_mtime_ns for file in out.rglob("*.safetensors")} == trained
    assert json.loads((out / "ablation.json").read_text())["runs"] == runs
    content["image"]["rate"] = 0.5
    path.write_text(json.dumps(content))
    assert cli.main(command) == 2 and "image.rate was 0.003 and is 0.5" in capsys.readouterr().err


def test_only_one_switch_and_the_seed_differ(config, tmp_path):
    base, other = (variant_config(config, name, 3, tmp_path) for name in ("base", "identity"))
    assert base.ablate == AblateConfig() and other.ablate == AblateConfig(identity=True)
    assert base == replace(other, ablate=AblateConfig()) and base.image.seed == 6 and config.image.seed == 2


def test_without_modulation_the_motion_changes_nothing(config):
    source, motion = torch.rand(1, 3, 32, 32) * 2 - 1, torch.randn(3, 71)

    def spread(variant):
        one = variant_config(config, variant, 1, "out")
        context = clip_context(build_networks(one).appearance, source, motion, one.ablate.average)
        assert context.shape[0] == 3
        return (context - context[:1]).abs().max()

    assert spread("base") > 1e-3 and spread("motion") == 0 and spread("average") == 0


def test_the_unet_gets_neither_an_ablated_render_nor_ablated_frames(config):
    render = torch.rand(1, 4, 3, 2, 2)
    for variant, shown, carried in (("base", render, 1), ("render", torch.zeros_like(render), 1), ("ica", render, 0)):
        one = variant_config(config, variant, 1, "out")
        assert torch.equal(conditioning_render(one.ablate, render), shown) and one.overlap == carried
    # clips of 3 frames: 0 1 2 | 2 3 4 | 4 5, or 0 1 2 | 3 4 5
    base, ica = (variant_config(config, name, 1, "out") for name in ("base", "ica"))
    assert boundaries(6, 3, base.overlap) == [3, 5] and boundaries(6, 3, ica.overlap) == [3]


def test_a_track_is_sampled_clip_after_clip(config):
    latents = fake_latents(7)
    track = TrackSampler.of(config).sample(build_networks(config), latents, 0)
    assert track.shape == (7, 4, 8, 8) and track.abs().max() < 1e-5  # the output layer of a new U-Net is zero


def fake_latents(frames, people=2):
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator)

    samples = [
        {
            "render": drawn(frames, 4, 8, 8),
            "target": drawn(1, 4, 8, 8).expand(frames, -1, -1, -1),  # frames without motion
            "motion": drawn(frames, 71),
            "weight": torch.full((frames, 8, 8), 1.5),
            "source": torch.zeros(3, 224, 224, dtype=torch.uint8),
        }
        for _ in range(people)
    ]
    every = torch.arange(people)
    return Latents(samples, every, torch.zeros(0, 2), every, [])


def test_the_score_prefers_the_truth():
    held = fake_latents(8)
    torch.manual_seed(0)
    estimators = Estimators(4, 2, torch.zeros(71), torch.ones(71)).eval()
    truth = [sample["target"] for sample in held.samples]
    wrong = [clip + torch.randn(clip.shape) for clip in truth]
    best, worse = score(estimators, truth, held, [4]), score(estimators, wrong, held, [4])
    assert best.distance == 0 < worse.distance and best.identity == pytest.approx(1) and worse.identity < 0.99
    assert worse.jump == pytest.approx(1, abs=0.2)
    # an error that begins with the second clip changes at the boundary only
    step = torch.cat([torch.zeros(4), torch.ones(4)])[:, None, None, None]
    late = [clip + step + 0.01 * torch.randn(clip.shape) for clip in truth]
    assert score(estimators, late, held, [4]).jump > 20


def test_frechet_distance():
    a = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    assert frechet(a, a) == 0 and frechet(a, a + 2) == pytest.approx(12, rel=1e-3)
    assert frechet(a, 3 * a) > 0.5 * 3 * 4


def test_intervals_and_verdicts():
    mean, half = interval([1.0, 2.0, 3.0])
    assert mean == 2 and half == pytest.approx(4.303 / 3**0.5, rel=1e-3)
    assert interval([1.0])[1] == float("inf")
    runs = {
        "base": {
            1: {"identity": 0.9, "pose": 2.0},
            2: {"identity": 0.8, "pose": 2.5},
            3: {"identity": 0.85, "pose": 1.5},
        },
        "identity": {
            1: {"identity": 0.7, "pose": 1.0},
            2: {"identity": 0.61, "pose": 3.0},
            3: {"identity": 0.65, "pose": 2.0},
        },
    }
    assert verdict(runs, "identity", "identity").startswith("-0.197") and "reproduces" in verdict(
        runs, "identity", "identity"
    )
    assert "not shown" in verdict(runs, "identity", "pose")
    assert "the other way round" in verdict(
        {"base": runs["identity"], "identity": runs["base"]}, "identity", "identity"
    )


def test_a_pack_without_render_is_refused(config, tmp_path):
    config = replace(config, ablate=AblateConfig(render=True))
    with pytest.raises(InputError, match="cannot do without the render"):
        run_stage("pack", config, tmp_path, tmp_path)


def test_an_ablation_without_its_sections_is_refused(config, tmp_path):
    for section in ("estimators", "ablation"):
        with pytest.raises(InputError, match=f"lacks the section '{section}'; take configs/ablation.json"):
            ablation.run_ablation(replace(config, **{section: None}), tmp_path, tmp_path)
