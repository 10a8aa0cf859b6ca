"""Train the bundled pack: `python -m mimaface_core.training.bundled --data DIR --out DIR --stage STAGE`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from .. import host
from ..errors import Cancelled, InputError

CONFIGS = Path(__file__).parent / "config"
STAGES = ("data", "vae", "image", "video", "speech", "voice", "pack")


def load_config(name: str) -> dict:
    """A configuration by its name in config/ or by its path."""
    path = CONFIGS / f"{name}.json"
    return json.loads((path if path.is_file() else Path(name)).read_text(encoding="utf-8"))


def run_stage(stage: str, config: dict, data: Path, out: Path, part: tuple[int, int] = (0, 1)) -> None:
    """Run one stage; see the command's help. part: (number, of how many) processes that share the stage `data` or `speech`."""
    if stage == "data":
        from .dataset import make_data

        make_data(data, range(part[0], config["data"]["people"], part[1]), config["data"]["frames"])
    elif stage == "vae":
        from .vae import train_vae

        train_vae(config, data, out)
    elif stage == "speech":
        from .speech_corpus import make_corpus

        make_corpus(data / "speech", range(part[0], config["speech"]["items"], part[1]), config["speech"]["seconds"])
    elif stage == "voice":
        from .voice import train_voice

        train_voice(config, data, out)
    else:
        from .stages import train_image, train_video, write_bundled

        if stage == "image":
            train_image(config, data, out)
        elif stage == "video":
            train_video(config, out)
        else:
            pack = write_bundled(config, out)
            if (out / "voice.safetensors").is_file():
                from .voice import write_audio

                write_audio(config, out, pack)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the bundled pack on synthetic people, stage after stage.")
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training data")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints, losses and the pack")
    parser.add_argument("--config", default="bundled", help="bundled, tiny, or the path of a JSON file")
    parser.add_argument("--part", default="0/1", help="I/N: this process makes every N-th person or speech, from I (stages data and speech)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (0: all)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    from ..graph.terminal import TerminalHost, interruptible

    terminal = TerminalHost()
    number, count = (int(x) for x in options.part.split("/"))
    with host.use(terminal), interruptible(terminal):
        try:
            run_stage(options.stage, load_config(options.config), options.data, options.out, (number, count))
        except Cancelled:
            terminal.say("Stopped; the same command goes on from here.")
            sys.exit(130)
        except InputError as error:
            terminal.say(str(error))
            sys.exit(2)


if __name__ == "__main__":
    main()
