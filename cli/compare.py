"""`mimaface compare`: finished evaluations side by side."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..mimaface_core.errors import InputError


def add(commands: argparse._SubParsersAction) -> None:
    """Add `compare` to the commands."""
    parser = commands.add_parser(
        "compare",
        help="compare finished evaluations, with intervals",
        description="Compare what `mimaface evaluate --json` wrote for the same pairs, of versions, packs or settings:"
        " means and differences from the first, with intervals of 95 %. The last line on standard output is JSON.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN.json", help="evaluations; the first is the base")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the table there, in Markdown")
    parser.set_defaults(work=work)


def work(options: argparse.Namespace) -> int:
    """Print the table on standard error and the JSON line on standard output."""
    from ..mimaface_core.evaluation.comparison import compare_runs, read_run, table_of
    from ..mimaface_core.files import replacing
    from ..mimaface_core.terminal import TerminalHost

    names = {path: path.stem for path in options.runs}
    if len(set(names.values())) < max(2, len(options.runs)):
        raise InputError("At least two evaluations are compared, each with a file name of its own; name them.")
    rows = compare_runs({name: read_run(path) for path, name in names.items()})
    table = table_of(rows)
    TerminalHost().say(table)
    if options.report:
        try:
            with replacing(options.report) as part:
                part.write_text(table + "\n", encoding="utf-8")
        except OSError as error:
            raise InputError(f"--report {options.report}: {error.strerror}; name another file.") from error
    print(json.dumps({"scores": rows}), flush=True)
    return 0
