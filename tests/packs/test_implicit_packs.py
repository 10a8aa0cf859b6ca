"""Packs for implicit motion: manifests, loading on first use, and the two methods kept apart."""

import json

import pytest
import torch
from support.tiny_implicit import GROUPS, manifest, rewrite, write_tiny_hubert, write_tiny_implicit
from support.tiny_pack import write_tiny_pack

from mimaface.mimaface_core import host
from mimaface.mimaface_core.audio.speech import Speech
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media.audio import Audio
from mimaface.mimaface_core.packs.find import find_implicit_pack, find_pack, list_packs, open_pack
from mimaface.mimaface_core.packs.implicit_manifest import read_implicit_manifest
from mimaface.mimaface_core.packs.implicit_pack import ImplicitPack
from mimaface.mimaface_core.packs.pack import ModelPack
from mimaface.mimaface_core.training.implicit_config import load_implicit_config
from mimaface.mimaface_core.training.implicit_recipe import implicit_manifest


@pytest.fixture
def pack(tmp_path):
    return write_tiny_implicit(tmp_path / "tiny-implicit")


def test_networks_load_when_they_are_first_used(pack):
    assert "generator" not in vars(pack)
    assert pack.generator.size == 64 and not pack.generator.training and pack.image_size == 128
    assert pack.transformer.speech_width == 25 and list(pack.groups) == ["head", "mouth", "eyes", "brows"]
    report = pack.verify()
    assert list(report) == ["generator", "transformer"] and all(part["parameters"] > 1000 for part in report.values())


def test_packs_of_both_methods_are_listed_and_opened_by_their_own_type(tmp_path, pack):
    write_tiny_pack(tmp_path / "tiny")
    assert {"tiny", "tiny-implicit"} <= set(list_packs([tmp_path]))
    assert isinstance(open_pack("tiny", [tmp_path]), ModelPack)
    assert isinstance(open_pack("tiny-implicit", [tmp_path]), ImplicitPack)
    with pytest.raises(InputError, match="is for implicit motion, which Encode Implicit, .* such as bundled"):
        find_pack("tiny-implicit", [tmp_path])
    with pytest.raises(InputError, match="has a face model .* such as bundled-implicit"):
        find_implicit_pack("tiny", [tmp_path])
    with pytest.raises(InputError, match="no model pack 'gone'"):
        find_implicit_pack("gone", [tmp_path])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"groups": {"hair": [0]}}, "groups.hair is not one of head, mouth, eyes, brows"),
        ({"groups": {"head": [0, 1], "mouth": [1]}}, "a dimension twice"),
        ({"groups": {"head": [20]}}, "beyond the 20"),
        ({"speech": "../hubert"}, "not the name of a folder"),
        ({"picture_size": 4}, "picture_size 4"),
        ({"generator": {"file": "../g.safetensors", "config": {}}}, "'generator.file' is not a file name"),
        ({"generator": {"file": "generator.safetensors", "config": {"dimensions": 7}}}, "differs from transformer"),
        ({"unet": {}}, "'unet' is unknown"),
        ({"format": 2}, "a newer version of this project reads"),
    ],
)
def test_manifests_that_cannot_work_are_refused(pack, changes, words):
    rewrite(pack, **changes)
    with pytest.raises(InputError, match=words):
        ImplicitPack.load(pack.folder)


def test_networks_that_do_not_fit_their_files_are_refused(pack):
    rewrite(pack, generator={**manifest()["generator"], "config": {**manifest()["generator"]["config"], "width": 32}})
    with pytest.raises(InputError, match="generator.safetensors"):
        _ = ImplicitPack.load(pack.folder).generator
    for config in ({"dimensions": 20, "colour": 1}, {"dimensions": 20, "width": -5}):
        rewrite(pack, generator={**manifest()["generator"], "config": config})
        with pytest.raises(InputError, match="generator.config cannot be built"):
            _ = ImplicitPack.load(pack.folder).generator
    whole = (pack.folder / "transformer.safetensors").read_bytes()
    (pack.folder / "transformer.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut short"):
        _ = ImplicitPack.load(pack.folder).transformer
    (pack.folder / "transformer.safetensors").unlink()
    with pytest.raises(InputError, match="transformer.safetensors is not there"):
        ImplicitPack.load(pack.folder)


def test_a_pack_without_transformer_says_so(tmp_path):
    pack = write_tiny_implicit(tmp_path / "tiny", transformer=None, groups=None)
    assert pack.groups == {} and list(pack.verify()) == ["generator"]
    with pytest.raises(InputError, match="no transformer, which makes motion of speech"):
        _ = pack.transformer


@pytest.mark.parametrize("name", ["tiny", "bundled"])
def test_packs_of_the_recipes_are_such_packs(tmp_path, name):
    (tmp_path / "manifest.json").write_text(json.dumps(implicit_manifest(load_implicit_config(name))))
    manifest = read_implicit_manifest(tmp_path)
    assert manifest.speech == "bundled" and set(manifest.groups) == set(GROUPS)


@pytest.fixture
def hubert_pack(tmp_path):
    write_tiny_hubert(tmp_path / "tiny" / "hubert")
    config = {"variant": "DiT-tiny", "dimensions": 20, "speech_width": 32}
    return write_tiny_implicit(
        tmp_path / "tiny", speech="hubert", transformer={"file": "transformer.safetensors", "config": config}
    )


@pytest.mark.parametrize("seconds", [0.01, 0.2, 1.0, 25.02])
def test_a_speech_encoder_gives_two_tokens_for_every_frame(hubert_pack, seconds):
    audio = Audio(torch.randn(1, round(16000 * seconds), generator=torch.Generator().manual_seed(0)) * 0.1, 16000)
    speech = Speech.of(audio)
    tokens = torch.cat(list(hubert_pack.speech_features(speech)))
    assert tokens.shape == (2 * speech.frames(25), 32) and tokens.isfinite().all()


def test_a_speech_encoder_that_is_not_there_is_named(hubert_pack, tmp_path):
    speech = Speech.of(Audio(torch.zeros(1, 16000), 16000))
    (hubert_pack.folder / "hubert" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="holds no speech encoder that can be loaded"):
        list(hubert_pack.speech_features(speech))
    (hubert_pack.folder / "hubert" / "config.json").unlink()
    with (
        host.use(host.Host(models=[tmp_path])),
        pytest.raises(InputError, match="hears speech by hubert, which is not"),
    ):
        list(hubert_pack.speech_features(speech))
