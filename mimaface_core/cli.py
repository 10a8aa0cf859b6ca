"""The `mimaface` command: run a graph here or on a ComfyUI server, score clips, look after model packs.

Exit status 0; 2 for a refused input, with a line for each problem on standard error; 130 when cancelled.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from .errors import Cancelled, InputError


def main(arguments: list[str] | None = None) -> int:
    """Run the command with the given arguments (those of the process when None) and return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.work(options)
    except InputError as refused:
        print(f"\n{refused}" if sys.stderr.isatty() else refused, file=sys.stderr)
        return 2
    except (Cancelled, KeyboardInterrupt):
        print("Cancelled. Files that were finished are kept.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mimaface", description="Animate the face of a photograph.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run",
        help="run a graph (ComfyUI's API format)",
        description="Run a graph. The last line on standard output is JSON: outputs, frames, seconds.",
    )
    run.add_argument("graph", metavar="GRAPH", help="graph file, or the name of a shipped one: reenact_video")
    run.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="TITLE=PATH",
        help="the file of the LoadImage, LoadVideo or LoadAudio node with that title; may be repeated",
    )
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TITLE.INPUT=VALUE",
        help="a value of the node with that title: --set sampler.steps=8; may be repeated",
    )
    run.add_argument(
        "--output-dir",
        type=Path,
        default=Path("output"),
        metavar="DIR",
        help="where the results go (./output)",
    )
    run.add_argument("--server", metavar="URL", help="run it on the ComfyUI at that address instead of here")
    run.set_defaults(work=run_command)

    evaluate = commands.add_parser(
        "evaluate",
        help="score a finished clip: does the mouth go with the sound?",
        description="Score a finished clip. The last line on standard output is JSON: all scores, with the "
        "estimator of each, and the reason where one cannot be had.",
    )
    evaluate.add_argument("--output", required=True, type=Path, metavar="CLIP", help="the clip to be scored")
    evaluate.add_argument(
        "--audio", type=Path, metavar="FILE", help="the voice, where the clip has none or another one"
    )
    evaluate.add_argument(
        "--syncnet",
        type=Path,
        metavar="FILE",
        help="SyncNet's weights for LSE-C and LSE-D (models/mimaface/syncnet/syncnet_v2.model)",
    )
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="also write the scores into this file")
    evaluate.set_defaults(work=evaluate_command)

    pack = commands.add_parser("pack", help="list or verify model packs").add_subparsers(
        required=True, metavar="WHAT"
    )
    pack.add_parser("list", help="the packs that are found, with their folders").set_defaults(
        work=list_command
    )
    verify = pack.add_parser("verify", help="load every part of a pack")
    verify.add_argument("pack", metavar="PACK", help="a pack's name or folder")
    verify.set_defaults(work=verify_command)
    return parser


def run_command(options: argparse.Namespace) -> int:
    """`mimaface run`: check everything, run the graph, print the JSON line."""
    from .graph.job import run_here, run_on_server

    started = time.monotonic()
    if options.server:
        written, frames = run_on_server(
            options.graph, options.input, options.set, options.output_dir, options.server
        )
    else:
        written, frames = run_here(options.graph, options.input, options.set, options.output_dir)
    result = {
        "outputs": [str(path) for path in written],
        "frames": frames,
        "seconds": round(time.monotonic() - started, 3),
    }
    print(json.dumps(result), flush=True)
    return 0


def evaluate_command(options: argparse.Namespace) -> int:
    """`mimaface evaluate`: score a clip, say it to people on standard error and print the JSON line."""
    from . import host
    from .evaluation.sync import describe, evaluate_sync
    from .graph.terminal import TerminalHost, interruptible

    if options.json and not options.json.absolute().parent.is_dir():
        raise InputError(f"--json {options.json}: there is no such folder; make it, or name another file.")
    terminal = TerminalHost()
    with interruptible(terminal), host.use(terminal):
        sync = evaluate_sync(options.output, options.audio, options.syncnet)
    for line in describe(sync):
        terminal.say(line)
    result = json.dumps({"output": str(options.output), "sync": sync})
    print(result, flush=True)
    if options.json:
        try:
            options.json.write_text(result + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"--json {options.json}: {error.strerror}; name another file.") from error
    return 0


def list_command(options: argparse.Namespace) -> int:
    """`mimaface pack list`: name and folder of each pack."""
    from .packs.pack import list_packs

    for name, folder in list_packs().items():
        print(f"{name}\t{folder}")
    return 0


def verify_command(options: argparse.Namespace) -> int:
    """`mimaface pack verify PACK`: load every part and say how large it is."""
    from .packs.pack import find_pack

    pack = find_pack(options.pack)
    for part, size in pack.verify().items():
        print(f"{part}\t{size['parameters']:,} parameters\t{size['bytes'] / 1e6:.1f} MB")
    print(f"{pack.name}: every part loads.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
