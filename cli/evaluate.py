"""`mimaface evaluate`: score finished clips against their drivers, sources and voices."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from ..mimaface_core.errors import InputError
from ..mimaface_core.files import replacing
from .crew import add_crew, crew_options, has_crew

if TYPE_CHECKING:
    from ..mimaface_core.evaluation.batch import BatchEvaluation
    from ..mimaface_core.terminal import TerminalHost


def add(commands: argparse._SubParsersAction) -> None:
    """Add `evaluate` to the commands."""
    parser = commands.add_parser(
        "evaluate",
        help="score finished clips against their drivers, sources and voices",
        description="Score a finished clip, or a folder of them. The last line on standard output is JSON: all scores, "
        "with the estimator of each and where its weights lie, and the reason where one cannot be had.",
        epilog="In folders an output is called SOURCE_DRIVER, or like its driver; or a list names what belongs"
        " together.",
    )
    _add_files(parser)
    parser.add_argument("--frames", type=int, metavar="N", help="score at most the first N frames of a clip")
    parser.add_argument("--clip", type=int, default=12, metavar="N", help="frames of a clip as it was sampled (12)")
    parser.add_argument(
        "--overlap", type=int, default=3, metavar="N", help="frames that clips share as they were sampled (3)"
    )
    parser.add_argument(
        "--syncnet",
        type=Path,
        metavar="FILE",
        help="SyncNet's weights for LSE-C and LSE-D (models/mimaface/syncnet/syncnet_v2.model)",
    )
    parser.add_argument("--report", type=Path, metavar="DIR", help="write report.html and scores.json there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the scores into this file")
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIR",
        help="keep the scores of each pair there, and measure only what is new or has changed (with workers: scores)",
    )
    add_crew(parser, "pair")
    parser.set_defaults(work=work)


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, metavar="PATH", help="the clip to be scored, or a folder of them")
    parser.add_argument("--source", type=Path, metavar="PATH", help="the photograph that it shows, or a folder")
    parser.add_argument("--driver", type=Path, metavar="PATH", help="the clip that moved it, or a folder")
    parser.add_argument("--same", action="store_true", help="self-reenactment: the driver's first frame is the source")
    parser.add_argument(
        "--audio", type=Path, metavar="PATH", help="the voice, where the clip has none or another one; or a folder"
    )
    parser.add_argument(
        "--pairs", type=Path, metavar="FILE", help="CSV or JSON with output, source, driver, audio, instead of names"
    )


def work(options: argparse.Namespace) -> int:
    """Score clips, print the scores for people on standard error and the JSON line on standard output."""
    from ..mimaface_core import host
    from ..mimaface_core.evaluation.batch import BatchEvaluation
    from ..mimaface_core.evaluation.pairs import find_pairs
    from ..mimaface_core.terminal import TerminalHost, interruptible
    from ..scale.scores import ScoreSettings, score_by_workers

    if options.json and not options.json.absolute().parent.is_dir():
        raise InputError(f"--json {options.json}: there is no such folder; make it, or name another file.")
    if options.frames is not None and options.frames < 1:
        raise InputError(f"--frames {options.frames}: at least one frame is needed.")
    pairs = find_pairs(options.output, options.source, options.driver, options.audio, options.pairs, options.same)
    syncnet = str(options.syncnet.absolute()) if options.syncnet else None
    settings = ScoreSettings(options.same, syncnet, options.frames, options.clip, options.overlap)
    crew, terminal = crew_options(options), TerminalHost()
    with interruptible(terminal), host.use(terminal):
        if options.keep or has_crew(options):
            batch = score_by_workers(pairs, settings, options.keep or Path("scores"), crew, terminal)
            _report(batch, options, terminal)
            return 0
        batch = BatchEvaluation(pairs, settings.evaluation())
        try:
            batch.run()
        finally:
            if batch.reports:  # also those scored before a cancel
                _report(batch, options, terminal)
    return 0


def _report(batch: BatchEvaluation, options: argparse.Namespace, terminal: TerminalHost) -> None:
    """Scores for people, the report, the JSON line and its file."""
    from ..mimaface_core.evaluation.batch import describe_scores
    from ..mimaface_core.evaluation.meters.sync import describe
    from ..mimaface_core.evaluation.report import write_report

    result = batch.result()
    for line in describe_scores(result["scores"]):
        terminal.say(line)
    if "mouth" in result.get("sync", {}):
        for line in describe(result["sync"]):
            terminal.say(line)
    if options.report:
        title = f"Evaluation of {(options.pairs or options.output).stem}"
        terminal.say(f"Report: {write_report(options.report, title, result, batch.scored)}")
    text = json.dumps(result)
    print(text, flush=True)
    if options.json:
        try:
            with replacing(options.json) as part:
                part.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"--json {options.json}: {error.strerror}; name another file.") from error
