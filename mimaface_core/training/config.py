"""Training configurations: the shipped ones in configs/, and a user's own."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import InputError

CONFIGS = Path(__file__).parent / "configs"
NEEDED = ("data", "vae", "latents", "unet", "appearance", "identity", "scheduler", "sampling", "image", "video", "pack")


def load_config(name: str) -> dict:
    """A configuration by its name in config/ or by its path.

    Raises InputError when there is none, or it lacks a section.
    """
    own = CONFIGS / f"{name}.json"
    path = own if own.is_file() else Path(name)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(sorted(file.stem for file in CONFIGS.glob("*.json")))
        raise InputError(f"There is no configuration '{name}'; use {known}, or the path of a JSON file.") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); correct it.") from error
    missing = [section for section in NEEDED if section not in config]
    if missing:
        raise InputError(f"{path} lacks the section '{missing[0]}'; take configs/bundled.json for a pattern.")
    return {"precision": "fp32", "ablate": {}, **config}
