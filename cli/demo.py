"""What `make demo` runs: animate a portrait with the shipped clip and put source, driver and result side by side."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ..headless.job import run_here
from ..mimaface_core import host
from ..mimaface_core.errors import Cancelled, InputError
from ..mimaface_core.media.audio import read_audio
from ..mimaface_core.media.provenance import synthetic_metadata
from ..mimaface_core.media.read import Clip, read_image
from ..mimaface_core.media.write import VideoWriter
from ..mimaface_core.terminal import TerminalHost, interruptible

DRIVER = Path(__file__).resolve().parents[1] / "assets" / "demo_driver.mp4"
GRAPH = "reenact_video"
HEIGHT = 512  # of the side-by-side film
HEAD = (slice(0, 272), slice(92, 364))  # rows and columns of head and shoulders in the portrait


def portrait(folder: Path) -> Path:
    """Save head and shoulders of the NASA portrait of Eileen Collins (public domain) as a picture in `folder`.

    Raises InputError where scikit-image, which carries the portrait, is missing or the folder cannot be written.
    """
    try:
        from skimage.data import astronaut
    except ImportError as error:
        raise InputError(
            "The demo's portrait comes with scikit-image: install it, or give a photograph with --source."
        ) from error
    frame = torch.from_numpy(astronaut()[HEAD].copy())
    with VideoWriter(folder / "source.png", 1, "png") as picture:
        picture.write(frame)
    return picture.path


def side_by_side(source: Path, driver: Path, result: Path, path: Path) -> Path:
    """Write source | driver | result as one film, or as one picture where the result is one; returns its path.

    source: a picture. driver, result: clips of the same length, or pictures. path: without the suffix. The result's
    frame rate and sound are kept.
    """
    still = result.suffix == ".png"
    film = None if still else Clip.open(result)
    writer = VideoWriter(
        path,
        1 if still else film.fps,
        "png" if still else "mp4",
        audio=read_audio(result) if film and film.has_audio else None,
        metadata=synthetic_metadata(),
    )
    fixed = _panel(read_image(source))
    with writer, host.current().progress(film.frames if film else 1, "side by side") as progress:
        for pair in zip(_frames(driver), _frames(result), strict=False):
            writer.write(torch.cat([fixed, *map(_panel, pair)], 1))
            progress.update()
    return writer.path


def _frames(path: Path) -> Iterator[Tensor]:
    """Frames [H, W, 3] in 0–1 of a clip or picture."""
    if path.suffix.lower() == ".png":
        yield read_image(path)
        return
    for frame in Clip.open(path):
        yield frame.float() / 255


def _panel(picture: Tensor) -> Tensor:
    """A picture [H, W, 3] in 0–1 as uint8 of HEIGHT, its width in proportion."""
    height, width = picture.shape[:2]
    size = (HEIGHT, max(2, round(width * HEIGHT / height / 2) * 2))
    scaled = torch.nn.functional.interpolate(
        picture.permute(2, 0, 1)[None], size, mode="bicubic", antialias=True, align_corners=False
    )
    return (scaled[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0)


def run_demo(source: Path | None, driver: Path, folder: Path, pack: str = "bundled") -> list[Path]:
    """Animate `source` (the portrait when None) by `driver` into `folder`; the films: face, whole picture, side by side.

    pack: name of the model pack.
    Raises InputError for input that is refused, Cancelled when the user stops.
    """
    source = source or portrait(folder)
    written, _ = run_here(GRAPH, [f"source={source}", f"driver={driver}"], [f"pack.pack={pack}"], folder)
    face, whole = written[:2]
    terminal = TerminalHost(outputs=folder.absolute())
    with host.use(terminal), interruptible(terminal):
        return [face, whole, side_by_side(source, driver, whole, face.with_name(f"{face.stem}side_by_side"))]


def main(arguments: list[str] | None = None) -> int:
    """Run the demo with the given arguments (those of the process when None) and return the exit status."""
    parser = argparse.ArgumentParser(description="Animate a portrait and show it beside what drives it.")
    parser.add_argument("--source", default="", metavar="PHOTO", help="the photograph (the NASA portrait)")
    parser.add_argument("--driver", default="", metavar="CLIP", help="the motion clip (the shipped one)")
    parser.add_argument("--pack", default="bundled", metavar="NAME", help="the model pack")
    parser.add_argument("--output-dir", type=Path, default=Path("demo_output"), metavar="DIR")
    options = parser.parse_args(arguments)
    source = Path(options.source).expanduser() if options.source else None
    driver = Path(options.driver).expanduser() if options.driver else DRIVER
    try:
        films = run_demo(source, driver, options.output_dir.absolute(), options.pack)
    except InputError as refused:
        print(refused, file=sys.stderr)
        return 2
    except (Cancelled, KeyboardInterrupt):
        print("Cancelled. Files that were finished are kept.", file=sys.stderr)
        return 130
    for label, path in zip(("the face", "the whole picture", "side by side"), films, strict=True):
        print(f"{label + ':':<19}{path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
