"""`mimaface detect`: what marks of synthetic media images and videos carry."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..mimaface_core.errors import InputError


def add(commands: argparse._SubParsersAction) -> None:
    """Add `detect` to the commands."""
    parser = commands.add_parser(
        "detect",
        help="find marks of synthetic media in images and videos",
        description="Find marks of synthetic media: metadata, content credentials (C2PA), and the watermark of this"
        " extension. The last line on standard output is JSON, an object for each file.",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="an image or a video")
    parser.set_defaults(work=work)


def work(options: argparse.Namespace) -> int:
    """Look at every file, say what was found, print the JSON line; 2 where a file could not be read."""
    from ..mimaface_core.media.marks.report import marks_of

    found, refused = [], 0
    for path in options.files:
        try:
            marks = marks_of(path)
        except InputError as error:
            print(error, file=sys.stderr)
            found.append({"file": str(path), "error": str(error)})
            refused += 1
            continue
        print(path, *(f"  {sentence}" for sentence in marks.sentences()), sep="\n", flush=True)
        found.append({"file": str(path), **marks.as_json()})
    print(json.dumps({"files": found}, ensure_ascii=False), flush=True)
    return 2 if refused else 0
