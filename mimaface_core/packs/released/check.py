"""Check the released folder file by file, key by key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ... import host, weights
from ...diffusion.latents import build_vae
from ...errors import InputError
from ...morphable.model import MorphableModel
from ...weights import Misfit
from . import autoencoder
from .layout import (
    BFM,
    HOME,
    IMAGE_MODEL,
    RELEASED_FILES,
    REMEDY,
    Sizes,
    compare_released,
    read_arguments,
    shapes,
)


@dataclass(frozen=True)
class CheckedFile:
    """Result of checking one file.

    Attributes:
        name: key of `RELEASED_FILES`, `bfm` or `vae`.
        place: its path in the folder.
        path: the file; None where it is missing.
        misfit: keys and shapes that differ from the released ones.
        problem: reason why the file is of no use at all, without a full stop.
        config: arguments of its network, see `read_arguments`.
    """

    name: str
    place: str
    path: Path | None
    misfit: Misfit = field(default_factory=Misfit)
    problem: str = ""
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """True where the file can be used."""
        return self.path is not None and not self.misfit and not self.problem


@dataclass(frozen=True)
class FolderReport:
    """Result of checking a released folder.

    Attributes:
        folder: the released folder.
        files: name → result, of `RELEASED_FILES` and `bfm`.
        vae: the autoencoder, which may lie elsewhere.
        notes: further sentences for the user.
    """

    folder: Path
    files: dict[str, CheckedFile]
    vae: CheckedFile
    notes: list[str] = field(default_factory=list)

    @property
    def images(self) -> bool:
        """True where the image model is there."""
        return all(name in self.files for name in IMAGE_MODEL)

    def problems(self, with_vae: bool = True) -> list[str]:
        """A sentence for each file that cannot be used, with the remedy.

        Args:
            with_vae: include the autoencoder.
        """
        checked = [*self.files.values(), *([self.vae] if with_vae else [])]
        return [_sentence(one, self.folder) for one in checked if not one.good]

    def lines(self) -> Iterator[str]:
        """The whole report for the user: each file, and below it every key that is wrong."""
        for one in {one.path or one.place: one for one in (*self.files.values(), self.vae)}.values():
            state = "good" if one.good else "missing" if one.path is None else "unusable"
            size = f"\t{one.path.stat().st_size / 1e6:.1f} MB" if one.path and one.path.is_file() else ""
            yield f"{state}\t{one.path or one.place}{size}"
            yield from (f"\t{clause}" for clause in one.misfit.sentences())
        yield from self.notes


def check_released(folder: Path, vae: str | Path | None = None, sizes: Sizes | None = None) -> FolderReport:
    """Check every file of the released folder against the released keys and shapes.

    Args:
        folder: the folder with `checkpoints` and `models`.
        vae: the autoencoder's folder or file, see `autoencoder.find_vae`.
        sizes: of the networks; the released ones when None.

    Raises:
        InputError: no released file is there, or the named autoencoder is not.
    """
    sizes = sizes or Sizes()
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; name the one with the released checkpoints and models.")
    paths = {name: file.find(folder) for name, file in RELEASED_FILES.items()}
    if not any(paths.values()) and not (folder / BFM).is_file():
        raise InputError(
            f"{folder} holds nothing of the released weights; name the folder with checkpoints/ and models/, "
            f"as it is at {HOME}."
        )
    vae_place = autoencoder.find_vae(vae, folder, host.current().models_folders())

    images = any(paths[name] for name in IMAGE_MODEL)
    names = [name for name, file in RELEASED_FILES.items() if images or not file.image]
    files: dict[str, CheckedFile] = {}
    with host.current().progress(len(names) + 2, "checking files") as progress:
        for name in names:
            files[name] = _check(name, paths[name], sizes)
            progress.update()
        files["bfm"] = _check_bfm(folder / BFM, sizes)
        progress.update()
        checked_vae = _check_vae(vae_place, sizes)
        progress.update()
    if images and files["fuse"].good and files["image_fuse"].good:
        files["fuse"] = _check_swapped(files["fuse"], files["image_fuse"])
    notes = [] if images else ["There is no image model; single images will be drawn by the video model."]
    if vae_place is None:
        notes.append(
            f"{autoencoder.NAME} is released apart: convert takes it from --vae, or fetches it with --download."
        )
    return FolderReport(folder, files, checked_vae, notes)


def _check(name: str, path: Path | None, sizes: Sizes) -> CheckedFile:
    """Check one of `RELEASED_FILES`."""
    file = RELEASED_FILES[name]
    checked = CheckedFile(name, file.places[0], path)
    if path is None:
        return checked
    try:
        state = file.read(path)
        config = read_arguments(name, path, state, sizes)
        checked = replace(checked, misfit=compare_released(name, state, config, sizes), config=config)
    except InputError as error:
        return replace(checked, problem=str(error).rstrip("."))
    # A file in another one's place is better named than listed key by key.
    if checked.misfit.missing and checked.misfit.unexpected:
        for other in RELEASED_FILES.values():
            if not other.image and other.expected(sizes).keys() <= other.tidy(state).keys():
                return replace(checked, problem=f"it is what belongs at {other.places[0]}", misfit=Misfit())
    return checked


def _check_bfm(path: Path, sizes: Sizes) -> CheckedFile:
    """Check the face model: D3DFR's BFM09 has 35709 vertices, the whole BFM09 more."""
    checked = CheckedFile("bfm", BFM, path if path.is_file() else None)
    if checked.path is None:
        return checked
    try:
        vertices = len(MorphableModel.from_bfm(path).mean_shape)
    except InputError as error:
        return replace(checked, problem=str(error).rstrip("."))
    if vertices != sizes.vertices:
        return replace(checked, problem=f"it has {vertices} vertices; D3DFR's face model has {sizes.vertices}")
    return checked


def _check_vae(place: Path | None, sizes: Sizes) -> CheckedFile:
    """Check the autoencoder."""
    checked = CheckedFile("vae", autoencoder.NAME, place)
    if place is None:
        return checked
    try:
        state = autoencoder.read_vae(place)
        return replace(
            checked,
            path=autoencoder.vae_file(place),
            misfit=weights.compare(shapes(build_vae, autoencoder.CLASS, sizes.vae), state),
        )
    except InputError as error:
        return replace(checked, problem=str(error).rstrip("."))


def _check_swapped(video: CheckedFile, image: CheckedFile) -> CheckedFile:
    """The video model's post-fuse module, refused where it is the image model's file: keys and shapes are the same."""
    assert video.path is not None and image.path is not None
    same_size = video.path.stat().st_size == image.path.stat().st_size
    if same_size and weights.sha256(video.path) == weights.sha256(image.path):
        return replace(video, problem="it is the same file as checkpoints/image/mim.pth, and as released they differ")
    return video


def _sentence(checked: CheckedFile, folder: Path) -> str:
    """The fault of a file and its remedy."""
    home, remedy = (autoencoder.HOME, autoencoder.REMEDY) if checked.name == "vae" else (HOME, REMEDY)
    if checked.path is None:
        also = ", or name it with --vae" if checked.name == "vae" else ""
        return f"{folder / checked.place} is missing: download it from {home} and put it there{also}."
    if checked.problem:
        # Refusals of unreadable files name the path and the remedy themselves.
        if str(checked.path) in checked.problem:
            return f"{checked.problem}."
        return f"{checked.path}: {checked.problem}; {remedy}."
    first, *others = checked.misfit.sentences()
    more = f" and {len(others)} more" if others else ""
    return f"{checked.path} is not the released file: {first}{more}; {remedy}."
