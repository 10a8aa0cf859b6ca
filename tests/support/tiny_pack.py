"""A random model pack of a few kilobytes at 32×32 pixels, and the bundled pack's sizes, for the tests."""

import copy
import json
from pathlib import Path

import torch

from mimaface.mimaface_core.packs.files import write_pack
from mimaface.mimaface_core.packs.pack import ModelPack

UNET = {
    "block_out_channels": [8, 16],
    "layers_per_block": 1,
    "down_block_types": ["DownBlockMotion", "CrossAttnDownBlockMotion"],
    "up_block_types": ["CrossAttnUpBlockMotion", "UpBlockMotion"],
    "norm_num_groups": 4,
    "cross_attention_dim": 16,
    "num_attention_heads": 2,
    "motion_num_attention_heads": 2,
    "motion_max_seq_length": 16,
}
VAE = {
    "encoder_block_out_channels": [8, 8, 8, 8],
    "decoder_block_out_channels": [8, 8, 8, 8],
    "num_encoder_blocks": [0, 0, 0, 1],
    "num_decoder_blocks": [1, 0, 0, 0],
}
APPEARANCE = {
    "vision": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 16,
    },
    "context_dim": 16,
    "adapter_layers": 1,
    "adapter_heads": 2,
}
AUDIO = {"config": {"width": 8, "dilations": [1, 2]}, "file": "audio.safetensors"}  # for packs with a voice network
MANIFEST = {
    "name": "tiny",
    "version": "1",
    "picture_size": 512,
    "clip_frames": 12,
    "overlap": 3,
    "morphable": {"kind": "bundled"},
    "render": "projected",
    "latents": {"target": "residual", "scale": 2.0},
    "vae": {"class": "AutoencoderTiny", "config": VAE, "file": "vae.safetensors"},
    "appearance": {"config": APPEARANCE, "file": "appearance.safetensors"},
    "unet": {"config": UNET, "file": "unet.safetensors"},
    "scheduler": {"prediction_type": "sample", "timestep_spacing": "trailing"},
    "sampling": {"scheduler": "euler", "steps": 4, "guidance": 1.0},
}

# The sizes of the bundled pack: 512×512 images, 64×64 latents, 197 tokens.
BUNDLED_UNET = {
    "block_out_channels": [32, 64, 96, 128],
    "layers_per_block": 1,
    "down_block_types": [
        "DownBlockMotion",
        "DownBlockMotion",
        "CrossAttnDownBlockMotion",
        "CrossAttnDownBlockMotion",
    ],
    "up_block_types": ["CrossAttnUpBlockMotion", "CrossAttnUpBlockMotion", "UpBlockMotion", "UpBlockMotion"],
    "norm_num_groups": 16,
    "cross_attention_dim": 192,
    "num_attention_heads": 4,
    "motion_num_attention_heads": 4,
    "motion_max_seq_length": 32,
}
BUNDLED_VAE = {
    "encoder_block_out_channels": [32, 32, 32, 32],
    "decoder_block_out_channels": [48, 48, 48, 48],
    "num_encoder_blocks": [0, 1, 2, 3],
    "num_decoder_blocks": [3, 3, 1, 0],
}
BUNDLED_APPEARANCE = {
    "vision": {
        "hidden_size": 192,
        "intermediate_size": 768,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": 224,
        "patch_size": 16,
    },
    "context_dim": 192,
    "adapter_layers": 3,
    "adapter_heads": 4,
}


def manifest(**changes) -> dict:
    """A copy of the tiny manifest with fields replaced."""
    return {**copy.deepcopy(MANIFEST), **changes}


def awaken(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Give every parameter a random value, those that start at zero included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 4
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / fan_in**0.5)
    return module


def write_tiny_pack(folder: Path, **changes) -> ModelPack:
    """Write a tiny pack with random weights and open it."""
    from mimaface.mimaface_core.appearance.mia import AppearanceEncoder
    from mimaface.mimaface_core.audio.voice.net import VoiceNet
    from mimaface.mimaface_core.diffusion.latents import build_vae
    from mimaface.mimaface_core.diffusion.unet import build_unet

    content = manifest(**changes)
    parts = {
        "vae": build_vae("AutoencoderTiny", content["vae"]["config"]),
        "appearance": AppearanceEncoder(**content["appearance"]["config"]),
        "unet": build_unet(content["unet"]["config"]),
    }
    if "audio" in content:
        parts["audio"] = VoiceNet(**content["audio"]["config"])
    write_pack(folder, content, {name: awaken(part) for name, part in parts.items()})
    return ModelPack.load(folder)


def rewrite(pack: ModelPack, **changes) -> None:
    """Write the manifest of a tiny pack anew, with fields replaced."""
    (pack.folder / "manifest.json").write_text(json.dumps(manifest(**changes)))


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
