"""`mimaface demo`, also `make demo`: animate a portrait with the shipped clip, and show source, driver and result."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..mimaface_core.errors import InputError
from .exit_status import exit_status

DRIVER = Path(__file__).resolve().parents[1] / "assets" / "demo_driver.mp4"
GRAPH = "reenact_video"
PORTRAIT_ROWS, PORTRAIT_COLUMNS = slice(0, 272), slice(92, 364)  # head and shoulders in the NASA portrait


def add(commands: argparse._SubParsersAction) -> None:
    """Add `demo` to the commands."""
    parser = commands.add_parser(
        "demo",
        help="animate a portrait and show it beside its driver",
        description="Animate a portrait and show it beside what drives it.",
    )
    _add_options(parser)
    parser.set_defaults(work=work)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", default="", metavar="PHOTO", help="the photograph (the NASA portrait)")
    parser.add_argument("--driver", default="", metavar="CLIP", help="the motion clip (the shipped one)")
    parser.add_argument("--pack", default="bundled", metavar="NAME", help="the model pack")
    parser.add_argument("--output-dir", type=Path, default=Path("demo_output"), metavar="DIR")


def work(options: argparse.Namespace) -> int:
    """Run the demo and print the paths of its videos."""
    source = Path(options.source).expanduser() if options.source else None
    driver = Path(options.driver).expanduser() if options.driver else DRIVER
    videos = run_demo(source, driver, options.output_dir.absolute(), options.pack)
    for label, path in zip(("the face", "the full image", "side by side"), videos, strict=True):
        print(f"{label + ':':<19}{path}")
    return 0


def run_demo(source: Path | None, driver: Path, folder: Path, pack: str = "bundled") -> list[Path]:
    """Animate a photograph by a clip.

    Args:
        source: the photograph; the NASA portrait when None.
        driver: the clip.
        folder: where the videos go.
        pack: name of the model pack.

    Returns:
        The videos: the face, the whole image, source and driver and result side by side. They are images where the
        driver is one frame.

    Raises:
        InputError: an input is refused.
        Cancelled: the user stops.
    """
    from ..headless.job import run_here
    from ..mimaface_core import host
    from ..mimaface_core.terminal import TerminalHost, interruptible
    from .side_by_side import side_by_side

    source = source or portrait(folder)
    written, _ = run_here(GRAPH, [f"source={source}", f"driver={driver}"], [f"pack.pack={pack}"], folder)
    face, whole = written[:2]
    terminal = TerminalHost(outputs=folder.absolute())
    with host.use(terminal), interruptible(terminal):
        return [face, whole, side_by_side(source, driver, whole, face.with_name(f"{face.stem}side_by_side"))]


def portrait(folder: Path) -> Path:
    """Save head and shoulders of the NASA portrait of Eileen Collins (public domain) as an image.

    Args:
        folder: where it goes.

    Returns:
        Its path.

    Raises:
        InputError: scikit-image, which carries the portrait, is missing, or the folder cannot be written.
    """
    import torch

    from ..mimaface_core.media.write import VideoWriter

    try:
        from skimage.data import astronaut
    except ImportError as error:
        raise InputError(
            "The demo's portrait comes with scikit-image: install it, or give a photograph with --source."
        ) from error
    frame = torch.from_numpy(astronaut()[PORTRAIT_ROWS, PORTRAIT_COLUMNS].copy())
    with VideoWriter(folder / "source.png", 1, "png") as writer:
        writer.write(frame)
    return writer.path


def main(arguments: list[str] | None = None) -> int:
    """Run the demo as a program of its own, for `python -m mimaface.cli.demo`; arguments and result as `cli.main`."""
    parser = argparse.ArgumentParser(description="Animate a portrait and show it beside what drives it.")
    _add_options(parser)
    return exit_status(work, parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
