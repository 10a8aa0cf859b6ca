"""`mimaface sign`: content credentials (C2PA) for finished files."""

from __future__ import annotations

import argparse
from pathlib import Path


def add(commands: argparse._SubParsersAction) -> None:
    """Add `sign` to the commands."""
    parser = commands.add_parser(
        "sign",
        help="sign finished files with content credentials (C2PA)",
        description="Sign finished files of this extension with content credentials (C2PA), in place. It has to be the"
        " last step: what changes a file afterwards makes its credentials invalid.",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="an mp4, mov, png, jpg, webp or gif")
    parser.add_argument("--source", type=Path, metavar="PHOTO", help="the photograph, noted as an ingredient")
    parser.add_argument(
        "--certificate",
        type=Path,
        metavar="PEM",
        help="certificates, leaf first, and private key (a self-made one, which checking tools do not know)",
    )
    parser.set_defaults(work=work)


def work(options: argparse.Namespace) -> int:
    """Check that all can be signed, sign them, print their names."""
    from ..mimaface_core.errors import InputError
    from ..mimaface_core.media.container import existing_file
    from ..mimaface_core.media.image import open_image, rgb_pixels
    from ..mimaface_core.media.marks.report import marks_of
    from ..mimaface_core.media.marks.sign import check_signing, sign
    from ..mimaface_core.media.provenance import own_credentials

    for path in options.files:
        existing_file(path)
        check_signing(path.suffix)
    photograph = None
    if options.source is not None:
        with open_image(options.source) as image:
            photograph = rgb_pixels(image)
    for path in options.files:
        marks = marks_of(path)
        mark = marks.watermark.payload if marks.watermark is not None else None
        if not marks.ours and mark is None:
            raise InputError(f"'{path.name}' was not made by this extension; sign only its own files.")
        sign(path, own_credentials(mark, photograph, options.certificate))
        print(path)
    return 0
