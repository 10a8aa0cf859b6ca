"""The released folder converted to a pack: its weights, its manifest, resumed and refused runs."""

import hashlib
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from support.released import (
    FUSE,
    IMAGE,
    IMAGE_FUSE,
    MOTION,
    SMALL,
    UNET_2D,
    save,
    vae_state,
    write_vae,
)

from mimaface.cli import main as cli
from mimaface.mimaface_core import host
from mimaface.mimaface_core.diffusion.unet_released import combine, to_diffusers
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.packs.files import verify_files
from mimaface.mimaface_core.packs.manifest import Manifest, read_manifest
from mimaface.mimaface_core.packs.pack import ModelPack
from mimaface.mimaface_core.packs.released.convert import STAGING, convert_released


@pytest.fixture(scope="module")
def converted(whole, tmp_path_factory):
    """The whole folder as a pack in half precision (the two regressors have no small size)."""
    out = tmp_path_factory.mktemp("packs") / "released"
    convert_released(whole, out, half=True, sizes=SMALL)
    yield out
    shutil.rmtree(out)


def written(out):
    return {path.name: path.stat().st_mtime_ns for path in out.glob("*.safetensors")}


def test_the_pack_holds_the_released_weights(whole, converted):
    pack = ModelPack.load(converted)
    unet = combine(load_file(whole / UNET_2D), torch.load(whole / MOTION))
    expected = to_diffusers(unet)
    ours = pack.unet.state_dict()
    assert ours.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(ours[key], value.half().float() if value.ndim > 1 else value), key
    for name, place in {"fuse": FUSE, "image_fuse": IMAGE_FUSE}.items():
        fuse = (pack.image_appearance if "image" in name else pack.appearance).fuse
        weight = torch.load(whole / place)["transform_dim_clip.weight"]
        assert torch.equal(fuse.transform_dim_clip.weight, weight.half().float())
    assert pack.appearance.vision.config.hidden_act == "gelu"  # as in the folder's config.json
    assert torch.equal(pack.image_unet.conv_out.bias, load_file(whole / UNET_2D)["conv_out.bias"])
    assert len(pack.morphable.mean_shape) == 50 and pack.morphable.mean_shape.dtype == torch.float32
    assert torch.equal(pack.vae.quant_conv.bias, vae_state(SMALL.vae)["quant_conv.bias"])
    assert len(pack.verify()) >= 6


def test_the_manifest_states_sources_and_files(whole, converted):
    manifest = json.loads((converted / "manifest.json").read_text())
    assert manifest["unet"]["config"]["motion_max_seq_length"] == 32
    assert manifest["sources"][MOTION] == {
        "sha256": hashlib.sha256((whole / MOTION).read_bytes()).hexdigest(),
        "bytes": (whole / MOTION).stat().st_size,
    }
    assert set(manifest["files"]) == {path.name for path in converted.glob("*.safetensors")}
    assert sorted(path.suffix for path in converted.iterdir()) == [".json"] + [".safetensors"] * 7
    verify_files(converted, read_manifest(converted))
    manifest["files"]["vae.safetensors"]["sha256"] = "0" * 64
    with pytest.raises(InputError, match="vae.safetensors is missing, cut short or damaged"):
        verify_files(converted, Manifest.from_json(manifest, "manifest.json"))


def test_converting_again_writes_only_files_with_changed_sources(released, converted):
    before, manifest = written(converted), (converted / "manifest.json").read_bytes()
    convert_released(released, converted, half=True, sizes=SMALL)
    assert written(converted) == before and (converted / "manifest.json").read_bytes() == manifest

    # The disk fills up (files may grow to a megabyte); the user cancels; the third run ends.
    resource = pytest.importorskip("resource")
    state = torch.load(released / FUSE)
    state["layer_norm.bias"] += 1
    save(state, released / FUSE)
    write_vae(released / "sd-vae-ft-mse", vae_state(SMALL.vae, 6))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(InputError, match="cannot be written.*what is finished is kept"):
            convert_released(released, converted, half=True, sizes=SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert written(converted) == before and (converted / "manifest.json").read_bytes() == manifest
    assert [path.name for path in (converted / STAGING).iterdir()] == ["vae.safetensors"]
    staged = (converted / STAGING / "vae.safetensors").stat().st_mtime_ns

    class Stopping(host.Host):
        def show(self, progress, preview=None):
            if progress.label.startswith("appearance") and progress.done:
                self.cancel()

    with host.use(Stopping()), pytest.raises(Cancelled):
        convert_released(released, converted, half=True, sizes=SMALL)
    assert written(converted) == before

    convert_released(released, converted, half=True, sizes=SMALL)
    after = written(converted)
    assert after["vae.safetensors"] == staged
    assert {name for name in after if after[name] != before[name]} == {
        "vae.safetensors",
        "appearance.safetensors",
    }
    assert not (converted / STAGING).exists()

    # Without the image model its files are removed.
    for place in (IMAGE_FUSE, f"{IMAGE}/vision_encoder/model.safetensors"):
        (released / place).unlink()
    convert_released(released, converted, half=True, sizes=SMALL)
    assert len(written(converted)) == 5 and ModelPack.load(converted).manifest.image_unet is None


def test_folders_that_hold_something_else_are_refused(whole, released, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    (tmp_path / "file").touch()
    for out, cause in {"other": "holds something else", "file": "is a file", "released": "itself"}.items():
        with pytest.raises(InputError, match=cause):
            convert_released(released, tmp_path / out, sizes=SMALL)
    (released / MOTION).unlink()
    with pytest.raises(InputError, match="3dunet.pth is missing"):
        convert_released(released, tmp_path / "new", sizes=SMALL)
    assert not (tmp_path / "new").exists()


def test_the_commands_refuse_with_every_problem(released, tmp_path, capsys):
    assert cli.main(["pack", "verify", str(released)]) == 2
    captured = capsys.readouterr()
    assert "instead of [320, 13, 3, 3]" in captured.out and "is not the released file" in captured.err
    assert cli.main(["pack", "convert", str(tmp_path / "absent"), str(tmp_path / "out")]) == 2
    assert "There is no folder" in capsys.readouterr().err
