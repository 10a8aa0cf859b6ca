"""The recipe of a pack: its configuration, and the stages data, vae, image, video, speech, voice and pack one by one."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import InputError
from .start import check_start

CONFIGS = Path(__file__).parent / "config"
STAGES = ("data", "vae", "image", "video", "speech", "voice", "pack")
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
        raise InputError(f"{path} lacks the section '{missing[0]}'; take config/bundled.json for a pattern.")
    return {"precision": "fp32", "ablate": {}, **config}


def stages_of(config: dict) -> list[str]:
    """The stages that a configuration describes, in their order; an autoencoder to start from needs no training."""
    given = {"vae"} if "vae" in config.get("start", {}) else set()
    return [stage for stage in STAGES if stage in config and stage not in given]


def run_stage(stage: str, config: dict, data: Path, out: Path, part: tuple[int, int] = (0, 1)) -> None:
    """Run one stage, or `all` that the configuration has; each goes on where it was.

    part: (number, of how many) processes that share the stage `data` or `speech`.
    """
    if stage == "all":
        for one in stages_of(config):
            run_stage(one, config, data, out, part)
        return
    if stage not in stages_of(config):
        raise InputError(
            f"The configuration has nothing for the stage '{stage}'; it has {', '.join(stages_of(config))}."
        )
    if stage not in ("data", "speech"):
        check_start(config)
    if stage == "data":
        from .dataset import make_data

        make_data(data, range(part[0], config["data"]["people"], part[1]), config["data"]["frames"])
    elif stage == "vae":
        from .vae import train_vae

        train_vae(config, data, out)
    elif stage == "image":
        from .stages import train_image

        train_image(config, data, out)
    elif stage == "video":
        from .stages import train_video

        train_video(config, data, out)
    elif stage == "speech":
        from .speech_corpus import make_corpus

        make_corpus(data / "speech", range(part[0], config["speech"]["items"], part[1]), config["speech"]["seconds"])
    elif stage == "voice":
        from .voice import train_voice

        train_voice(config, data, out)
    else:
        from .packing import write_trained

        write_trained(config, out)
