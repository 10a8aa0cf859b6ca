"""The recipe of a pack: its configuration, and the stages data, vae, image, video, speech, voice and pack one by one."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from .models.pretrained import check_start

STAGES = ("data", "vae", "image", "video", "speech", "voice", "pack")


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
        from .data.dataset import make_data

        make_data(data, range(part[0], config["data"]["people"], part[1]), config["data"]["frames"])
    elif stage == "vae":
        from .models.vae import train_vae

        train_vae(config, data, out)
    elif stage == "image":
        from .models.image_video import train_image

        train_image(config, data, out)
    elif stage == "video":
        from .models.image_video import train_video

        train_video(config, data, out)
    elif stage == "speech":
        from .speech.corpus import make_corpus

        make_corpus(data / "speech", range(part[0], config["speech"]["items"], part[1]), config["speech"]["seconds"])
    elif stage == "voice":
        from .models.voice import train_voice

        train_voice(config, data, out)
    else:
        from .export import write_trained

        write_trained(config, out)
