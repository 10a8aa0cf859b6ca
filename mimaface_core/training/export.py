"""Stage `pack`: what was trained, as a pack that the product loads."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..errors import InputError
from .config import load_config
from .engine.checkpoint import load_averaged
from .models.image_video import trained_image
from .models.latent_cache import clip_frames
from .models.networks import unet_entry
from .models.vae import load_vae, vae_class
from .models.voice import build_net


def write_trained(config: dict, out: Path) -> Path:
    """Write `out`/pack from the averaged weights, with the voice where it was trained; returns the folder.

    Raises InputError for a variant that no pack can express.
    """
    from ..packs.files import write_pack

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
        write_audio(config, out, out / "pack")
    return out / "pack"


def write_audio(config: dict, out: Path, pack: Path) -> None:
    """Put the trained network into a pack: `audio.safetensors`, and the part `audio` of its manifest."""
    from ..packs.files import write_pack
    from ..packs.manifest import MANIFEST
    from ..packs.pack import ModelPack

    net = build_net(config)
    load_averaged(out / "voice.safetensors", {"net": net})
    manifest = json.loads((pack / MANIFEST).read_text(encoding="utf-8"))
    manifest["audio"] = {"config": config["voice"]["config"], "file": "audio.safetensors"}
    write_pack(pack, manifest, {"audio": net})
    ModelPack.load(pack).verify()


def main() -> None:
    parser = argparse.ArgumentParser(description="Put the trained voice network into a pack.")
    parser.add_argument("--out", type=Path, required=True, help="folder with the checkpoint voice.safetensors")
    parser.add_argument("--pack", type=Path, required=True, help="folder of the pack")
    parser.add_argument("--config", default="bundled", help="bundled, tiny, or the path of a JSON file")
    options = parser.parse_args()
    write_audio(load_config(options.config), options.out, options.pack)


if __name__ == "__main__":
    main()
