"""Training samples in tar files of many each (WebDataset's shards): written once, read one after another."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from torch.utils.data import IterableDataset

from ...errors import InputError
from ...files import read_json, replacing
from .dataset import StoredSample, stored_samples
from .torch_datasets import SampleItem, item_of

INDEX = "shards.json"  # written last, by which the shards are complete
MISSING = 'Shards need webdataset, which is not installed: pip install "mimaface[shards]".'
_SUFFIX = "safetensors"
_LATER_SECONDS = 2.0  # by which a shard is younger than its samples on file systems that count in such steps


def write_shards(
    data: Path, output: Path, count: int, write: Callable[[Sequence[tuple[Path, Sequence[Path]]]], None] | None = None
) -> Path:
    """Write all samples of a folder into shards; those that are there already are kept.

    A shard is a plain tar file of samples under their own names, in order, so that `tar x` gives the folder back.

    Args:
        data: folder of the samples.
        output: folder of the shards.
        count: samples in a shard.
        write: writes shards, given as their path and their samples, as `write_shard` does; one after another here
            when None.

    Returns:
        The index: the shards with their samples, and all people.

    Raises:
        InputError: there are no samples, one cannot be read, `output` cannot be written, or webdataset is missing.
    """
    _webdataset()
    samples = stored_samples(data)
    parts = [samples[start : start + count] for start in range(0, len(samples), count)]
    shards = [(output / f"samples-{number:06d}.tar", part) for number, part in enumerate(parts)]
    index = {
        "people": sorted({StoredSample(path).person for path in samples}),
        "shards": [{"file": path.name, "samples": [sample.stem for sample in part]} for path, part in shards],
    }
    try:
        output.mkdir(parents=True, exist_ok=True)
        missing = [shard for shard in shards if not _is_whole(*shard)]
        if write is not None:
            write(missing)
        else:
            for path, part in missing:
                write_shard(path, part)
        with replacing(output / INDEX) as part_file:
            part_file.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{output} cannot be written ({error.strerror or error}); make room, or choose another folder, and start"
            " again: finished shards are kept."
        ) from error
    return output / INDEX


def write_shard(path: Path, samples: Sequence[Path]) -> None:
    """Write one shard; equal samples give equal bytes. Raises OSError where it cannot be written."""
    with replacing(path) as part, _webdataset().TarWriter(str(part), mtime=0, encoder=False) as tar:
        for sample in samples:
            tar.write({"__key__": sample.stem, _SUFFIX: sample.read_bytes()})


def _is_whole(path: Path, samples: Sequence[Path]) -> bool:
    """Whether a shard is there, holds these samples, and is younger than they."""
    try:
        if path.stat().st_mtime + _LATER_SECONDS < max(sample.stat().st_mtime for sample in samples):
            return False
        with tarfile.open(path) as tar:
            held = [(member.name, member.size) for member in tar.getmembers()]
    except (OSError, tarfile.TarError):
        return False
    return held == [(sample.name, sample.stat().st_size) for sample in samples]


class SampleShards(IterableDataset[SampleItem]):
    """The samples of shards. Processes of a training and workers of a `DataLoader` share the shards.

    Args:
        folder: of the shards.
        shuffle: samples that are mixed in memory; 0 for the order in which they were written.
        seed: of the mixing, the same in all processes.

    Attributes:
        people: labels of all identities, of which an item's `person` is the index.
        epoch: to be set before each pass, which it mixes anew.

    Raises:
        InputError: the folder has no shards, one of them is missing, or webdataset is.
    """

    def __init__(self, folder: Path, shuffle: int = 0, seed: int = 0) -> None:
        self._library = _webdataset()
        try:
            index = read_json(folder / INDEX)
            self._paths = [str(folder / shard["file"]) for shard in index["shards"]]
            self._length = sum(len(shard["samples"]) for shard in index["shards"])
            self.people: list[str] = index["people"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{folder} holds no shards ({error}); write them with `mimaface train shards`, or name a folder of"
                " samples where one is asked for."
            ) from error
        gone = [path for path in self._paths if not Path(path).is_file()]
        if gone:
            raise InputError(f"The shard {gone[0]} is missing; write the shards again with `mimaface train shards`.")
        self._shuffle, self._seed, self.epoch = shuffle, seed, 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[SampleItem]:
        wds = self._library
        stream = wds.WebDataset(
            self._paths,
            shardshuffle=len(self._paths) if self._shuffle else False,
            detshuffle=True,
            nodesplitter=wds.split_by_node,
            seed=self._seed + self.epoch,
            empty_check=False,
        )
        if self._shuffle:
            stream = stream.compose(wds.detshuffle(self._shuffle, seed=self._seed + self.epoch))
        number = {label: i for i, label in enumerate(self.people)}
        try:
            for entry in stream:
                sample = StoredSample.of_bytes(entry[_SUFFIX], f"{entry['__key__']} of {entry['__url__']}")
                yield item_of(sample, number[sample.person])
        except (OSError, ValueError, KeyError, tarfile.TarError) as error:
            raise InputError(
                f"The shards in {Path(self._paths[0]).parent} are damaged ({error}); write them again with `mimaface"
                " train shards`."
            ) from error


def _webdataset():  # noqa: ANN202 - a module without types
    """The library. Raises InputError where it is missing."""
    try:
        import webdataset
    except ImportError as error:
        raise InputError(MISSING) from error
    return webdataset
