"""The graph of a pair: found, set, cut down to what its result needs, and checked; equal ones are checked once."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..headless import node_classes
from ..headless.files import kinds
from ..headless.graph import SHIPPED, Graph, GraphNode, find_graph, is_link, load_graph
from ..headless.object_info import file_input, input_slots
from ..headless.overrides import apply_overrides
from ..headless.prefixes import PREFIX_INPUT, fill_prefixes
from ..headless.problems import GraphRefused, Problem, suggestion
from ..headless.validate import validate
from ..mimaface_core.errors import InputError
from ..mimaface_core.files import is_file
from ..mimaface_core.packs.find import open_pack
from .hashes import FileHashes, digest_of

RESULT_TITLE = "full"  # the node whose file is the result, unless the user names another
RESULT_PREFIX = "result/result"  # of that node: its files lie in a folder of their own
RESULT_SUFFIXES = (".mp4", ".webm", ".gif", ".png")
_PACK_CLASS = "MIMAFaceLoadPack"
_SEED, _SEED_COUNT = "seed", 2**32


@dataclass(frozen=True, eq=False)
class Recipe:
    """A checked graph; its files are those of some pair of the same kinds.

    Attributes:
        name: of the graph, as results tell it.
        graph: the nodes that the result needs, values converted.
        result: id of the node that writes the result.
        loaders: name of a file input → node id and input.
        seeds: name of a seed that nobody has set → node id, input, and the number of its values.
        settings: values that were set, by `TITLE.INPUT`.
        packs: names of the packs that it loads.
        digest: SHA-256 of the graph without files and unset seeds.
    """

    name: str
    graph: Graph
    result: str
    loaders: dict[str, tuple[str, str]]
    seeds: dict[str, tuple[str, str, int]]
    settings: dict[str, str]
    packs: list[str]
    digest: str

    @property
    def suffix(self) -> str:
        """The suffix of the result as far as the graph names it; a single image is written as .png instead of .mp4."""
        return f".{self.graph[self.result].inputs.get('format', '')}".rstrip(".")

    def files(self) -> dict[str, Path]:
        """Input files by name."""
        return {name: Path(self.graph[key].inputs[entry]) for name, (key, entry) in self.loaders.items()}


class Recipes:
    """Makes recipes, and checks those once that differ in nothing but files of the same kind.

    Args:
        folder: where relative paths start from.
        result: title of the node that writes the result; `full`, or the last one that writes a file, when None.
    """

    def __init__(self, folder: Path, result: str | None = None) -> None:
        self.folder, self.result = folder, result
        self.classes = node_classes.node_classes()
        self.infos = node_classes.object_info(self.classes)
        self._graphs: dict[Path, Graph] = {}
        self._checked: dict[Any, Recipe | InputError] = {}

    def make(self, name: str, files: Mapping[str, Path], settings: Mapping[str, str], suffix: str) -> Recipe:
        """The recipe of a pair.

        Args:
            name: of the graph, or its path.
            files: existing files by the title of their loader.
            settings: values by `TITLE.INPUT`.
            suffix: of the result's name, which chooses the format where the graph has the choice; may be empty.

        Returns:
            A recipe, which may carry the files of an earlier pair of the same kinds.

        Raises:
            InputError: graph, titles, values or files do not fit; the first problem.
        """
        own = self.folder / name
        path = own if is_file(own) else find_graph(name)
        file_kinds = tuple((title, tuple(sorted(kinds(file)))) for title, file in files.items())
        key = (path, tuple(sorted(settings.items())), suffix, file_kinds)
        if key not in self._checked:
            try:
                self._checked[key] = self._check(path, files, settings, suffix)
            except InputError as refused:
                if any(str(file) in str(refused) for file in files.values()):
                    raise  # the fault of a file, not of all of its kind
                self._checked[key] = refused
        known = self._checked[key]
        if isinstance(known, InputError):
            raise InputError(str(known))
        return known

    def _check(self, path: Path, files: Mapping[str, Path], settings: Mapping[str, str], suffix: str) -> Recipe:
        if path not in self._graphs:
            self._graphs[path] = load_graph(path, self.infos)
        graph = copy.deepcopy(self._graphs[path])
        inputs = [f"{title}={file}" for title, file in files.items()]
        _raise_first(apply_overrides(graph, self.infos, inputs, [f"{k}={v}" for k, v in settings.items()]))
        result = self._result_node(graph)
        graph = _needed(graph, result)
        self._fit_result(graph[result], suffix, settings)
        fill_prefixes(graph)
        folders = [self.folder, path.parent]
        _raise_first(validate(graph, self.infos, folders=folders, classes=self.classes))
        loaders = self._loaders(graph)
        seeds = self._seeds(graph, settings)
        return Recipe(
            name=path.stem if path.parent == SHIPPED else path.name,
            graph=graph,
            result=result,
            loaders=loaders,
            seeds=seeds,
            settings=dict(sorted(settings.items())),
            packs=sorted({str(n.inputs["pack"]) for n in graph.values() if n.class_type == _PACK_CLASS}),
            digest=_digest(graph, [*loaders.values(), *((key, entry) for key, entry, _ in seeds.values())]),
        )

    def _result_node(self, graph: Graph) -> str:
        """The id of the node that writes the result. Raises InputError where there is none."""
        writers = [node for node in graph.values() if self._writes(node)]
        if not writers:
            raise InputError("no node of the graph writes a file; add Combine Video, or choose another graph.")
        if self.result is None:
            return ([node for node in writers if node.title == RESULT_TITLE] or writers[-1:])[0].id
        named = [node for node in writers if node.title == self.result]
        if not named:
            known = suggestion(self.result, {node.title for node in writers})
            raise InputError(f"--result {self.result}: no node of that title writes a file; {known}")
        return named[0].id

    def _writes(self, node: GraphNode) -> bool:
        info = self.infos.get(node.class_type)
        return bool(info and info["output_node"] and PREFIX_INPUT in input_slots(info))

    def _fit_result(self, node: GraphNode, suffix: str, settings: Mapping[str, str]) -> None:
        """Set the prefix of the result, and the format by its suffix unless that is among the settings."""
        node.inputs[PREFIX_INPUT] = RESULT_PREFIX
        slot = input_slots(self.infos[node.class_type]).get("format")
        if slot and not _is_set(node, "format", settings):
            format = suffix.removeprefix(".")
            if format in (slot.options.get("options") or ()):
                node.inputs["format"] = format

    def _loaders(self, graph: Graph) -> dict[str, tuple[str, str]]:
        found = {}
        for node in graph.values():
            entry = file_input(self.infos[node.class_type])
            if entry is not None and isinstance(node.inputs.get(entry), str):
                found[_unique(node, graph)] = (node.id, entry)
        return found

    def _seeds(self, graph: Graph, settings: Mapping[str, str]) -> dict[str, tuple[str, str, int]]:
        """Seeds that are neither set nor other than the node's default."""
        found = {}
        for node in graph.values():
            slot = input_slots(self.infos[node.class_type]).get(_SEED)
            if slot is None or slot.widget != "INT" or is_link(node.inputs.get(_SEED)):
                continue
            default = slot.options.get("default", 0)
            if not _is_set(node, _SEED, settings) and node.inputs.get(_SEED, default) == default:
                count = min(int(slot.options.get("max", _SEED_COUNT)) + 1, _SEED_COUNT)
                found[f"{_unique(node, graph)}.{_SEED}"] = (node.id, _SEED, count)
        return found


