"""A released folder for tests: small networks, and zeros of one stored number where sizes are fixed."""

import json
import os
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from scipy.io import savemat

from mimaface.mimaface_core.appearance.clip import build_vision
from mimaface.mimaface_core.appearance.identity import FEATURES, CurricularFace
from mimaface.mimaface_core.appearance.tokens_released import PostFuse
from mimaface.mimaface_core.diffusion.latents import build_vae
from mimaface.mimaface_core.diffusion.unet_released import build_image_unet, build_video_unet, to_released
from mimaface.mimaface_core.face.d3dfr import CoefficientNetwork
from mimaface.mimaface_core.packs.released.autoencoder import CONFIG
from mimaface.mimaface_core.packs.released.layout import Sizes, shapes
from support.tiny_pack import awaken

UNET = {"block_out_channels": [32, 32, 64, 64], "layers_per_block": 1, "cross_attention_dim": 16}
SMALL = Sizes(
    video={**UNET, "num_attention_heads": 2, "motion_num_attention_heads": 2},
    image={**UNET, "attention_head_dim": 2},
    vision={
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 16,
    },
    width=16,
    vae={**CONFIG, "block_out_channels": [8, 8, 16, 16], "layers_per_block": 1, "norm_num_groups": 4},
    vertices=50,
)
VIDEO, IMAGE = "checkpoints/video", "checkpoints/image"
MOTION, FUSE, IMAGE_FUSE = f"{VIDEO}/3dunet.pth", f"{VIDEO}/mim.pth", f"{IMAGE}/mim.pth"
UNET_2D = f"{IMAGE}/pretrained_unet/diffusion_pytorch_model.safetensors"
REGRESSOR, BFM = "models/D3DFR/netG_epoch_25.pth", "models/D3DFR/BFM09_model_info.mat"
IDENTITY = "models/ArcFace/CurricularFace_Backbone.pth"
# Present names of the attention's layers, and those in the released autoencoder.
OLDER = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}


def zeros(shapes: dict) -> dict:
    """Tensors of these shapes that share one stored number: their pickles are small."""
    return {
        key: torch.zeros((), dtype=torch.long if key.endswith("tracked") else None).expand(shape)
        for key, shape in shapes.items()
    }


def save(state: dict, path: Path, **options) -> None:
    """Write safetensors or a pickle, by the suffix; creates the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    else:
        torch.save(state, path, **options)


def save_json(content: dict, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_bfm(path: Path, vertices: int) -> None:
    """A flat, grey face model."""
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = {"meanshape": 1, "idBase": 80, "exBase": 64, "meantex": 1, "texBase": 80}
    flat = {key: np.zeros((3 * vertices, size), np.float32) for key, size in numbers.items()}
    flat["meanshape"][:] = np.arange(3 * vertices)[:, None]
    index = {"tri": [[1, 2, 3]], "keypoints": [list(range(1, 69))], "point_buf": [[1] * 8] * vertices}
    if vertices < 68:
        index["keypoints"] = [[1] * 68]
    savemat(path, {**flat, **{key: np.array(value) for key, value in index.items()}}, do_compression=True)


def vae_state(config: dict, seed: int = 5) -> dict:
    return awaken(build_vae("AutoencoderKL", config), seed).state_dict()


def write_vae(folder: Path, state: dict, **config) -> None:
    """An autoencoder's folder as diffusers writes it, under the older names of the attention's layers."""

    def old_name(key):
        for new, old in OLDER.items():
            key = key.replace(new, old) if ".attentions." in key else key
        return key

    save({old_name(key): value for key, value in state.items()}, folder / "diffusion_pytorch_model.safetensors")
    save_json({"_class_name": "AutoencoderKL", **config}, folder / "config.json")


def write_released(folder: Path, images: bool = True) -> dict:
    """Write the folder; returns its state dicts by their places."""
    states = {
        UNET_2D: awaken(build_image_unet(SMALL.image), 1).state_dict(),
        MOTION: to_released(awaken(build_video_unet(SMALL.video), 2).state_dict()),
        REGRESSOR: {f"module.{key}": value for key, value in zeros(shapes(CoefficientNetwork)).items()},
        IDENTITY: {f"module.{key}": value for key, value in zeros(shapes(CurricularFace)).items()},
    }
    for seed, stage in enumerate((VIDEO, IMAGE) if images else (VIDEO,), 3):
        states[f"{stage}/mim.pth"] = awaken(PostFuse(SMALL.width, 16, FEATURES), seed).state_dict()
        vision = awaken(build_vision(SMALL.vision), seed).state_dict()
        place = f"{stage}/vision_encoder/model.safetensors"
        states[place] = {f"vision_model.{key}": value for key, value in vision.items()}
        save_json({**SMALL.vision, "hidden_act": "gelu"}, (folder / place).with_name("config.json"))
    for place, state in states.items():
        # The reference code saves in the old format.
        options = {} if place.endswith(".safetensors") else {"_use_new_zipfile_serialization": place == IDENTITY}
        save(state, folder / place, **options)
    write_bfm(folder / BFM, SMALL.vertices)
    write_vae(folder / "sd-vae-ft-mse", vae_state(SMALL.vae))
    return states


class Trap:
    """A pickle that creates a folder when its code is run."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 16,
}
