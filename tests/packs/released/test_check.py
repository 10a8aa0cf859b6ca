"""The released folder checked file by file: what is missing, wrong, damaged or misplaced."""

import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file
from support.released import (
    BFM,
    FUSE,
    IDENTITY,
    IMAGE,
    IMAGE_FUSE,
    MOTION,
    REGRESSOR,
    SMALL,
    UNET_2D,
    VIDEO,
    Trap,
    save,
    save_json,
    write_bfm,
    zeros,
)

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.packs.released.check import check_released
from mimaface.mimaface_core.packs.released.layout import RELEASED_FILES, Sizes


def problems(folder, **options):
    return check_released(folder, sizes=SMALL, **options).problems()


def test_the_keys_and_shapes_of_the_released_folder(tmp_path):
    """At full size: small pickles of zeros under every released key."""
    for name, file in RELEASED_FILES.items():
        place = next(place for place in file.places if not place.endswith(("safetensors", "/unet.pth")))
        values = zeros(file.expected(Sizes()))
        if name.endswith("fuse"):
            values["layer_norm.bias"] = torch.full((768,), float(file.image))  # the two models differ
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


def test_a_complete_folder_has_no_problems(whole):
    report = check_released(whole, sizes=SMALL)
    assert report.problems() == [] and report.notes == []
    assert all(line.startswith("good\t") for line in report.lines())


def test_the_image_model_may_be_missing_but_not_half_of_it(released):
    shutil.rmtree(released / IMAGE / "vision_encoder")
    assert len(problems(released)) == 1 and "vision_encoder" in problems(released)[0]
    (released / IMAGE_FUSE).unlink()
    report = check_released(released, sizes=SMALL)
    assert report.problems() == [] and not report.images and "no image model" in report.notes[0]


def test_missing_files_are_named_with_their_source_and_place(released):
    (released / MOTION).unlink()
    (released / BFM).unlink()
    shutil.rmtree(released / "sd-vae-ft-mse")
    motion, bfm, vae = problems(released)
    assert str(released / MOTION) in motion and "huggingface.co/MIMAFace/MIMAFace" in motion
    assert str(released / BFM) in bfm and "--vae" in vae and "stabilityai" in vae
    with pytest.raises(InputError, match="holds nothing"):
        check_released(released / "models" / "ArcFace")
    with pytest.raises(InputError, match="no folder"):
        check_released(released / "absent")


def test_every_wrong_key_is_listed(released):
    state = torch.load(released / MOTION)
    state["down_blocks.0.motion_modules.9.new"] = torch.zeros(2)
    state["conv_in.bias"] = torch.zeros(7)
    key = next(key for key in state if key.endswith("attention_blocks.0.to_q.weight"))
    del state[key], state["conv_out.bias"]  # the latter is not taken from this file
    save(state, released / MOTION)
    report = check_released(released, sizes=SMALL)
    misfit = report.files["motion"].misfit
    assert misfit.missing == (key,) and misfit.unexpected == ("down_blocks.0.motion_modules.9.new",)
    assert misfit.misshaped == (("conv_in.bias", (7,), (32,)),)
    lines = "\n".join(report.lines())
    assert f"'{key}' is missing" in lines and "'conv_in.bias' has shape [7] instead of [32]" in lines
    (sentence,) = report.problems()
    assert MOTION in sentence and sentence.endswith(".") and "and 2 more" in sentence


def test_counts_of_batches_may_be_missing(released):
    state = torch.load(released / REGRESSOR)
    save({key: value for key, value in state.items() if not key.endswith("tracked")}, released / REGRESSOR)
    assert problems(released) == []


def test_files_in_one_anothers_places_are_named(released):
    shutil.copy(released / IMAGE_FUSE, released / FUSE)
    (swapped,) = problems(released)
    assert f"{VIDEO}/mim.pth" in swapped and "same file as checkpoints/image/mim.pth" in swapped
    shutil.copy(released / IDENTITY, released / REGRESSOR)
    assert f"it is what belongs at {IDENTITY}" in problems(released)[1]


def test_the_unet_of_another_model_is_refused(released):
    state = load_file(released / UNET_2D)
    save({**state, "add_embedding.linear_1.weight": torch.zeros(2)}, released / UNET_2D)
    assert all("Stable Diffusion XL" in sentence for sentence in problems(released))
    save({**state, "conv_in.weight": torch.zeros(32, 4, 3, 3)}, released / UNET_2D)
    assert "[32, 4, 3, 3] instead of [32, 13, 3, 3]" in problems(released)[0]


def test_the_flat_file_of_the_base_takes_precedence(released):
    state = {key: value + 1 for key, value in load_file(released / UNET_2D).items()}
    save(state, released / IMAGE / "pretrained_unet" / "unet.pth")
    report = check_released(released, sizes=SMALL)
    assert report.files["base"].path.name == "unet.pth" and report.files["image"].path.suffix == ".safetensors"


def test_a_face_model_with_other_vertices_is_refused(released):
    write_bfm(released / BFM, 53)
    assert "53 vertices; D3DFR's face model has 50" in problems(released)[0]
    content = (released / BFM).read_bytes()
    (released / BFM).write_bytes(content[: len(content) // 2])
    assert "BFM09_model_info.mat cannot be read" in problems(released)[0]


def test_damaged_files_and_code_are_refused(released, tmp_path):
    content = (released / MOTION).read_bytes()
    (released / MOTION).write_bytes(content[: len(content) // 2])
    unet = (released / UNET_2D).read_bytes()
    (released / UNET_2D).write_bytes(unet[: len(unet) // 2])
    (released / FUSE).write_bytes(pickle.dumps({"a": Trap(tmp_path / "mark")}))
    (released / REGRESSOR).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    torch.save({"a": Trap(tmp_path / "mark")}, released / IDENTITY)
    (released / VIDEO / "vision_encoder" / "config.json").write_text("{")
    sentences = problems(released)
    for place, cause in {
        MOTION: "cut short",
        UNET_2D: "cut short",
        FUSE: "weights alone",
        REGRESSOR: "git lfs pull",
        IDENTITY: "code to be run",
        "config.json": "cannot be read",
    }.items():
        assert any(place in sentence and cause in sentence for sentence in sentences), place
    assert not (tmp_path / "mark").exists()
