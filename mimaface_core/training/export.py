"""Stage `pack`: the trained networks, written as a model pack."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from ..errors import InputError
from .config import TrainingConfig, VoiceConfig, load_config
from .engine.checkpoint import load_averaged
from .engine.record import recorded
from .models.distillation import few_steps
from .models.image_video import trained_image
from .models.networks import unet_entry
from .models.vae import load_vae
from .models.voice import build_net

Section = TypeVar("Section")


def manifest_of(config: TrainingConfig, scale: float) -> dict[str, Any]:
    """The manifest of the pack.

    Args:
        config: that the networks were trained with.
        scale: of the residual.
    """
    vae = {"class": config.vae.class_name, "config": config.vae.config}
    return {
        **recorded(config.pack),
        "overlap": config.overlap,
        "picture_size": config.latents.size,
        "clip_frames": config.clip_frames,
        "morphable": {"kind": "bundled"},
        "render": "projected",
        "context": "clip" if config.ablate.average else "frame",
        "latents": {
            "target": config.latents.target,
            "scale": round(scale, 5),
            "colour": config.latents.colour,
            "sampled": False,
        },
        "vae": {**vae, "file": "vae.safetensors"},
        "appearance": {"config": asdict(config.appearance), "file": "appearance.safetensors"},
        "unet": {**unet_entry(config.unet), "file": "unet.safetensors"},
        "scheduler": config.scheduler.arguments(),
        "sampling": asdict(config.sampling),
    }


def write_trained(config: TrainingConfig, out: Path) -> Path:
    """Write the pack from the averaged weights, with the voice network if it was trained.

    Where stage `distill` was run, `out`/pack-few-steps is another one, whose U-Net samples in few steps.

    Args:
        config: of the training.
        out: folder of the checkpoints.

    Returns:
        the pack's folder, `out`/pack.

    Raises:
        InputError: no pack can express what was ablated, or a checkpoint is missing.
    """
    from ..packs.files import write_pack

    if config.ablate.render:
        raise InputError("A pack cannot do without the render; leave out ablate.render.")
    networks, scale, _ = trained_image(config, out)
    load_averaged(out / "video.safetensors", {"unet": networks.unet})
    vae = load_vae(config.vae, config.pretrained.vae, config.shared(out))
    packs, manifest = [out / "pack"], manifest_of(config, scale)
    write_pack(packs[0], manifest, {**networks.modules(), "vae": vae})
    if (out / "distill.safetensors").is_file():
        sampling = few_steps(_section(config.distill, "distill", out))
        load_averaged(out / "distill.safetensors", {"unet": networks.unet})
        packs.append(out / "pack-few-steps")
        manifest |= {"name": f"{config.pack.name}-few-steps", "sampling": asdict(sampling)}
        write_pack(packs[1], manifest, {**networks.modules(), "vae": vae})
    if (out / "voice.safetensors").is_file():
        for pack in packs:
            write_audio(_section(config.voice, "voice", out), out, pack)
    return out / "pack"


def _section(settings: Section | None, name: str, out: Path) -> Section:
    """A section of the configuration whose stage was run. Raises InputError where the section is missing."""
    if settings is None:
        raise InputError(f"{out} holds {name}.safetensors, but the configuration lacks the section '{name}'; add it.")
    return settings


def write_audio(settings: VoiceConfig, out: Path, pack: Path) -> None:
    """Add the trained voice network to a pack: `audio.safetensors`, and the part `audio` of its manifest.

    Args:
        settings: that it was trained with.
        out: folder of the checkpoint `voice.safetensors`.
        pack: folder of the pack.

    Raises:
        InputError: the checkpoint or the pack is missing or damaged.
    """
    from ..packs.entries import MANIFEST
    from ..packs.files import write_pack
    from ..packs.pack import ModelPack

    net = build_net(settings)
    load_averaged(out / "voice.safetensors", {"net": net})
    manifest = json.loads((pack / MANIFEST).read_text(encoding="utf-8"))
    manifest["audio"] = {"config": asdict(settings.config), "file": "audio.safetensors"}
    write_pack(pack, manifest, {"audio": net})
    ModelPack.load(pack).verify()


def main() -> None:
    """Run the command of this file."""
    parser = argparse.ArgumentParser(description="Add the trained voice network to a pack.")
    parser.add_argument("--out", type=Path, required=True, help="folder with the checkpoint voice.safetensors")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the pack")
    parser.add_argument("--config", default="bundled", help="bundled, tiny, or the path of a JSON file")
    options = parser.parse_args()
    voice = load_config(options.config).voice
    if voice is None:
        raise InputError(
            f"--config {options.config} lacks the section 'voice'; take configs/bundled.json for a pattern."
        )
    write_audio(voice, options.out, options.pack)


if __name__ == "__main__":
    main()
