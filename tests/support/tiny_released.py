"""A random pack of the released classes, with tiny networks, as `mimaface pack convert` writes one."""

from pathlib import Path

import torch

from mimaface.mimaface_core.morphable.bundled.face import bundled_face
from mimaface.mimaface_core.packs.files import write_pack
from mimaface.mimaface_core.packs.parts import build_part
from support.released import VISION

UNET = {"block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4, "cross_attention_dim": 16}
VIDEO = {
    **UNET,
    "down_block_types": ["DownBlockMotion", "CrossAttnDownBlockMotion"],
    "up_block_types": ["CrossAttnUpBlockMotion", "UpBlockMotion"],
    "num_attention_heads": 2,
    "motion_num_attention_heads": 2,
}
IMAGE = {
    **UNET,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "attention_head_dim": 2,
}
VAE = {
    "block_out_channels": [4, 4, 8, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "latent_channels": 4,
    "mid_block_add_attention": False,
}
LOOK = {"vision": VISION, "context_dim": 16, "layers": 1}
MANIFEST = {
    "name": "released",
    "version": "1",
    "picture_size": 512,
    "clip_frames": 4,
    "overlap": 1,
    "face": "regressor",
    "render": "albedo",
    "context": "clip",
    "morphable": {"kind": "file", "file": "bfm.safetensors"},
    "latents": {"target": "picture", "sampled": True},
    "regressor": {"config": {}, "file": "regressor.safetensors"},
    "vae": {"class": "AutoencoderKL", "config": VAE, "file": "vae.safetensors"},
    "appearance": {"class": "released", "config": LOOK, "file": "appearance.safetensors"},
    "unet": {"class": "video", "config": VIDEO, "file": "unet.safetensors"},
    # the same file twice: half of it is CurricularFace, which both models share
    "picture_appearance": {"class": "released", "config": LOOK, "file": "appearance.safetensors"},
    "picture_unet": {"class": "picture", "config": IMAGE, "file": "picture_unet.safetensors"},
    "scheduler": {"prediction_type": "epsilon", "timestep_spacing": "linspace"},
    "sampling": {"scheduler": "euler", "steps": 25, "guidance": 5.0},
}
# Parts with networks; the face model, with fewer vertices than BFM09, is written apart.
WRITTEN = ("regressor", "vae", "appearance", "unet", "picture_unet")


def random_part(name, seed):
    """A network of the pack with random values that keep activations bounded."""
    entry = MANIFEST[name]
    module, generator = build_part(name, entry["config"], entry.get("class")), torch.Generator().manual_seed(seed)
    values = {}
    for key, value in module.state_dict().items():
        if value.ndim > 1:
            drawn = torch.randn(value.shape, generator=generator) / value[0].numel() ** 0.5
        elif key.endswith("running_var") or (key.endswith("weight") and value.ndim == 1):
            drawn = torch.ones(value.shape)
        else:
            drawn = torch.zeros(value.shape)
        values[key] = drawn.to(value.dtype)
    module.load_state_dict(values, assign=True)
    return module


def write_tiny_released(folder: Path) -> None:
    """Write the pack."""
    write_pack(folder, MANIFEST, {name: random_part(name, i) for i, name in enumerate(WRITTEN)})
    bundled_face().model.save(folder / "bfm.safetensors")
