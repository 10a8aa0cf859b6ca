"""Stage `pack`: what was trained, as a pack that the product loads."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from .cache import clip_frames
from .checkpoint import load_averaged
from .parts import unet_entry
from .stages import trained_image
from .vae import load_vae, vae_class


def write_trained(config: dict, out: Path) -> Path:
    """Write `out`/pack from the averaged weights, with the voice where it was trained; returns the folder.

    Raises InputError for a variant that no pack can express.
    """
    from ..packs.weights import write_pack

    if config["ablate"].get("render"):
        raise InputError("A pack cannot do without the render; leave out ablate.render.")
    parts, scale, _ = trained_image(config, out)
    load_averaged(out / "video.safetensors", {"unet": parts["unet"]})
    latents = config["latents"]
    overlap = {"overlap": 0} if config["ablate"].get("ica") else {}
    manifest = {
        **config["pack"],
        **overlap,
        "picture_size": latents["size"],
        "clip_frames": clip_frames(config),
        "morphable": {"kind": "procedural"},
        "render": "projected",
        "context": "clip" if config["ablate"].get("average") else "frame",
        "latents": {
            "target": latents["target"],
            "scale": round(scale, 5),
            "colour": latents["colour"],
            "sampled": False,
        },
        "vae": {"class": vae_class(config), "config": config["vae"]["config"], "file": "vae.safetensors"},
        "appearance": {"config": config["appearance"], "file": "appearance.safetensors"},
        "unet": {**unet_entry(config), "file": "unet.safetensors"},
        "scheduler": config["scheduler"],
        "sampling": config["sampling"],
    }
    write_pack(out / "pack", manifest, {**parts, "vae": load_vae(config, out)})
    if (out / "voice.safetensors").is_file():
        from .voice import write_audio

        write_audio(config, out, out / "pack")
    return out / "pack"
