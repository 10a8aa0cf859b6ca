"""The published weights: their folder checked file by file, key by key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ... import host, weights
from ...diffusion.latents import build_vae
from ...errors import InputError
from ...morphable.model import MorphableModel
from ...weights import Misfit
from . import autoencoder
from .layout import BFM, HOME, IMAGE_STAGE, REMEDY, SOURCES, Sizes, found_config, misfit_of, shapes


@dataclass(frozen=True)
class Checked:
    """What was found of one file: where, what is wrong with its keys, or a sentence where it is of no use at all.

    path: the file; None where it is missing. place: where it belongs in the folder. config: what it tells of its
    network besides.
    """

    name: str
    place: str
    path: Path | None
    misfit: Misfit = field(default_factory=Misfit)
    problem: str = ""
    config: dict = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether the file can be used."""
        return self.path is not None and not self.misfit and not self.problem


@dataclass(frozen=True)
class Report:
    """A published folder, file by file, and the autoencoder that goes with it (its `path` may lie elsewhere)."""

    folder: Path
    files: dict[str, Checked]
    vae: Checked
    notes: list[str] = field(default_factory=list)

    @property
    def images(self) -> bool:
        """Whether the image stage is there."""
        return all(name in self.files for name in IMAGE_STAGE)

    def problems(self, with_vae: bool = True) -> list[str]:
        """A sentence for each file that cannot be used."""
        checked = [*self.files.values(), *([self.vae] if with_vae else [])]
        return [_sentence(one, self.folder) for one in checked if not one.good]

    def lines(self) -> Iterator[str]:
        """The whole report for people: each file, and below it every key that is wrong."""
        for one in {one.path or one.place: one for one in (*self.files.values(), self.vae)}.values():
            state = "good" if one.good else "missing" if one.path is None else "unusable"
            size = f"\t{one.path.stat().st_size / 1e6:.1f} MB" if one.path and one.path.is_file() else ""
            yield f"{state}\t{one.path or one.place}{size}"
            yield from (f"\t{clause}" for clause in one.misfit.sentences())
        yield from self.notes


def check_released(folder: Path, vae: str | Path | None = None, sizes: Sizes | None = None) -> Report:
    """Hold every file of the published folder against the keys and shapes that are published.

    Args:
        folder: the folder with `checkpoints` and `models`.
        vae: the autoencoder's folder or file, see `autoencoder.find_vae`.
        sizes: of the networks; as published when None.

    Raises:
        InputError: nothing of the published folder is there, or the autoencoder that is named is not.
    """
    sizes = sizes or Sizes()
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; name the one with the published checkpoints and models.")
    found = {name: source.find(folder) for name, source in SOURCES.items()}
    if not any(found.values()) and not (folder / BFM).is_file():
        raise InputError(
            f"{folder} holds nothing of the published weights; name the folder with checkpoints/ and models/, "
            f"as it is at {HOME}."
        )
    place = autoencoder.find_vae(vae, folder, host.current().models_folders())

    images = any(found[name] for name in IMAGE_STAGE)
    wanted = [name for name, source in SOURCES.items() if images or not source.image]
    files: dict[str, Checked] = {}
    with host.current().progress(len(wanted) + 2, "checking files") as progress:
        for name in wanted:
            files[name] = _check(name, found[name], sizes)
            progress.update()
        files["bfm"] = _check_bfm(folder / BFM, sizes)
        progress.update()
        checked_vae = _check_vae(place, sizes)
        progress.update()
    if images and files["fuse"].good and files["picture_fuse"].good:
        _check_swapped(files)
    notes = [] if images else ["There is no image stage; pictures will be made by the video stage."]
    if place is None:
        notes.append(
            f"{autoencoder.NAME} is published apart: convert takes it from --vae, or fetches it with --download."
        )
    return Report(folder, files, checked_vae, notes)


def _check(name: str, path: Path | None, sizes: Sizes) -> Checked:
    """Check one file of `SOURCES`."""
    source = SOURCES[name]
    one = Checked(name, source.places[0], path)
    if path is None:
        return one
    try:
        state = source.read(path)
        config = found_config(name, path, state, sizes)
        one = replace(one, misfit=misfit_of(name, state, config, sizes), config=config)
    except InputError as error:
        return replace(one, problem=str(error).rstrip("."))
    # A file in another's place is better called by its name than by its keys.
    if one.misfit.missing and one.misfit.unexpected:
        for belongs in SOURCES.values():
            if not belongs.image and belongs.wanted(sizes).keys() <= belongs.tidy(state).keys():
                return replace(one, problem=f"it is what belongs at {belongs.places[0]}", misfit=Misfit())
    return one


def _check_bfm(path: Path, sizes: Sizes) -> Checked:
    """Check the face model: D3DFR's BFM09 has 35709 vertices, the whole BFM09 more."""
    one = Checked("bfm", BFM, path if path.is_file() else None)
    if one.path is None:
        return one
    try:
        vertices = len(MorphableModel.from_bfm(path).mean_shape)
    except InputError as error:
        return replace(one, problem=str(error).rstrip("."))
    if vertices != sizes.vertices:
        return replace(one, problem=f"it has {vertices} vertices; D3DFR's face model has {sizes.vertices}")
    return one


def _check_vae(place: Path | None, sizes: Sizes) -> Checked:
    """Check the autoencoder."""
    one = Checked("vae", autoencoder.NAME, place)
    if place is None:
        return one
    try:
        state = autoencoder.read_vae(place)
        return replace(
            one,
            path=autoencoder.vae_file(place),
            misfit=weights.compare(shapes(build_vae, autoencoder.CLASS, sizes.vae), state),
        )
    except InputError as error:
        return replace(one, problem=str(error).rstrip("."))


def _check_swapped(files: dict[str, Checked]) -> None:
    """The post-fuse modules of both stages have the same keys and shapes; as the same file, one is misplaced."""
    video, picture = files["fuse"], files["picture_fuse"]
    same_size = video.path.stat().st_size == picture.path.stat().st_size
    if same_size and weights.sha256(video.path) == weights.sha256(picture.path):
        problem = "it is the same file as checkpoints/image/mim.pth, and as published they differ"
        files["fuse"] = replace(video, problem=problem)


def _sentence(one: Checked, folder: Path) -> str:
    """What is wrong with a file and what to do."""
    home, remedy = (autoencoder.HOME, autoencoder.REMEDY) if one.name == "vae" else (HOME, REMEDY)
    if one.path is None:
        also = ", or name it with --vae" if one.name == "vae" else ""
        return f"{folder / one.place} is missing: download it from {home} and put it there{also}."
    if one.problem:
        # what cannot be read names itself and its remedy
        return one.problem + "." if str(one.path) in one.problem else f"{one.path}: {one.problem}; {remedy}."
    first, *others = one.misfit.sentences()
    more = f" and {len(others)} more" if others else ""
    return f"{one.path} is not the published file: {first}{more}; {remedy}."
