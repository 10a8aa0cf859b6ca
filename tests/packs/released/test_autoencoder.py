"""Stable Diffusion 1.5's autoencoder: found in every place, read under all names of its tensors."""

import pytest
import torch
from support.released import (
    SMALL,
    save,
    vae_state,
    write_vae,
)

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.packs.released.autoencoder import find_vae, read_vae


def original(key: str, blocks: int = 4) -> str:
    """A key of diffusers' autoencoder in Stable Diffusion's original release."""
    half, _, rest = key.partition(".")
    if rest.startswith(("down_blocks.", "up_blocks.")):
        kind, number, what, index, *last = rest.split(".", 4)
        number = int(number) if kind == "down_blocks" else blocks - 1 - int(number)
        way = kind.removesuffix("_blocks")
        if what == "resnets":
            return f"{half}.{way}.{number}.block.{index}.{last[0].replace('conv_shortcut', 'nin_shortcut')}"
        return f"{half}.{way}.{number}.{way}sample.{last[0]}"
    if rest.startswith("mid_block.resnets."):
        _, _, index, last = rest.split(".", 3)
        return f"{half}.mid.block_{int(index) + 1}.{last}"
    if rest.startswith("mid_block.attentions.0."):
        names = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
        last = rest.removeprefix("mid_block.attentions.0.")
        name, _, kind = last.rpartition(".")
        return f"{half}.mid.attn_1.{names[name]}.{kind}"
    return key.replace("conv_norm_out", "norm_out")


def originally(state: dict) -> dict:
    """A whole autoencoder under the original names; the attention's matrices are kernels there."""
    convolved = {
        key: value[..., None, None] if ".attentions." in key and value.ndim == 2 else value
        for key, value in state.items()
    }
    return {original(key): value for key, value in convolved.items()}


@pytest.fixture(scope="module")
def autoencoder():
    return vae_state(SMALL.vae)


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_an_autoencoder_is_read_under_every_name(autoencoder, tmp_path):
    old = originally(autoencoder)
    assert len(old) == len(autoencoder) and "encoder.mid.attn_1.proj_out.weight" in old
    checkpoint = {f"first_stage_model.{key}": value for key, value in old.items()}
    checkpoint["model.diffusion_model.input_blocks.0.0.weight"] = torch.zeros(2)
    save(old, tmp_path / "alone.safetensors")
    save({"state_dict": {**old, "loss.logvar": torch.zeros(())}, "epoch": 1}, tmp_path / "alone.ckpt")
    save(checkpoint, tmp_path / "v1-5-pruned-emaonly.safetensors")
    save(autoencoder, tmp_path / "new.safetensors")
    write_vae(tmp_path / "folder", autoencoder)
    write_vae(tmp_path / "whole" / "vae", autoencoder, scaling_factor=0.18215)
    for place in ("alone.safetensors", "alone.ckpt", "v1-5-pruned-emaonly.safetensors", "new.safetensors"):
        assert same(read_vae(tmp_path / place), autoencoder), place
    assert same(read_vae(tmp_path / "folder"), autoencoder) and same(read_vae(tmp_path / "whole"), autoencoder)


def test_another_models_autoencoder_is_refused(autoencoder, tmp_path):
    old = {f"first_stage_model.{key}": value for key, value in originally(autoencoder).items()}
    save({**old, "conditioner.embedders.0.x": torch.zeros(1)}, tmp_path / "base.safetensors")
    save(old, tmp_path / "sdxl_vae.safetensors")
    for name in ("base", "sdxl_vae"):
        with pytest.raises(InputError, match="Stable Diffusion XL"):
            read_vae(tmp_path / f"{name}.safetensors")
    write_vae(tmp_path / "folder", autoencoder, scaling_factor=0.13025)
    with pytest.raises(InputError, match=r"0\.13025.*0\.18215"):
        read_vae(tmp_path / "folder")
    save({"model.weight": torch.zeros(1)}, tmp_path / "lora.safetensors")
    with pytest.raises(InputError, match="holds no autoencoder"):
        read_vae(tmp_path / "lora.safetensors")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no autoencoder in"):
        read_vae(tmp_path / "empty")


def test_the_autoencoder_is_found_in_every_place(autoencoder, tmp_path):
    folder, models = tmp_path / "released", tmp_path / "models"
    packs = [models / "mimaface"]
    assert find_vae(None, folder, packs) is None
    other, released = models / "vae" / "kl-f8.safetensors", models / "vae" / "vae-ft-mse-840000.safetensors"
    save(autoencoder, other)
    assert find_vae(None, folder, packs) is None
    save(autoencoder, released)
    save(autoencoder, models / "checkpoints" / "v1-5.safetensors")
    assert find_vae(None, folder, packs) == released
    assert find_vae("kl-f8.safetensors", folder, packs) == other
    assert find_vae("v1-5.safetensors", folder, packs).parent.name == "checkpoints"
    assert find_vae(str(other), folder, []) == other
    with pytest.raises(InputError, match="no autoencoder lost.*kl-f8.safetensors"):
        find_vae("lost", folder, packs)
    cached = folder / "hub" / "models--stabilityai--sd-vae-ft-mse" / "snapshots" / "31f26f"
    write_vae(cached, autoencoder)
    assert find_vae(None, folder, packs) == cached
