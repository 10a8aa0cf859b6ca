"""`mimaface train`: the recipe's training stages, samples from the user's videos, the ablation."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..mimaface_core.errors import Cancelled, InputError
from ..mimaface_core.training import implicit_recipe, tracker_recipe
from ..mimaface_core.training.recipe import ALL, STAGES, Share
from .crew import add_crew, crew_options, has_crew

if TYPE_CHECKING:
    from ..mimaface_core.terminal import TerminalHost

CANCELLED = 130  # exit status
DATA = "data"  # the stage whose samples workers can make


def add(commands: argparse._SubParsersAction) -> None:
    """Add `train` to the commands of `mimaface`."""
    train = commands.add_parser(
        "train",
        help="train a pack, stage after stage",
        description="Train a pack. Every stage may be stopped and called again; it resumes.",
    )
    stages = train.add_subparsers(required=True, metavar="STAGE")
    texts = {name: stage.help for name, stage in STAGES.items()}
    for name, text in {**texts, ALL: "everything that the configuration describes, stage after stage"}.items():
        stage = stages.add_parser(name, help=text)
        _add_options(stage, "bundled", "checkpoints", crew=name == DATA)
        stage.set_defaults(work=work_data if name == DATA else work_stage, stage=name)
    texts = {name: stage.help for name, stage in implicit_recipe.STAGES.items()}
    for name, text in {**texts, implicit_recipe.ALL: "all that IF-MDM needs, stage after stage"}.items():
        stage = stages.add_parser(name, help=text)
        _add_options(stage, "bundled", "checkpoints")
        stage.set_defaults(work=work_implicit, stage=name)
    texts = {name: stage.help for name, stage in tracker_recipe.STAGES.items()}
    for name, text in {**texts, tracker_recipe.ALL: "all that the face tracker needs, stage after stage"}.items():
        stage = stages.add_parser(name, help=text)
        _add_options(stage, "bundled", "checkpoints")
        stage.set_defaults(work=work_tracker, stage=name)
    ablation = stages.add_parser(
        "ablation", help="train without one part of the method at a time, over several seeds, and measure"
    )
    _add_options(ablation, "ablation", "ablation")
    ablation.set_defaults(work=work_ablation)
    videos = stages.add_parser("videos", help="track a folder of your own videos into training data")
    videos.add_argument(
        "folder", type=Path, metavar="FOLDER", help="folder of videos, or of one folder for each person"
    )
    _add_options(videos, crew=True)
    videos.set_defaults(work=work_videos)
    shards = stages.add_parser("shards", help="pack the training data into tar files of many samples (WebDataset)")
    shards.add_argument("--shards", type=Path, default=Path("shards"), metavar="DIR", help="where they go (./shards)")
    shards.add_argument("--samples", type=int, default=256, metavar="N", help="samples in a shard (256)")
    shards.add_argument("--data", type=Path, default=Path("data"), metavar="DIR", help="folder of the data (./data)")
    add_crew(shards, "shard")
    shards.set_defaults(work=work_shards)
    portraits = stages.add_parser("portraits", help="make training data of portraits, moved and carried back")
    portraits.add_argument("folder", type=Path, metavar="FOLDER", help="folder of JPEG files, one person each")
    portraits.add_argument("--trips", type=int, default=1, metavar="N", help="samples of each portrait (1)")
    portraits.add_argument("--held-out", action="store_true", help="of those that are kept out of training, instead")
    _add_options(portraits)
    portraits.set_defaults(work=work_portraits)


def _add_options(parser: argparse.ArgumentParser, config: str | None = None, out: str = "", crew: bool = False) -> None:
    """Add the options of a stage.

    Args:
        parser: of the stage.
        config: default of the configuration, which only trained stages have.
        out: default of the checkpoints' folder, as well.
        crew: whether workers can make its samples.
    """
    parser.add_argument(
        "--data", type=Path, default=Path("data"), metavar="DIR", help="folder of the training data (./data)"
    )
    if crew:
        add_crew(parser, "sample")
    else:
        parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads (0: all)")
    parser.add_argument(
        "--part", default="0/1", metavar="I/N", help="make every N-th sample, from I, of the stages that make data"
    )
    if config:
        parser.add_argument(
            "--config", default=config, metavar="NAME", help=f"a shipped configuration or a JSON file ({config})"
        )
        parser.add_argument(
            "--out", type=Path, default=Path(out), metavar="DIR", help=f"checkpoints, losses and results (./{out})"
        )


def work_stage(options: argparse.Namespace) -> int:
    """Run `mimaface train STAGE`; returns the exit status."""
    from ..mimaface_core.training.config import load_config
    from ..mimaface_core.training.recipe import run_stage

    config, share = load_config(options.config), share_of(options.part)
    return _in_terminal(options.threads, lambda _: run_stage(options.stage, config, options.data, options.out, share))


def work_data(options: argparse.Namespace) -> int:
    """Run `mimaface train data`, here or by workers; returns the exit status."""
    if not has_crew(options):
        return work_stage(options)
    from ..mimaface_core.training.config import load_config
    from ..scale.training import make_people

    config, share, crew = load_config(options.config).data, share_of(options.part), crew_options(options)
    return _in_terminal(0, lambda host: make_people(options.data, config.people, config.frames, share, crew, host))


def work_implicit(options: argparse.Namespace) -> int:
    """Run `mimaface train STAGE` of IF-MDM; returns the exit status."""
    from ..mimaface_core.training.implicit_config import load_implicit_config

    config, share = load_implicit_config(options.config), share_of(options.part)

    def work(_: TerminalHost) -> None:
        implicit_recipe.run_implicit_stage(options.stage, config, options.data, options.out, share)

    return _in_terminal(options.threads, work)


def work_tracker(options: argparse.Namespace) -> int:
    """Run `mimaface train STAGE` of the face tracker; returns the exit status."""
    from ..mimaface_core.training.tracker_config import load_tracker_config

    config, share = load_tracker_config(options.config), share_of(options.part)

    def work(_: TerminalHost) -> None:
        tracker_recipe.run_tracker_stage(options.stage, config, options.data, options.out, share)

    return _in_terminal(options.threads, work)


def work_ablation(options: argparse.Namespace) -> int:
    """Run `mimaface train ablation`; returns the exit status."""
    from ..mimaface_core.training.config import load_config

    config = load_config(options.config)

    def work(_: TerminalHost) -> None:
        from ..mimaface_core.training.ablation import run_ablation

        run_ablation(config, options.data, options.out)
        print(options.out / "ablation.md")

    return _in_terminal(options.threads, work)


def work_videos(options: argparse.Namespace) -> int:
    """Run `mimaface train videos FOLDER`; returns the exit status."""
    from ..mimaface_core.training.data.videos import make_video_data

    share = share_of(options.part)
    if not has_crew(options):
        return _in_terminal(options.threads, lambda _: make_video_data(options.folder, options.data, share))
    from ..scale.training import make_videos

    crew = crew_options(options)
    return _in_terminal(0, lambda host: make_videos(options.folder, options.data, share, crew, host))


def work_shards(options: argparse.Namespace) -> int:
    """Run `mimaface train shards`; returns the exit status."""
    from ..mimaface_core.training.data.shards import write_shards

    if options.samples < 1:
        raise InputError(f"--samples {options.samples} is out of range; use at least 1.")
    data, shards, samples = options.data, options.shards, options.samples
    if not has_crew(options):
        return _in_terminal(options.threads, lambda _: write_shards(data, shards, samples))
    from ..scale.training import make_shards

    crew = crew_options(options)
    return _in_terminal(0, lambda host: make_shards(data, shards, samples, crew, host))


def work_portraits(options: argparse.Namespace) -> int:
    """Run `mimaface train portraits FOLDER`; returns the exit status."""
    from ..mimaface_core.training.data.portraits import make_portrait_data

    share, trips = share_of(options.part), options.trips
    return _in_terminal(
        options.threads, lambda _: make_portrait_data(options.folder, options.data, share, trips, options.held_out)
    )


def _in_terminal(threads: int, work: Callable[[TerminalHost], object]) -> int:
    """Do the work with progress in the terminal, shown by the first of several processes; returns the exit status."""
    import torch

    from ..mimaface_core import host
    from ..mimaface_core.terminal import interruptible
    from ..mimaface_core.training.engine.accelerator import terminal_host

    if threads:
        torch.set_num_threads(threads)
    terminal = terminal_host()
    try:
        with interruptible(terminal), host.use(terminal):
            work(terminal)
    except Cancelled:
        terminal.say("Stopped; the same command resumes from here.")
        return CANCELLED
    return 0


def share_of(text: str) -> Share:
    """The two numbers of `I/N`.

    Raises:
        InputError: it is no share of the whole.
    """
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit() and int(number) < int(count)):
        raise InputError(f"--part {text}: give I/N with I from 0 to N - 1, as in 0/2 and 1/2.")
    return int(number), int(count)
