"""Few steps for the released pack: LoRA of the published layout, merged, and TAESD in both of its layouts."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.tiny_pack import write_tiny_pack
from support.tiny_released import random_part, write_tiny_released
from torch import nn
from torch.nn import functional as F

from mimaface.mimaface_core import host
from mimaface.mimaface_core.diffusion.clips import sample_clips
from mimaface.mimaface_core.diffusion.latents import LatentSpace, build_vae
from mimaface.mimaface_core.diffusion.lora import DOWN, UP, Lora
from mimaface.mimaface_core.diffusion.settings import SamplerSettings
from mimaface.mimaface_core.diffusion.taesd import find_taesd, load_taesd
from mimaface.mimaface_core.diffusion.unet_released import build_image_unet
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.pipeline import load_pack
from mimaface.nodes.load_pack import LoadPack

# The layers that LCM-LoRA is trained on.
TRAINED = re.compile(
    r".*\.(to_[qkv]|to_out\.0|proj_in|proj_out|ff\.net\.0\.proj|ff\.net\.2|conv1|conv2|conv_shortcut|time_emb_proj"
    r"|(?:down|up)samplers\.0\.conv)"
)
RANK, ALPHA = 2, 3.0


def trained_layers(unet):
    """Name in the U-Net → layer."""
    modules = unet.named_modules()
    return {name: part for name, part in modules if TRAINED.fullmatch(name) and "motion_modules" not in name}


def kohya(name):
    return "lora_unet_" + name.replace(".", "_")


def lora_state(unet, seed=0, scale=0.1):
    """A LoRA of the published layout for a U-Net, with the text encoder's part that others have."""
    generator = torch.Generator().manual_seed(seed)
    state = {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.ones(1, 1)}
    for name, layer in trained_layers(unet).items():
        out, *rest = layer.weight.shape
        ones = (1, 1) if len(rest) == 3 else ()
        state[f"{kohya(name)}.lora_down.weight"] = torch.randn((RANK, *rest), generator=generator) * scale
        state[f"{kohya(name)}.lora_up.weight"] = torch.randn((out, RANK, *ones), generator=generator) * scale
        state[f"{kohya(name)}.alpha"] = torch.tensor(ALPHA)
    return state


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """ComfyUI's models folder: the tiny pack in mimaface/, a LoRA in loras/, TAESD in vae_approx/."""
    folder = tmp_path_factory.mktemp("models")
    write_tiny_released(folder / "mimaface" / "released")
    write_tiny_pack(folder / "mimaface" / "other")
    (folder / "loras" / "sd15").mkdir(parents=True)
    save_file(lora_state(random_part("unet", 0)), folder / "loras" / "sd15" / "lcm.safetensors")
    tiny = random_taesd().state_dict()
    (folder / "vae_approx" / "taesd").mkdir(parents=True)
    save_file(tiny, folder / "vae_approx" / "taesd" / "diffusion_pytorch_model.safetensors")
    return folder


@pytest.fixture
def in_models(models):
    with host.use(host.Host(device="cpu", models=[models / "mimaface"])):
        yield models


# -- LoRA


def test_the_published_layers_are_in_both_released_unets():
    with torch.device("meta"):
        unet = build_image_unet({})
    names = trained_layers(unet)
    assert len(names) == 278
    layers = {
        kohya(name): {
            DOWN: layer.weight.new_zeros(64, *layer.weight.shape[1:]),
            UP: layer.weight.new_zeros(len(layer.weight), 64, *[1] * (layer.weight.ndim - 2)),
        }
        for name, layer in names.items()
    }
    Lora(Path("published"), 1.0, layers).merge_into(unet)
    image, video = random_part("picture_unet", 1), random_part("unet", 1)
    assert trained_layers(image).keys() == trained_layers(video).keys()


def test_a_merged_layer_adds_what_the_two_small_ones_give(tmp_path):
    before, merged = random_part("unet", 1), random_part("unet", 1)
    state = lora_state(before)
    save_file(state, tmp_path / "lora.safetensors")
    Lora.load(tmp_path / "lora.safetensors", 0.5).merge_into(merged)
    changed, factor = trained_layers(before), 0.5 * ALPHA / RANK
    kinds = {name.rpartition(".")[2] for name in changed}
    assert {"conv_shortcut", "time_emb_proj", "proj_in", "to_q"} <= kinds
    for name, layer in changed.items():
        other = merged.get_submodule(name)
        down, up = (state[f"{kohya(name)}.{kind}.weight"] for kind in ("lora_down", "lora_up"))
        if isinstance(layer, nn.Linear):
            x = torch.randn(3, layer.in_features)
            added = F.linear(F.linear(x, down), up)
        else:
            x = torch.randn(1, layer.in_channels, 6, 6)
            added = F.conv2d(F.conv2d(x, down, stride=layer.stride, padding=layer.padding), up)
        assert torch.allclose(other(x), layer(x) + factor * added, atol=1e-4), name
    unchanged = {name for name in merged.state_dict() if name.removesuffix(".weight") not in changed}
    assert any("motion_modules" in name for name in unchanged) and "conv_in.weight" in unchanged
    assert all(torch.equal(merged.state_dict()[name], before.state_dict()[name]) for name in unchanged)


