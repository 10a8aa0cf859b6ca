"""Corpus of synthetic speech on disk, one safetensors file an item."""

from __future__ import annotations

from pathlib import Path

from ... import host
from ...audio.voice.visemes import MOUTH
from ...errors import InputError
from ...files import replacing
from .items import ITEM_SECONDS, SpeechItem, make_item


def item_split(path: Path) -> str:
    """Split of a stored item.

    Raises:
        InputError: the file cannot be read.
    """
    return _about(path)["split"]


def item_path(folder: Path, number: int) -> Path:
    """Path of item `number`."""
    return folder / f"speech-{number:06d}.safetensors"


def save_item(path: Path, item: SpeechItem) -> None:
    """Write an item; the file appears under its name only when complete."""
    from safetensors.torch import save_file

    tensors = {"wave": item.wave, "viseme": item.viseme, "mouth": item.mouth.half(), "stress": item.stress.half()}
    with replacing(path) as part:
        save_file(tensors, part, item.about)


def load_item(path: Path) -> SpeechItem:
    """Read an item.

    Raises:
        InputError: the file cannot be read, or its mouth vectors have other numbers.
    """
    from safetensors.torch import load_file

    about = _about(path)
    tensors = load_file(path)
    if tensors["mouth"].shape[1] != len(MOUTH):
        raise InputError(f"The speech {path} was made for another mouth; delete the folder and make the data again.")
    return SpeechItem(tensors["wave"], tensors["viseme"], tensors["mouth"].float(), tensors["stress"].float(), about)


def _about(path: Path) -> dict[str, str]:
    """Metadata of an item's file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise InputError(f"The speech {path} cannot be read ({error}); delete it and make the data again.") from error


def make_corpus(folder: Path, items: range, seconds: float = ITEM_SECONDS) -> None:
    """Make the items that do not exist yet, in one process.

    Args:
        folder: of the corpus.
        items: numbers; each of several processes takes its own.
        seconds: least length of an item.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in items if not item_path(folder, number).is_file()]
    with host.current().progress(len(missing), "synthetic speech") as progress:
        for number in missing:
            host.current().check_cancelled()
            save_item(item_path(folder, number), make_item(number, seconds))
            progress.update()


def stored_items(folder: Path, split: str) -> list[Path]:
    """Items of a split (`train` or `held_out`) in a folder, in order.

    Raises:
        InputError: there are none.
    """
    paths = [path for path in sorted(folder.glob("speech-*.safetensors")) if item_split(path) == split]
    if not paths:
        raise InputError(f"{folder} holds no speech of the split {split}; make the speech first.")
    return paths
