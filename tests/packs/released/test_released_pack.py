"""The published weights: their folder checked, their conversion, the autoencoder's many forms, and the download."""

import hashlib
import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file
from support.published import (
    BFM,
    FUSE,
    IDENTITY,
    IMAGE,
    MOTION,
    PICTURE_FUSE,
    REGRESSOR,
    SMALL,
    UNET_2D,
    VIDEO,
    Trap,
    save,
    save_json,
    vae_state,
    write_bfm,
    write_published,
    write_vae,
    zeros,
)

from mimaface.cli import main as cli
from mimaface.mimaface_core import host
from mimaface.mimaface_core.diffusion.unet_released import combine, to_diffusers
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.packs.files import verify_files
from mimaface.mimaface_core.packs.pack import ModelPack
from mimaface.mimaface_core.packs.released.check import check_released
from mimaface.mimaface_core.packs.released.convert import STAGING, convert_released
from mimaface.mimaface_core.packs.released.layout import SOURCES, Sizes

# -- checking


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A published folder, small; not to be changed."""
    folder = tmp_path_factory.mktemp("published")
    write_published(folder)
    return folder


@pytest.fixture
def published(whole, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(whole, tmp_path / "published")


def problems(folder, **options):
    return check_released(folder, sizes=SMALL, **options).problems()


def test_the_keys_and_shapes_of_the_published_folder(tmp_path):
    """At full size: pickles of zeros that take no room, under every published key."""
    for name, source in SOURCES.items():
        place = next(place for place in source.places if not place.endswith(("safetensors", "/unet.pth")))
        values = zeros(source.wanted(Sizes()))
        if name.endswith("fuse"):
            values["layer_norm.bias"] = torch.full((768,), float(source.image))  # the two stages differ
        if name.endswith("vision"):
            values = {f"vision_model.{key}": value for key, value in values.items()}
            save_json({"hidden_act": "quick_gelu"}, (tmp_path / place).with_name("config.json"))
        save(values, tmp_path / place)
    write_bfm(tmp_path / BFM, 35709)
    report = check_released(tmp_path)
    assert report.problems(with_vae=False) == [] and report.images
    assert report.files["motion"].config == {"motion_max_seq_length": 32}
    assert report.files["vision"].config["hidden_size"] == 1024
    assert len(report.problems()) == 1 and "sd-vae-ft-mse" in report.problems()[0]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 20e6


def test_a_whole_folder_is_good(whole):
    report = check_released(whole, sizes=SMALL)
    assert report.problems() == [] and report.notes == []
    assert all(line.startswith("good\t") for line in report.lines())


def test_the_image_stage_may_be_missing_but_not_half_of_it(published):
    shutil.rmtree(published / IMAGE / "vision_encoder")
    assert len(problems(published)) == 1 and "vision_encoder" in problems(published)[0]
    (published / PICTURE_FUSE).unlink()
    report = check_released(published, sizes=SMALL)
    assert report.problems() == [] and not report.images and "no image stage" in report.notes[0]


def test_missing_files_are_named_with_their_source_and_place(published):
    (published / MOTION).unlink()
    (published / BFM).unlink()
    shutil.rmtree(published / "sd-vae-ft-mse")
    motion, bfm, vae = problems(published)
    assert str(published / MOTION) in motion and "huggingface.co/MIMAFace/MIMAFace" in motion
    assert str(published / BFM) in bfm and "--vae" in vae and "stabilityai" in vae
    with pytest.raises(InputError, match="holds nothing"):
        check_released(published / "models" / "ArcFace")
    with pytest.raises(InputError, match="no folder"):
        check_released(published / "absent")


def test_every_wrong_key_is_listed(published):
    state = torch.load(published / MOTION)
    state["down_blocks.0.motion_modules.9.new"] = torch.zeros(2)
    state["conv_in.bias"] = torch.zeros(7)
    key = next(key for key in state if key.endswith("attention_blocks.0.to_q.weight"))
    del state[key], state["conv_out.bias"]  # the latter is not taken from this file
    save(state, published / MOTION)
    report = check_released(published, sizes=SMALL)
    misfit = report.files["motion"].misfit
    assert misfit.missing == (key,) and misfit.unexpected == ("down_blocks.0.motion_modules.9.new",)
    assert misfit.misshaped == (("conv_in.bias", (7,), (32,)),)
    lines = "\n".join(report.lines())
    assert f"'{key}' is missing" in lines and "'conv_in.bias' has shape [7] instead of [32]" in lines
    (sentence,) = report.problems()
    assert MOTION in sentence and sentence.endswith(".") and "and 2 more" in sentence


def test_counts_of_batches_may_be_missing(published):
    state = torch.load(published / REGRESSOR)
    save({key: value for key, value in state.items() if not key.endswith("tracked")}, published / REGRESSOR)
    assert problems(published) == []


def test_files_in_each_others_places(published):
    shutil.copy(published / PICTURE_FUSE, published / FUSE)
    (swapped,) = problems(published)
    assert f"{VIDEO}/mim.pth" in swapped and "same file as checkpoints/image/mim.pth" in swapped
    shutil.copy(published / IDENTITY, published / REGRESSOR)
    assert f"it is what belongs at {IDENTITY}" in problems(published)[1]


def test_another_models_unet(published):
    state = load_file(published / UNET_2D)
    save({**state, "add_embedding.linear_1.weight": torch.zeros(2)}, published / UNET_2D)
    assert all("Stable Diffusion XL" in sentence for sentence in problems(published))
    save({**state, "conv_in.weight": torch.zeros(32, 4, 3, 3)}, published / UNET_2D)
    assert "[32, 4, 3, 3] instead of [32, 13, 3, 3]" in problems(published)[0]


def test_the_flat_file_of_the_base_counts_first(published):
    state = {key: value + 1 for key, value in load_file(published / UNET_2D).items()}
    save(state, published / IMAGE / "pretrained_unet" / "unet.pth")
    report = check_released(published, sizes=SMALL)
    assert report.files["base"].path.name == "unet.pth" and report.files["picture"].path.suffix == ".safetensors"


def test_a_face_model_with_other_vertices(published):
    write_bfm(published / BFM, 53)
    assert "53 vertices; D3DFR's face model has 50" in problems(published)[0]
    content = (published / BFM).read_bytes()
    (published / BFM).write_bytes(content[: len(content) // 2])
    assert "BFM09_model_info.mat cannot be read" in problems(published)[0]


def test_damaged_files_and_code(published, tmp_path):
    content = (published / MOTION).read_bytes()
    (published / MOTION).write_bytes(content[: len(content) // 2])
    unet = (published / UNET_2D).read_bytes()
    (published / UNET_2D).write_bytes(unet[: len(unet) // 2])
    (published / FUSE).write_bytes(pickle.dumps({"a": Trap(tmp_path / "mark")}))
    (published / REGRESSOR).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    torch.save({"a": Trap(tmp_path / "mark")}, published / IDENTITY)
    (published / VIDEO / "vision_encoder" / "config.json").write_text("{")
    said = "\n".join(problems(published))
    for place, words in {
        MOTION: "cut short",
        UNET_2D: "cut short",
        FUSE: "weights alone",
        REGRESSOR: "git lfs pull",
        IDENTITY: "code to be run",
        "config.json": "cannot be read",
    }.items():
        assert any(place in line and words in line for line in said.splitlines()), place
    assert not (tmp_path / "mark").exists()


# -- converting


@pytest.fixture(scope="module")
def converted(whole, tmp_path_factory):
    """The whole folder as a pack in half precision (the two regressors have no small size)."""
    out = tmp_path_factory.mktemp("packs") / "released"
    convert_released(whole, out, half=True, sizes=SMALL)
    yield out
    shutil.rmtree(out)


def written(out):
    return {path.name: path.stat().st_mtime_ns for path in out.glob("*.safetensors")}


def test_the_pack_holds_the_published_weights(whole, converted):
    pack = ModelPack.load(converted)
    unet = combine(load_file(whole / UNET_2D), torch.load(whole / MOTION))
    expected = to_diffusers(unet)
    ours = pack.unet.state_dict()
    assert ours.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(ours[key], value.half().float() if value.ndim > 1 else value), key
    for name, place in {"fuse": FUSE, "picture_fuse": PICTURE_FUSE}.items():
        fuse = (pack.picture_appearance if "picture" in name else pack.appearance).fuse
        weight = torch.load(whole / place)["transform_dim_clip.weight"]
        assert torch.equal(fuse.transform_dim_clip.weight, weight.half().float())
    assert pack.appearance.vision.config.hidden_act == "gelu"  # as in the folder's config.json
    assert torch.equal(pack.picture_unet.conv_out.bias, load_file(whole / UNET_2D)["conv_out.bias"])
    assert len(pack.morphable.mean_shape) == 50 and pack.morphable.mean_shape.dtype == torch.float32
    assert torch.equal(pack.vae.quant_conv.bias, vae_state(SMALL.vae)["quant_conv.bias"])
    assert len(pack.verify()) >= 6


def test_the_manifest_says_what_it_was_made_from(whole, converted):
    manifest = json.loads((converted / "manifest.json").read_text())
    assert manifest["unet"]["config"]["motion_max_seq_length"] == 32
    assert manifest["sources"][MOTION] == {
        "sha256": hashlib.sha256((whole / MOTION).read_bytes()).hexdigest(),
        "bytes": (whole / MOTION).stat().st_size,
    }
    assert set(manifest["files"]) == {path.name for path in converted.glob("*.safetensors")}
    assert sorted(path.suffix for path in converted.iterdir()) == [".json"] + [".safetensors"] * 7
    verify_files(converted, manifest)
    manifest["files"]["vae.safetensors"]["sha256"] = "0" * 64
    with pytest.raises(InputError, match="vae.safetensors is missing, cut short or damaged"):
        verify_files(converted, manifest)


def test_converting_again_makes_only_what_has_changed(published, converted):
    before, manifest = written(converted), (converted / "manifest.json").read_bytes()
    convert_released(published, converted, half=True, sizes=SMALL)
    assert written(converted) == before and (converted / "manifest.json").read_bytes() == manifest

    # The disk fills up (files may grow to a megabyte), then the user stops it, then it goes through.
    resource = pytest.importorskip("resource")
    state = torch.load(published / FUSE)
    state["layer_norm.bias"] += 1
    save(state, published / FUSE)
    write_vae(published / "sd-vae-ft-mse", vae_state(SMALL.vae, 6))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(InputError, match="cannot be written.*what is finished is kept"):
            convert_released(published, converted, half=True, sizes=SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert written(converted) == before and (converted / "manifest.json").read_bytes() == manifest
    assert [path.name for path in (converted / STAGING).iterdir()] == ["vae.safetensors"]
    waiting = (converted / STAGING / "vae.safetensors").stat().st_mtime_ns

    class Stopping(host.Host):
        def show(self, progress, preview=None):
            if progress.label.startswith("appearance") and progress.done:
                self.cancel()

    with host.use(Stopping()), pytest.raises(Cancelled):
        convert_released(published, converted, half=True, sizes=SMALL)
    assert written(converted) == before

    convert_released(published, converted, half=True, sizes=SMALL)
    after = written(converted)
    assert after["vae.safetensors"] == waiting
    assert {name for name in after if after[name] != before[name]} == {
        "vae.safetensors",
        "appearance.safetensors",
    }
    assert not (converted / STAGING).exists()

    # Without the image stage its files go.
    for place in (PICTURE_FUSE, f"{IMAGE}/vision_encoder/model.safetensors"):
        (published / place).unlink()
    convert_released(published, converted, half=True, sizes=SMALL)
    assert len(written(converted)) == 5 and "picture_unet" not in ModelPack.load(converted).manifest


def test_nothing_is_written_where_something_else_is(whole, published, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    (tmp_path / "file").touch()
    for out, words in {"other": "holds something else", "file": "is a file", "published": "itself"}.items():
        with pytest.raises(InputError, match=words):
            convert_released(published, tmp_path / out, sizes=SMALL)
    (published / MOTION).unlink()
    with pytest.raises(InputError, match="3dunet.pth is missing"):
        convert_released(published, tmp_path / "new", sizes=SMALL)
    assert not (tmp_path / "new").exists()


def test_the_commands(published, tmp_path, capsys):
    assert cli.main(["pack", "verify", str(published)]) == 2
    captured = capsys.readouterr()
    assert "instead of [320, 13, 3, 3]" in captured.out and "is not the published file" in captured.err
    assert cli.main(["pack", "convert", str(tmp_path / "absent"), str(tmp_path / "out")]) == 2
    assert "There is no folder" in capsys.readouterr().err
