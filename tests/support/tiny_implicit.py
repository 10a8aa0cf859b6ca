"""A random pack for implicit motion at 64×64 pixels, and sources and motions of it, for the tests."""

import copy
import json
from pathlib import Path

import torch

from mimaface.mimaface_core import host
from mimaface.mimaface_core.face.implicit_source import ImplicitSource
from mimaface.mimaface_core.implicit.detail import own_flow
from mimaface.mimaface_core.implicit.generator import Generator
from mimaface.mimaface_core.implicit.motion import ImplicitMotion
from mimaface.mimaface_core.implicit.render import encode_source
from mimaface.mimaface_core.implicit.transformer import MotionTransformer
from mimaface.mimaface_core.packs.files import write_pack
from mimaface.mimaface_core.packs.implicit_pack import ImplicitPack
from mimaface.mimaface_core.tensors import moved as on_device

GROUPS = {"head": [0, 1, 2, 3, 4, 5], "mouth": list(range(6, 14)), "eyes": [14, 15, 16, 17], "brows": [18, 19]}
MANIFEST = {
    "method": "implicit",
    "name": "tiny-implicit",
    "version": "1",
    "generator": {
        "file": "generator.safetensors",
        "config": {"size": 64, "dimensions": 20, "width": 16, "style": 32, "refine": 0},
    },
    "transformer": {
        "file": "transformer.safetensors",
        "config": {"variant": "DiT-tiny", "dimensions": 20, "speech_width": 25},
    },
    "speech": "bundled",
    "groups": GROUPS,
    "picture_size": 128,
}


def manifest(**changes) -> dict:
    """A copy of the tiny manifest with fields replaced; those that become None are left out."""
    content = {**copy.deepcopy(MANIFEST), **changes}
    return {key: value for key, value in content.items() if value is not None}


def networks(content: dict) -> dict:
    """Random networks of a manifest, whose codes depend on speech and hint."""
    torch.manual_seed(0)
    parts: dict = {"generator": Generator(**content["generator"]["config"])}
    if "transformer" in content:
        parts["transformer"] = MotionTransformer(**content["transformer"]["config"])
        for parameter in parts["transformer"].parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter, std=0.1)
    return parts


def write_tiny_implicit(folder: Path, **changes) -> ImplicitPack:
    """Write a tiny pack with random weights and open it."""
    content = manifest(**changes)
    write_pack(folder, content, networks(content), torch.float32)
    return ImplicitPack.load(folder)


def rewrite(pack: ImplicitPack, **changes) -> None:
    """Write the manifest of a tiny pack anew, with fields replaced."""
    (pack.folder / "manifest.json").write_text(json.dumps(manifest(**changes)))


def source_of(pack: ImplicitPack, seed: int = 0) -> ImplicitSource:
    """A source of smooth noise, whose crop is the middle of a larger image."""
    side = pack.image_size
    noise = torch.rand(1, 3, 12, 12, generator=torch.Generator().manual_seed(seed))
    image = torch.nn.functional.interpolate(noise, (2 * side, 2 * side), mode="bilinear")[0]
    crop = image[:, side // 2 : side // 2 + side, side // 2 : side // 2 + side] * 2 - 1
    matrix = torch.tensor([[1.0, 0, -side / 2], [0, 1, -side / 2]])
    small = torch.nn.functional.interpolate(crop[None], (pack.generator.size,) * 2, mode="area")
    with torch.no_grad(), host.current().load(pack.generator):
        encoded = encode_source(pack.generator, small)
        flow = own_flow(pack.generator, encoded)
    landmarks = torch.rand(478, 3, generator=torch.Generator().manual_seed(1)) * side
    return ImplicitSource(
        image.permute(1, 2, 0).contiguous(), crop, matrix, landmarks, *on_device((encoded, flow), "cpu")
    )


def motion_of(pack: ImplicitPack, frames: int = 6, seed: int = 0) -> ImplicitMotion:
    """A random motion of a pack."""
    codes = torch.randn(frames, pack.manifest.dimensions, generator=torch.Generator().manual_seed(seed)) * 0.1
    return ImplicitMotion(codes.clamp(-1, 1), groups=pack.groups)


def write_tiny_hubert(folder: Path, width: int = 32) -> None:
    """Write a random HuBERT of a few kilobytes, as a folder of transformers."""
    from transformers import HubertConfig, HubertModel

    config = HubertConfig(
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=[8] * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    torch.manual_seed(0)
    HubertModel(config).save_pretrained(folder)
