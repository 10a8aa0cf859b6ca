"""`mimaface train`: the recipe's stages, samples from a user's videos, and the ablation."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..mimaface_core.errors import Cancelled, InputError

STAGES = {
    "data": "make the synthetic people",
    "vae": "train the small autoencoder",
    "image": "train U-Net and appearance encoder on single frames",
    "video": "train the motion modules on clips",
    "speech": "make the synthetic speech (needs espeak-ng)",
    "voice": "train the voice network",
    "pack": "write the pack from what was trained",
    "all": "everything that the configuration describes, stage after stage",
}


def add_train(commands: argparse._SubParsersAction) -> None:
    """Add `train` to the commands of `mimaface`."""
    train = commands.add_parser(
        "train",
        help="train a pack, stage after stage",
        description="Train a pack. Every stage may be stopped and called again; it goes on where it was.",
    )
    stages = train.add_subparsers(required=True, metavar="STAGE")
    for name, text in STAGES.items():
        stage = stages.add_parser(name, help=text)
        _add_options(stage, "bundled", "checkpoints")
        stage.set_defaults(work=stage_command, stage=name)
    ablation = stages.add_parser("ablation", help="train without one part at a time, over several seeds, and measure")
    _add_options(ablation, "ablation", "ablation")
    ablation.set_defaults(work=ablation_command)
    videos = stages.add_parser("videos", help="track a folder of your own clips into training data")
    videos.add_argument(
        "folder", type=Path, metavar="FOLDER", help="folder of videos, or of one folder for each person"
    )
    _add_options(videos)
    videos.set_defaults(work=videos_command)


def _add_options(parser: argparse.ArgumentParser, config: str | None = None, out: str = "") -> None:
    """The options of a stage; those of learning too where there is a default configuration."""
    parser.add_argument(
        "--data", type=Path, default=Path("data"), metavar="DIR", help="folder of the training data (./data)"
    )
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads (0: all)")
    parser.add_argument(
        "--part", default="0/1", metavar="I/N", help="make every N-th sample, from I (data, speech, videos)"
    )
    if config:
        parser.add_argument(
            "--config", default=config, metavar="NAME", help=f"a shipped configuration or a JSON file ({config})"
        )
        parser.add_argument(
            "--out", type=Path, default=Path(out), metavar="DIR", help=f"checkpoints, losses and results (./{out})"
        )


def stage_command(options: argparse.Namespace) -> int:
    """`mimaface train STAGE`."""
    from ..mimaface_core.training.config import load_config
    from ..mimaface_core.training.recipe import run_stage

    config, part = load_config(options.config), part_of(options.part)
    return surrounded(options.threads, lambda: run_stage(options.stage, config, options.data, options.out, part))


def ablation_command(options: argparse.Namespace) -> int:
    """`mimaface train ablation`."""
    from ..mimaface_core.training.config import load_config

    config = load_config(options.config)
    missing = [section for section in ("estimators", "ablation") if section not in config]
    if missing:
        raise InputError(
            f"--config {options.config} lacks the section '{missing[0]}'; take configs/ablation.json for a pattern."
        )

    def work() -> None:
        from ..mimaface_core.training.ablation import run_ablation

        run_ablation(config, options.data, options.out)
        print(options.out / "ablation.md")

    return surrounded(options.threads, work)


def videos_command(options: argparse.Namespace) -> int:
    """`mimaface train videos FOLDER`."""
    from ..mimaface_core.training.data.videos import make_video_data

    part = part_of(options.part)
    return surrounded(options.threads, lambda: make_video_data(options.folder, options.data, part))


def surrounded(threads: int, work) -> int:
    """Do the work with progress in the terminal; of several processes the first one speaks."""
    import torch

    from ..mimaface_core import host
    from ..mimaface_core.terminal import TerminalHost, interruptible

    if threads:
        torch.set_num_threads(threads)

    class Silent(TerminalHost):
        def say(self, text: str) -> None:
            """Say nothing."""

    terminal = TerminalHost() if os.environ.get("RANK", "0") == "0" else Silent()
    try:
        with interruptible(terminal), host.use(terminal):
            work()
    except Cancelled:
        terminal.say("Stopped; the same command goes on from here.")
        return 130
    return 0


def part_of(text: str) -> tuple[int, int]:
    """`I/N` as two numbers. Raises InputError when it is no part of a whole."""
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and int(number) < int(count)):
        raise InputError(f"--part {text}: give I/N with I from 0 to N - 1, as in 0/2 and 1/2.")
    return int(number), int(count)