def without(state, end):
    return {key: value for key, value in state.items() if not key.endswith(end)}


def with_layer(state, name, down, up):
    return state | {f"lora_unet_{name}.{DOWN}": torch.zeros(down), f"lora_unet_{name}.{UP}": torch.zeros(up)}


def of_another_rank(state, end):
    return state | {key: torch.zeros(5, *value.shape[1:]) for key, value in state.items() if key.endswith(end)}


WRONG = {
    "a layer that the U-Net lacks": (
        lambda state: with_layer(state, "mid_block_x", (1, 1), (1, 1)),
        "no layer for 'lora_unet_mid_block_x'; use a LoRA for Stable Diffusion 1.5",
    ),
    "an input layer of other width": (
        lambda state: with_layer(state, "conv_in", (1, 4, 3, 3), (8, 1, 1, 1)),
        r"'lora_unet_conv_in' changes weights of shape \[8, 4, 3, 3\], the U-Net's are \[8, 13, 3, 3\]",
    ),
    "half a layer": (
        lambda state: without(state, "proj_in.lora_up.weight"),
        "is not whole: '.*proj_in.lora_up.weight' is missing",
    ),
    "a motion module": (
        lambda state: {"down_blocks.0.motion_modules.0.temporal_transformer.norm.weight": torch.zeros(1)},
        "is no LoRA that is read here: 'down_blocks.0.motion_modules",
    ),
    "LoHa": (
        lambda state: state | {"lora_unet_conv_in.hada_w1_a": torch.zeros(1)},
        "'lora_unet_conv_in.hada_w1_a' is unknown",
    ),
    "the text encoder alone": (
        lambda state: {key: value for key, value in state.items() if "lora_te" in key},
        "does not change the U-Net",
    ),
    "parts that do not fit": (
        lambda state: of_another_rank(state, "0_conv1.lora_down.weight"),
        "the parts of '.*conv1' do not fit each other",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_is_refused_in_a_sentence(what, tmp_path):
    unet, (change, words) = random_part("unet", 1), WRONG[what]
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    save_file(change(lora_state(unet)), tmp_path / "lora.safetensors")
    with pytest.raises(InputError, match=words) as refused:
        Lora.load(tmp_path / "lora.safetensors").merge_into(unet)
    assert str(refused.value).count("\n") == 0
    assert all(torch.equal(value, before[key]) for key, value in unet.state_dict().items())


# -- the pack


def draw(pack, count=4, **settings):
    """Frames [count, 3, 64, 64] of random renders."""
    generator = torch.Generator().manual_seed(0)
    context = torch.randn(1, 12, 16, generator=generator)
    pictures = (torch.randn(count, 3, 64, 64, generator=generator) / 2).clamp(-1, 1)
    chosen = SamplerSettings.of(pack, frames=count, overlap=0, **settings)
    return torch.cat(list(sample_clips(pack.stage(count), iter(pictures), lambda _: context, count, chosen)))


def test_a_pack_with_a_lora_draws_in_few_steps_and_the_pack_without_stays(in_models):
    plain = load_pack("released")
    lcm = {"scheduler": "lcm", "steps": 2, "guidance": 1.0}
    before = draw(plain, **lcm)
    few = load_pack("released", lora="sd15/lcm.safetensors")
    assert few.sampling == {**lcm, "steps": 4} and plain.sampling["scheduler"] == "euler"
    frames = draw(few, steps=2)
    assert frames.shape == (4, 3, 64, 64) and torch.isfinite(frames).all()
    assert (frames - before).abs().mean() > 1e-3 and torch.equal(draw(plain, **lcm), before)
    none = load_pack("released", lora=in_models / "loras" / "sd15" / "lcm.safetensors", lora_strength=0.0)
    assert torch.allclose(draw(none, steps=2), before, atol=1e-5)
    assert torch.isfinite(draw(few, 1, steps=1)).all()  # the image model
    assert len({tuple(pack.stamps) for pack in (plain, few, none)}) == 3


def test_taesd_takes_the_autoencoders_place(in_models):
    pack = load_pack("released", vae="taesd")
    assert pack.sampling["scheduler"] == "euler" and type(pack.vae).__name__ == "AutoencoderTiny"
    frames = draw(pack, 2, steps=1, guidance=1.0)
    assert frames.shape == (2, 3, 64, 64) and torch.isfinite(frames).all()


def test_load_pack_refuses_what_does_not_fit(in_models, tmp_path):
    chosen = {"lora": "sd15/lcm.safetensors", "lora_strength": 1.0, "vae": "taesd"}
    assert LoadPack.validate_inputs("released", **chosen) is True
    before = LoadPack.fingerprint_inputs("released", **chosen)
    assert len(before) == len(LoadPack.fingerprint_inputs("released")) + 2
    assert LoadPack.execute("released", **chosen).result[0].lora.strength == 1.0
    assert "which the pack 'tiny' is not" in LoadPack.validate_inputs("other", vae="taesd")
    assert "for implicit motion" in LoadPack.validate_inputs("bundled-implicit", **chosen)
    assert "Those found are: sd15/lcm.safetensors" in LoadPack.validate_inputs("released", lora="lost.safetensors")
    assert "vae 'taef1' is not one of" in LoadPack.validate_inputs("released", vae="taef1")
    assert "out of range" in LoadPack.validate_inputs("released", lora_strength=5.0)
    with pytest.raises(InputError, match="strength must be a number"):
        load_pack("released", lora="sd15/lcm.safetensors", lora_strength=float("nan"))
    released = in_models / "mimaface" / "released"
    with host.use(host.Host(models=[tmp_path / "mimaface"])), pytest.raises(InputError, match="TAESD is not there"):
        load_pack(released, vae="taesd")


# -- TAESD


class OriginalBlock(nn.Module):
    """A block of the original TAESD."""

    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()]
        self.conv = nn.Sequential(*layers, nn.Conv2d(64, 64, 3, padding=1))

    def forward(self, x):
        return F.relu(self.conv(x) + x)


class Limit(nn.Module):
    def forward(self, x):
        return torch.tanh(x / 3) * 3


def original_halves():
    """The original encoder and decoder, of images in 0–1."""

    def conv(inputs, outputs, **options):
        return nn.Conv2d(inputs, outputs, 3, padding=1, **options)

    def blocks(count):
        return [OriginalBlock() for _ in range(count)]

    encoder, decoder = [conv(3, 64), *blocks(1)], [Limit(), conv(4, 64), nn.ReLU()]
    for _ in range(3):
        encoder += [conv(64, 64, stride=2, bias=False), *blocks(3)]
        decoder += [*blocks(3), nn.Upsample(scale_factor=2), conv(64, 64, bias=False)]
    return nn.Sequential(*encoder, conv(64, 4)), nn.Sequential(*decoder, *blocks(1), conv(64, 3))


def random_taesd():
    torch.manual_seed(3)
    return build_vae("AutoencoderTiny", {}).eval()


@torch.no_grad()
def test_the_original_pair_codes_as_the_original_does(tmp_path):
    torch.manual_seed(4)
    encoder, decoder = original_halves()
    save_file(encoder.state_dict(), tmp_path / "taesd_encoder.safetensors")
    torch.save(decoder.state_dict(), tmp_path / "taesd_decoder.pth")
    files = find_taesd([tmp_path / "empty", tmp_path])
    assert [file.name for file in files] == ["taesd_encoder.safetensors", "taesd_decoder.pth"]
    space = LatentSpace(load_taesd(files, torch.float32))
    images = torch.rand(1, 3, 32, 32)
    latents = encoder(images)
    assert torch.allclose(space.encode(images * 2 - 1), latents, atol=1e-4)
    assert torch.allclose(space.decode(latents), decoder(latents) * 2 - 1, atol=1e-4)


def test_other_files_under_taesds_names_are_refused(tmp_path):
    encoder, decoder = (half.state_dict() for half in original_halves())
    for state, half in ((decoder, "encoder"), (encoder, "decoder")):  # exchanged
        save_file(state, tmp_path / f"taesd_{half}.safetensors")
    with pytest.raises(InputError, match=r"does not fit: .*download it again from https://huggingface\.co/madebyollin"):
        load_taesd(find_taesd([tmp_path]), torch.float32)
    assert find_taesd([tmp_path / "empty"]) == ()
