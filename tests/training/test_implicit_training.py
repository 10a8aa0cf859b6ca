"""IF-MDM's recipe: clips, growing, losses, features without seams, and all stages to a pack that works."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from mimaface.mimaface_core.audio.speech import Speech
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.implicit.generator import Generator
from mimaface.mimaface_core.implicit.grow import grow
from mimaface.mimaface_core.implicit.voice_features import FEATURES, voice_features
from mimaface.mimaface_core.media.audio import Audio
from mimaface.mimaface_core.packs.implicit_pack import ImplicitPack
from mimaface.mimaface_core.packs.pack import BUNDLED_PACK, ModelPack
from mimaface.mimaface_core.training.data import implicit_clips
from mimaface.mimaface_core.training.data.implicit_clips import ImplicitClip, drawn_clip
from mimaface.mimaface_core.training.data.implicit_pool import ClipPool
from mimaface.mimaface_core.training.implicit_config import ImplicitConfig, load_implicit_config
from mimaface.mimaface_core.training.implicit_recipe import ALL, run_implicit_stage
from mimaface.mimaface_core.training.models.implicit_generator import GeneratorModel, flow_loss
from mimaface.mimaface_core.training.people.portrait_folder import HELD_OUT
from mimaface.mimaface_core.training.speech import espeak


@pytest.fixture(scope="module")
def clip():
    return drawn_clip(3, 3)


def test_a_drawn_clip_repeats_and_survives_the_disk(clip, tmp_path):
    assert torch.equal(drawn_clip(3, 3).images, clip.images)
    assert clip.images.shape == (3, 3, 256, 256) and clip.codes.abs().max() < 1
    clip.save(tmp_path / "a.safetensors")
    again = ImplicitClip.load(tmp_path / "a.safetensors")
    assert (again.images.float() - clip.images.float()).abs().mean() < 4
    assert torch.allclose(again.places, clip.places, atol=1e-3) and torch.equal(again.seen, clip.seen)
    assert 0.3 < clip.seen.float().mean() < 1
    (tmp_path / "a.safetensors").write_bytes(b"no clip")
    with pytest.raises(InputError, match="damaged"):
        ImplicitClip.load(tmp_path / "a.safetensors")


def test_every_portrait_moves_in_its_own_way(clip, tmp_path, monkeypatch):
    drawn = {}
    for number in range(HELD_OUT + 3):
        Image.new("RGB", (8, 8)).save(tmp_path / f"P{number:06d}.jpg")

    def still(image, tracker):
        if len(drawn) == 1 and not drawn.get("missed"):
            drawn["missed"] = True
            raise InputError("There is no face.")
        return torch.zeros(478, 3)

    def moved(image, landmarks, rng, frames, size):
        drawn[len(drawn)] = tuple(rng.normal(0, 1, 4))
        return clip

    monkeypatch.setattr(implicit_clips, "face_tracker", object)
    monkeypatch.setattr(implicit_clips, "still_landmarks", still)
    monkeypatch.setattr(implicit_clips, "moved_clip", moved)
    implicit_clips.make_implicit_data(tmp_path / "moves", range(0), 3, tmp_path)
    poses = [value for name, value in drawn.items() if name != "missed"]
    assert len(poses) == len(set(poses)) == 2 == len(list((tmp_path / "moves").iterdir()))


def test_a_pool_takes_up_clips_that_come_later(clip, tmp_path):
    with pytest.raises(InputError, match="mimaface train moves"):
        ClipPool(tmp_path)
    clip.save(tmp_path / "a.safetensors")
    pool = ClipPool(tmp_path)
    clip.save(tmp_path / "b.safetensors")
    pool.read_new()
    assert len(pool.clips) == 2
    pairs = [pool.pairs(4, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(pairs[0]["source"], pairs[1]["source"]) and not torch.equal(pairs[0]["box"], pairs[2]["box"])


def test_a_grown_generator_begins_as_the_smaller_one(clip):
    torch.manual_seed(0)
    smaller, larger = (Generator(size, 20, 64, 32, 0, fill=True).eval() for size in (32, 64))
    grow(smaller, larger)
    image = F.avg_pool2d(clip.images.float() / 127.5 - 1, 4)
    with torch.no_grad():
        before, after = smaller.enc(F.avg_pool2d(image, 2)), larger.enc(image)
    # the filter before halving is a little softer than the mean of four pixels
    assert (before.style - after.style).abs().mean() < 0.1 * before.style.abs().mean()
    for ours, theirs in zip(after.features, before.features, strict=False):
        assert (ours - theirs).abs().mean() < 0.15 * theirs.abs().mean()


def test_flows_that_bring_landmarks_from_where_they_were_have_no_loss():
    side = 32
    raw = torch.zeros(1, 3, side, side)
    axis = torch.linspace(-1, 1, side)
    centre = (torch.arange(side) * 2 + 1) / side - 1
    raw[:, 0] = torch.atanh(centre - axis + 0.1).expand(side, -1)
    raw[:, 1] = torch.atanh(centre - axis).view(-1, 1).expand(-1, side)
    target = torch.rand(1, 468, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    seen = torch.ones(1, 468, dtype=torch.bool)
    assert flow_loss([raw], target + torch.tensor([0.1, 0.0]), target, seen) < 1e-3
    assert flow_loss([raw], target, target, seen) == pytest.approx(0.1, abs=1e-3)


def test_the_generator_learns(clip, tmp_path):
    clip.save(tmp_path / "a.safetensors")
    config = load_implicit_config("tiny").generator
    torch.manual_seed(0)
    model = GeneratorModel(config, 32, judged=True)
    batch = {**ClipPool(tmp_path).pairs(4, torch.Generator().manual_seed(0)), "adversarial": torch.tensor(0.5)}
    optimizer, losses = torch.optim.AdamW(model.parameters(), 0.003), []
    for _ in range(12):
        loss = model(**batch)["loss"]
        losses.append(float(loss.detach()))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.8 * losses[0]


def test_features_of_a_voice_do_not_depend_on_how_it_is_cut():
    rng = np.random.default_rng(0)
    wave = torch.from_numpy(rng.normal(0, 0.1, 16000 * 45)).float()
    speech, net = Speech.of(Audio(wave[None], 16000)), ModelPack.load(BUNDLED_PACK).audio
    blocks = list(voice_features(speech, net))
    features = torch.cat(blocks)
    assert len(blocks) > 1 and features.shape == (2 * 45 * 25, FEATURES) and features.isfinite().all()
    steps = (features[1:] - features[:-1]).abs().mean(1)
    for at in np.cumsum([len(block) for block in blocks])[:-1]:
        assert steps[at - 1] < 4 * steps.median()


@pytest.mark.skipif(not espeak.available(), reason="espeak-ng (libespeak-ng.so.1) is not installed")
def test_all_stages_make_a_pack_that_works(tmp_path):
    config = load_implicit_config("tiny")
    run_implicit_stage(ALL, config, tmp_path / "data", tmp_path / "out")
    pack = ImplicitPack.load(tmp_path / "out" / "implicit-pack")
    assert set(pack.verify()) == {"generator", "transformer", "movements"}
    assert pack.generator.size == 64 and len(pack.generator.dec.to_flows) == 3  # 8, 16, 32 pixels


def test_sizes_double_from_one_to_the_next():
    for name in ("tiny", "bundled"):
        config = load_implicit_config(name)
        assert isinstance(config, ImplicitConfig)
        assert all(2 * int(a) == int(b) for a, b in pairwise(config.generator.sizes))
    with pytest.raises(InputError, match="bundled"):
        load_implicit_config("huge")
