"""`mimaface batch`: run many pairs of source and driver, and go on where a batch stopped."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ..mimaface_core.errors import Cancelled, InputError
from .crew import add_crew, crew_options

if TYPE_CHECKING:
    from ..mimaface_core.terminal import TerminalHost
    from ..scale.plan import BatchOptions


def add(commands: argparse._SubParsersAction) -> None:
    """Add `batch` to the commands."""
    parser = commands.add_parser(
        "batch",
        help="run many pairs of source and driver",
        description="Run each pair of a list, or of two folders. The same command again goes on: results that are there"
        " and fit the present inputs and settings are kept. The last line on standard output is JSON: done, failed,"
        " skipped, left, seconds, failures.",
        epilog="Columns: source, driver, audio, output, graph, set.TITLE.INPUT; paths are relative to the list.",
    )
    parser.add_argument("listed", nargs="?", metavar="PAIRS", help="a list: .csv or .jsonl")
    parser.add_argument("--sources", type=Path, metavar="DIR", help="instead of PAIRS: each photograph in this folder")
    parser.add_argument("--drivers", type=Path, metavar="DIR", help="with each clip or photograph in this one")
    parser.add_argument(
        "--output-dir", required=True, metavar="OUT", help="where the results go: a folder, or an address (s3://…)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TITLE.INPUT=VALUE",
        help="a value for all pairs: --set sampler.steps=8; may be repeated",
    )
    parser.add_argument(
        "--result", metavar="TITLE", help="the node that writes the result (full, the whole photograph)"
    )
    add_crew(parser, "pair")
    parser.add_argument(
        "--server", action="append", default=[], metavar="URL", help="run on this ComfyUI server; may be repeated"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="run at most N pairs now")
    parser.add_argument("--only-failed", action="store_true", help="run only pairs whose last attempt failed")
    parser.add_argument("--dry-run", action="store_true", help="only check everything, and estimate time and disk")
    parser.set_defaults(work=work)


def work(options: argparse.Namespace) -> int:
    """Check everything, run the pairs, print the JSON line; 1 where some failed."""
    from ..mimaface_core.terminal import TerminalHost, interruptible
    from ..scale.batch import run_batch
    from ..scale.plan import BatchOptions
    from ..scale.stores import batch_folder, is_url

    crew = crew_options(options)
    if options.limit is not None and options.limit < 1:
        raise InputError(f"--limit {options.limit} is out of range; use at least 1.")
    if options.ray and options.server:
        raise InputError("--ray and --server are both given; a batch runs on one of them.")
    output = batch_folder(options.output_dir)
    batch = BatchOptions(
        output=output,
        store=options.output_dir if is_url(options.output_dir) else None,
        listed=options.listed,
        sources=options.sources,
        drivers=options.drivers,
        settings=options.set,
        result=options.result,
        crew=crew,
        servers=list(dict.fromkeys(options.server)),
        limit=options.limit,
        only_failed=options.only_failed,
    )
    host = TerminalHost(outputs=output.absolute())
    if options.dry_run:
        with interruptible(host):
            return _dry_run(batch, host)
    summary = run_batch(batch, host)
    print(json.dumps(summary.as_json()), flush=True)
    if summary.cancelled:
        raise Cancelled("The batch was cancelled.")
    return 1 if summary.failures else 0


def _dry_run(batch: BatchOptions, host: TerminalHost) -> int:
    """Say what a batch would do, and print it as JSON."""
    from ..scale.plan import check_batch, estimate, plan_batch, shown_faults
    from ..scale.progress import spoken

    plan = plan_batch(batch, *check_batch(batch, host), host)
    for line in shown_faults(plan.faults):
        host.say(line)
    guess = estimate(plan, batch)
    basis = f"as {guess.pairs} finished ones tell" if guess.pairs else "a guess, since none is finished yet"
    folder = next(path for path in (batch.output.absolute(), *batch.output.absolute().parents) if path.exists())
    host.say(
        f"{len(plan.todo)} pairs to run, {len(plan.done)} done, {len(plan.faults)} that cannot run; about"
        f" {spoken(guess.seconds)} and {guess.size / 1e6:.1f} MB ({basis}); {shutil.disk_usage(folder).free / 1e6:.0f}"
        " MB are free."
    )
    result = {
        "pairs": len(plan.todo),
        "skipped": len(plan.done),
        "failed": len(plan.faults),
        "left": plan.left_out,
        "seconds": round(guess.seconds, 1),
        "bytes": round(guess.size),
        "failures": [{"pair": fault.pair, "reason": fault.reason} for fault in plan.faults],
    }
    print(json.dumps(result), flush=True)
    return 1 if plan.faults else 0