def _is_set(node: GraphNode, name: str, settings: Mapping[str, str]) -> bool:
    return f"{node.title}.{name}" in settings or f"{node.id}.{name}" in settings


def _raise_first(problems: Sequence[Problem]) -> None:
    """Raises InputError with the first problem, in the words of a list; a graph's own problems keep their place."""
    for problem in problems:
        option, _, given = problem.place.partition(" ")
        if option == "--input":
            raise InputError(f"column {given.partition('=')[0]}: {problem.text}")
        if option == "--set":
            raise InputError(f"set.{given}: {problem.text}")
        raise GraphRefused([problem])


def _needed(graph: Graph, result: str) -> Graph:
    """The nodes that the result depends on, with it, in their order."""
    needed, stack = set(), [result]
    while stack:
        key = stack.pop()
        if key in graph and key not in needed:
            needed.add(key)
            stack += [value[0] for value in graph[key].inputs.values() if is_link(value)]
    return {key: node for key, node in graph.items() if key in needed}


def _unique(node: GraphNode, graph: Graph) -> str:
    """The title of a node; its id where others share the title."""
    return node.title if sum(other.title == node.title for other in graph.values()) == 1 else node.id


def _digest(graph: Graph, left_out: Sequence[tuple[str, str]]) -> str:
    """SHA-256 of what the nodes are and how they are set and linked."""
    return digest_of(
        [node.id, node.class_type, {k: v for k, v in node.inputs.items() if (node.id, k) not in left_out}]
        for _, node in sorted(graph.items())
    )


def pack_digest(name: str, hashes: FileHashes) -> str:
    """SHA-256 of a pack: of its manifest and weights."""
    files = sorted(path for path in open_pack(name).folder.iterdir() if path.suffix in (".json", ".safetensors"))
    return digest_of([path.name, hashes.of(path)] for path in files)
