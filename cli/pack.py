"""`mimaface pack`: list, verify or convert model packs."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..mimaface_core.errors import InputError


def add(commands: argparse._SubParsersAction) -> None:
    """Add `pack` with its own subcommands to the commands."""
    parser = commands.add_parser("pack", help="list, verify or convert model packs")
    tasks = parser.add_subparsers(required=True, metavar="WHAT")
    tasks.add_parser("list", help="the packs that are found, with their folders").set_defaults(work=print_packs)
    _add_verify(tasks)
    _add_convert(tasks)


def _add_verify(tasks: argparse._SubParsersAction) -> None:
    parser = tasks.add_parser(
        "verify",
        help="load every part of a pack, or check the released weights key by key",
        description="Load every part of a pack and check its files' hashes; of a folder with the released weights, "
        "check every file against the released keys and shapes.",
    )
    parser.add_argument("pack", metavar="PACK", help="a pack's name or folder, or a folder with the released weights")
    parser.set_defaults(work=verify)


def _add_convert(tasks: argparse._SubParsersAction) -> None:
    parser = tasks.add_parser(
        "convert",
        help="make a pack of the released weights, or of IF-MDM's checkpoints",
        description="Make a pack of the released weights: safetensors, checked file by file. Run again after an "
        "interruption, it resumes with the next file. Of a checkpoint of IF-MDM's stage 1, make a pack for implicit "
        "motion; nothing in the file is run.",
    )
    parser.add_argument(
        "folder",
        type=Path,
        metavar="DIR",
        help="the folder of the released weights (checkpoints/ and models/), or IF-MDM's checkpoint of stage 1",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="the pack's folder (models/mimaface/released)")
    parser.add_argument(
        "--vae",
        metavar="PATH",
        help="sd-vae-ft-mse: a folder, a file (also a whole Stable Diffusion 1.5 checkpoint), or a name in ComfyUI's "
        "models/vae or models/checkpoints; looked for in DIR and there by itself",
    )
    parser.add_argument("--half", action="store_true", help="store in half precision: half the size")
    parser.add_argument(
        "--download", action="store_true", help="first fetch into DIR, from the model hub, what it lacks"
    )
    parser.add_argument(
        "--transformer", type=Path, metavar="FILE", help="of IF-MDM: the checkpoint of stage 2, for speech"
    )
    parser.add_argument(
        "--speech",
        metavar="NAME",
        help="of IF-MDM: the folder, in OUT or beside it, of the wav2vec 2.0 or HuBERT that stage 2 was trained with",
    )
    parser.set_defaults(work=convert)


def print_packs(_: argparse.Namespace) -> int:
    """`mimaface pack list`: name and folder of each pack."""
    from ..mimaface_core.packs.find import list_packs

    for name, folder in list_packs().items():
        print(f"{name}\t{folder}")
    return 0


def verify(options: argparse.Namespace) -> int:
    """`mimaface pack verify PACK`: load every part and print its size, or check the folder of released weights."""
    from ..mimaface_core import host
    from ..mimaface_core.packs.entries import MANIFEST
    from ..mimaface_core.packs.files import verify_files
    from ..mimaface_core.packs.find import list_packs, open_pack
    from ..mimaface_core.packs.released.check import check_released
    from ..mimaface_core.terminal import TerminalHost, interruptible

    terminal, folder = TerminalHost(), Path(options.pack)
    with interruptible(terminal), host.use(terminal):
        if options.pack not in list_packs() and folder.is_dir() and not (folder / MANIFEST).is_file():
            report = check_released(folder)
            print(*report.lines(), sep="\n")
            if problems := report.problems(with_vae=report.vae.path is not None):
                raise InputError("\n".join(problems))
            print(f"{folder}: every released file fits.")
            return 0
        pack = open_pack(options.pack)
        verify_files(pack.folder, pack.manifest)
        for part, size in pack.verify().items():
            print(f"{part}\t{size['parameters']:,} parameters\t{size['bytes'] / 1e6:.1f} MB")
    print(f"{pack.name}: every part loads.")
    return 0


def convert(options: argparse.Namespace) -> int:
    """`mimaface pack convert DIR OUT`: download missing files if asked to, check everything, write the pack."""
    from ..mimaface_core import host
    from ..mimaface_core.packs.released.convert import convert_released
    from ..mimaface_core.packs.released.hub import NOTICE, download_released
    from ..mimaface_core.terminal import TerminalHost, interruptible

    terminal = TerminalHost()
    with interruptible(terminal), host.use(terminal):
        if options.folder.is_file():
            return _convert_implicit(options)
        if options.download:
            terminal.say(NOTICE)
            download_released(options.folder, with_vae=options.vae is None)
        report = convert_released(options.folder, options.out, options.vae, options.half)
    print(*report.lines(), sep="\n")
    size = sum(path.stat().st_size for path in options.out.glob("*.safetensors"))
    print(f"{options.out}: a model pack of {size / 1e9:.1f} GB. In models/mimaface it is found by its folder's name.")
    return 0


def _convert_implicit(options: argparse.Namespace) -> int:
    """A pack for implicit motion, of checkpoints of IF-MDM."""
    from ..mimaface_core.packs.convert_implicit import convert_implicit

    pack = convert_implicit(options.folder, options.out, options.transformer, options.speech, options.half)
    print(f"{options.out}: a pack for implicit motion. In models/mimaface it is found by its folder's name.")
    if pack.manifest.transformer is None:
        print("It has no motion transformer: videos drive it, voices do not.")
    return 0
