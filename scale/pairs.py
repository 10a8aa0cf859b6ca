"""Pairs of a batch: rows that were checked, each with its graph, files, seeds and place for the result."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ..headless.files import kinds
from ..headless.graph import as_prompt
from ..mimaface_core.errors import InputError
from ..mimaface_core.files import is_file, shown
from ..mimaface_core.host import Progress
from ..mimaface_core.media.output_path import FORBIDDEN
from .hashes import FileHashes, digest_of
from .recipe import RESULT_SUFFIXES, Recipe, Recipes, pack_digest
from .rows import SET, Row
from .stores import fetch, is_url

STATE = ".mimaface-batch"  # the folder of a batch's own files in the output folder
FILE_COLUMNS = ("source", "driver", "audio")
_LONGEST_NAME_BYTES = 240  # of the usual file systems' 255; a suffix follows


@dataclass(frozen=True, eq=False)
class Pair:
    """A pair that can run.

    Attributes:
        name: path of its result below the output folder, with / and without suffix.
        where: its row, for messages.
        recipe: its graph.
        files: input files by name of their loader.
        hashes: their SHA-256.
        packs: SHA-256 of the packs by name.
        urls: addresses of those of the files that were fetched from an object store.
    """

    name: str
    where: str
    recipe: Recipe
    files: dict[str, Path]
    hashes: dict[str, str]
    packs: dict[str, str]
    urls: dict[str, str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """What a warm worker keeps from pair to pair: the SHA-256 of the source."""
        return self.hashes.get("source", "")

    @cached_property
    def seeds(self) -> dict[str, int]:
        """Seeds that nobody has set, by `TITLE.seed`: the same wherever and in whatever order the pair runs."""
        identity = [self.name, sorted(self.hashes.items())]
        return {
            name: int(digest_of([identity, name])[:16], 16) % count for name, (_, _, count) in self.recipe.seeds.items()
        }

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything that a result depends on, but for the version of the extension and the machine."""
        return digest_of([self.recipe.digest, self.hashes, self.packs, self.seeds])

    def prompt(self) -> dict[str, Any]:
        """The graph with the files and seeds of this pair, in the API format."""
        prompt = as_prompt(self.recipe.graph)
        places = {**self.recipe.loaders, **{name: place[:2] for name, place in self.recipe.seeds.items()}}
        own = {name: str(path) for name, path in self.files.items()}
        for name, value in {**own, **self.seeds}.items():
            key, entry = places[name]
            prompt[key] = {**prompt[key], "inputs": {**prompt[key]["inputs"], entry: value}}
        return prompt

    def job(self, scratch: Path) -> dict[str, Any]:
        """The pair as a worker process reads it, with the folder of its attempt."""
        inputs = {str(path): self.hashes[name] for name, path in self.files.items()}
        urls = {str(self.files[name]): url for name, url in self.urls.items()}
        return {"prompt": self.prompt(), "scratch": str(scratch), "inputs": inputs, "packs": self.packs, "urls": urls}

    def require_unchanged(self, hashes: FileHashes) -> None:
        """Check that the input files are still those that were checked.

        Args:
            hashes: known hashes.

        Raises:
            InputError: one is not.
        """
        for name, path in self.files.items():
            if not is_file(path) or hashes.of(path) != self.hashes[name]:
                raise InputError(f"The file {path} changed while the batch ran; run the same command again.")


@dataclass(frozen=True)
class Fault:
    """A row or pair that did not run: its name or place, and one sentence."""

    pair: str
    reason: str


