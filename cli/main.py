"""The `mimaface` command: run a graph here or on a ComfyUI server, score clips, train, look after and convert model packs.

Exit status 0; 2 for a refused input, with a line for each problem on standard error; 130 when cancelled.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from ..mimaface_core.errors import Cancelled, InputError
from .train import add as add_train


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
        help="score finished clips against their drivers, sources and voices",
        description="Score a finished clip, or a folder of them. The last line on standard output is JSON: all scores, "
        "with the estimator of each and where its weights lie, and the reason where one cannot be had.",
        epilog="In folders an output is called SOURCE_DRIVER, or like its driver; or a list names what belongs together.",
    )
    evaluate.add_argument("--output", type=Path, metavar="PATH", help="the clip to be scored, or a folder of them")
    evaluate.add_argument("--source", type=Path, metavar="PATH", help="the photograph that it shows, or a folder")
    evaluate.add_argument("--driver", type=Path, metavar="PATH", help="the clip that moved it, or a folder")
    evaluate.add_argument(
        "--same", action="store_true", help="self-reenactment: the driver's first frame is the source"
    )
    evaluate.add_argument(
        "--audio", type=Path, metavar="PATH", help="the voice, where the clip has none or another one; or a folder"
    )
    evaluate.add_argument(
        "--pairs", type=Path, metavar="FILE", help="CSV or JSON with output, source, driver, audio, instead of names"
    )
    evaluate.add_argument("--frames", type=int, metavar="N", help="score at most the first N frames of a clip")
    evaluate.add_argument("--clip", type=int, default=12, metavar="N", help="frames of a clip as it was sampled (12)")
    evaluate.add_argument(
        "--overlap", type=int, default=3, metavar="N", help="frames that clips share as they were sampled (3)"
    )
    evaluate.add_argument(
        "--syncnet",
        type=Path,
        metavar="FILE",
        help="SyncNet's weights for LSE-C and LSE-D (models/mimaface/syncnet/syncnet_v2.model)",
    )
    evaluate.add_argument("--report", type=Path, metavar="DIR", help="write report.html and scores.json there")
    evaluate.add_argument("--json", type=Path, metavar="FILE", help="also write the scores into this file")
    evaluate.set_defaults(work=evaluate_command)

    add_train(commands)

    pack = commands.add_parser("pack", help="list, verify or convert model packs").add_subparsers(
        required=True, metavar="WHAT"
    )
    pack.add_parser("list", help="the packs that are found, with their folders").set_defaults(work=list_command)
    verify = pack.add_parser(
        "verify",
        help="load every part of a pack, or check the published weights key by key",
        description="Load every part of a pack and check its files' hashes; of a folder with the published weights, "
        "hold every file against the published keys and shapes.",
    )
    verify.add_argument("pack", metavar="PACK", help="a pack's name or folder, or a folder with the published weights")
    verify.set_defaults(work=verify_command)

    convert = pack.add_parser(
        "convert",
        help="make a pack of the published weights",
        description="Make a pack of the published weights: safetensors, checked file by file. Run again after an "
        "interruption, it goes on with the next file.",
    )
    convert.add_argument("folder", type=Path, metavar="DIR", help="the published folder: checkpoints/ and models/")
    convert.add_argument("out", type=Path, metavar="OUT", help="the pack's folder (models/mimaface/released)")
    convert.add_argument(
        "--vae",
        metavar="PATH",
        help="sd-vae-ft-mse: a folder, a file (also a whole Stable Diffusion 1.5 checkpoint), or a name in ComfyUI's "
        "models/vae or models/checkpoints; looked for in DIR and there by itself",
    )
    convert.add_argument("--half", action="store_true", help="store in half precision: half the size")
    convert.add_argument(
        "--download", action="store_true", help="first fetch into DIR, from the model hub, what it lacks"
    )
    convert.set_defaults(work=convert_command)
    return parser


def run_command(options: argparse.Namespace) -> int:
    """`mimaface run`: check everything, run the graph, print the JSON line."""
    from ..headless.job import run_here, run_on_server

    started = time.monotonic()
    if options.server:
        written, frames = run_on_server(options.graph, options.input, options.set, options.output_dir, options.server)
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
    """`mimaface evaluate`: score clips, say it to people on standard error and print the JSON line."""
    from ..mimaface_core import host
    from ..mimaface_core.evaluation.batch import BatchEvaluation
    from ..mimaface_core.evaluation.evaluate import Evaluation
    from ..mimaface_core.evaluation.pairs import find_pairs
    from ..mimaface_core.packs.find import find_pack
    from ..mimaface_core.terminal import TerminalHost, interruptible

    if options.json and not options.json.absolute().parent.is_dir():
        raise InputError(f"--json {options.json}: there is no such folder; make it, or name another file.")
    if options.frames is not None and options.frames < 1:
        raise InputError(f"--frames {options.frames}: at least one frame is needed.")
    pairs = find_pairs(options.output, options.source, options.driver, options.audio, options.pairs, options.same)
    terminal, pack = TerminalHost(), find_pack("bundled")
    with interruptible(terminal), host.use(terminal):
        protocol = BatchEvaluation(
            pairs,
            Evaluation(
                same=options.same,
                encoder=lambda crops: pack.appearance.encode_source(crops),
                syncnet=options.syncnet,
                max_frames=options.frames,
                clip=options.clip,
                overlap=options.overlap,
            ),
        )
        try:
            protocol.run()
        finally:
            if protocol.reports:  # also what was scored before somebody cancelled
                _tell(protocol, options, terminal)
    return 0


def _tell(protocol, options: argparse.Namespace, terminal) -> None:
    """Scores for people, the report, the JSON line and its file."""
    from ..mimaface_core.evaluation.batch import describe_scores
    from ..mimaface_core.evaluation.meters.sync import describe
    from ..mimaface_core.evaluation.report import write_report

    result = protocol.result()
    for line in describe_scores(result["scores"]):
        terminal.say(line)
    if "mouth" in result.get("sync", {}):
        for line in describe(result["sync"]):
            terminal.say(line)
    if options.report:
        title = f"Evaluation of {(options.pairs or options.output).stem}"
        terminal.say(f"Report: {write_report(options.report, title, result, protocol.scored)}")
    text = json.dumps(result)
    print(text, flush=True)
    if options.json:
        try:
            options.json.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"--json {options.json}: {error.strerror}; name another file.") from error


def list_command(options: argparse.Namespace) -> int:
    """`mimaface pack list`: name and folder of each pack."""
    from ..mimaface_core.packs.find import list_packs

    for name, folder in list_packs().items():
        print(f"{name}\t{folder}")
    return 0


def verify_command(options: argparse.Namespace) -> int:
    """`mimaface pack verify PACK`: load every part and say how large it is, or check the published folder."""
    from ..mimaface_core import host
    from ..mimaface_core.packs.files import verify_files
    from ..mimaface_core.packs.find import find_pack, list_packs
    from ..mimaface_core.packs.manifest import MANIFEST
    from ..mimaface_core.packs.released.check import check_released
    from ..mimaface_core.terminal import TerminalHost, interruptible

    terminal, folder = TerminalHost(), Path(options.pack)
    with interruptible(terminal), host.use(terminal):
        if options.pack not in list_packs() and folder.is_dir() and not (folder / MANIFEST).is_file():
            report = check_released(folder)
            print(*report.lines(), sep="\n")
            if problems := report.problems(with_vae=report.vae.path is not None):
                raise InputError("\n".join(problems))
            print(f"{folder}: every published file fits.")
            return 0
        pack = find_pack(options.pack)
        verify_files(pack.folder, pack.manifest)
        for part, size in pack.verify().items():
            print(f"{part}\t{size['parameters']:,} parameters\t{size['bytes'] / 1e6:.1f} MB")
    print(f"{pack.name}: every part loads.")
    return 0


def convert_command(options: argparse.Namespace) -> int:
    """`mimaface pack convert DIR OUT`: fetch what is missing if asked to, check everything, write the pack."""
    from ..mimaface_core import host
    from ..mimaface_core.packs.released.convert import convert_released
    from ..mimaface_core.packs.released.hub import NOTICE, download_released
    from ..mimaface_core.terminal import TerminalHost, interruptible

    terminal = TerminalHost()
    with interruptible(terminal), host.use(terminal):
        if options.download:
            terminal.say(NOTICE)
            download_released(options.folder, with_vae=options.vae is None)
        report = convert_released(options.folder, options.out, options.vae, options.half)
    print(*report.lines(), sep="\n")
    size = sum(path.stat().st_size for path in options.out.glob("*.safetensors"))
    print(f"{options.out}: a model pack of {size / 1e9:.1f} GB. In models/mimaface it is found by its folder's name.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