class PairCheck:
    """Turns rows into pairs.

    Args:
        base: the folder that relative paths start from.
        output: the output folder; need not exist.
        settings: values for all rows by `TITLE.INPUT`; those of a row come first.
        result: title of the node that writes the result; see `Recipes`.
    """

    def __init__(self, base: Path, output: Path, settings: Mapping[str, str], result: str | None = None) -> None:
        self.base, self.settings = base, settings
        self.output = Path(os.path.realpath(output))
        self.hashes = FileHashes()
        self.recipes = Recipes(base, result)
        self._packs: dict[str, str] = {}
        self._fetched: dict[str, Path] = {}  # by address

    def check(self, rows: Sequence[Row], progress: Progress | None = None) -> tuple[list[Pair], list[Fault]]:
        """Check all rows; of several with one output the first counts.

        Returns:
            Pairs in the order of the rows, and the rows that cannot run.
        """
        pairs: dict[str, Pair] = {}
        faults: list[Fault] = []
        taken: dict[str, str] = {}  # output, in small letters as some file systems see it → row
        for row in rows:
            try:
                pair = self._pair(row)
                self._claim(pair, taken)
                pairs[pair.name] = pair
            except InputError as refused:
                faults.append(Fault(row.where, f"{row.where}: {refused}"))
            except OSError as error:
                faults.append(Fault(row.where, f"{row.where}: {error.filename}: {error.strerror}; check the file."))
            if progress:
                progress.update()
        for name, pair in list(pairs.items()):
            outer = next((str(path) for path in PurePosixPath(name).parents if str(path) in pairs), None)
            if outer is not None:
                del pairs[name]
                reason = f"output '{name}' lies in '{outer}', the output of another row; rename one of them."
                faults.append(Fault(pair.where, f"{pair.where}: {reason}"))
        return list(pairs.values()), faults

    def _claim(self, pair: Pair, taken: dict[str, str]) -> None:
        """Take the output's name. Raises InputError where another row has it, or an input lies there."""
        first = taken.setdefault(pair.name.casefold(), pair.where)
        if first != pair.where:
            raise InputError(f"output '{pair.name}' is that of {first}, too; give each row an output of its own.")
        inputs = {os.path.realpath(file) for file in pair.files.values()}
        for suffix in RESULT_SUFFIXES:
            target = f"{self.output / pair.name}{suffix}"
            if target in inputs:
                raise InputError(f"output '{pair.name}' would replace its own input {target}; choose another output.")

    def _pair(self, row: Row) -> Pair:
        if row.fault:
            raise InputError(row.fault)
        if "source" not in row.values:
            raise InputError("it names no source; give the photograph.")
        files = {column: self._file(column, row) for column in FILE_COLUMNS if column in row.values}
        urls = {column: row.values[column] for column in files if is_url(row.values[column])}
        name, suffix = self._name(row, {**files, **{column: Path(url) for column, url in urls.items()}})
        own = {key.removeprefix(SET): value for key, value in row.values.items() if key.startswith(SET)}
        recipe = self.recipes.make(_graph(row, files), files, {**self.settings, **own}, suffix)
        inputs = {key: files.get(key, path) for key, path in recipe.files().items()}
        packs = {pack: self._pack(pack) for pack in recipe.packs}
        hashes = {key: self.hashes.of(path) for key, path in inputs.items()}
        return Pair(name, row.where, recipe, inputs, hashes, packs, urls)

    def _file(self, column: str, row: Row) -> Path:
        url = row.values[column]
        if is_url(url):
            if url not in self._fetched:
                self._fetched[url] = fetch(url)
            return self._fetched[url]
        path = self.base / os.path.expanduser(row.values[column])
        if not is_file(path):
            raise InputError(f"{column} {shown(path)} was not found; write paths relative to the list's own folder.")
        if not os.access(path, os.R_OK):
            raise InputError(f"{column} {shown(path)} cannot be read; change its permissions.")
        return path.absolute()

    def _name(self, row: Row, files: Mapping[str, Path]) -> tuple[str, str]:
        """Name of the result below the output folder, and its suffix; SOURCE_DRIVER where the row has none."""
        text = row.values.get("output") or "_".join(path.stem for path in files.values())
        if "\0" in text:
            raise InputError(f"output {shown(repr(text))} is no name for a file; choose another.")
        target = Path(os.path.realpath(self.output / text.replace("\\", "/")))
        if self.output not in target.parents or STATE in target.relative_to(self.output).parts:
            raise InputError(f"output '{shown(text)}' lies outside of {self.output}; give a path below it.")
        suffix = target.suffix if target.suffix.lower() in RESULT_SUFFIXES else ""
        name = target.relative_to(self.output).as_posix().removesuffix(suffix)
        if FORBIDDEN.search(name):
            raise InputError(f"output '{shown(text)}' has letters that no file name has on Windows; leave them out.")
        if any(len(os.fsencode(part)) > _LONGEST_NAME_BYTES for part in PurePosixPath(name).parts):
            raise InputError(f"output '{shown(text)}' is too long for the name of a file; shorten it.")
        return name, suffix.lower()

    def _pack(self, name: str) -> str:
        if name not in self._packs:
            self._packs[name] = pack_digest(name, self.hashes)
        return self._packs[name]


def _graph(row: Row, files: Mapping[str, Path]) -> str:
    """The graph that a row names, or the one for its files."""
    if "graph" in row.values:
        return row.values["graph"]
    if "audio" in files:
        return "talk_with_clip" if "driver" in files else "talk"
    if "driver" not in files:
        raise InputError("it names neither driver nor audio nor graph; give one of them.")
    return "reenact_image" if kinds(files["driver"]) == {"image"} else "reenact_video"
