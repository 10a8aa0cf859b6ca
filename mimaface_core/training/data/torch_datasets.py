"""PyTorch datasets: SampleFolder (from disk) and SyntheticFaces (infinite, generated on the fly)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from ..people.camera import from_jpeg
from ..people.inference import WEIGHT_UNIT
from ..people.synthesis import make_sample
from .dataset import StoredSample, stored_samples


class SampleItem(TypedDict):
    """One training sample as tensors.

    source: [3, 512, 512] in ±1. targets, renders: [N, 3, 512, 512] in ±1. motion: [N, 71]. weight: [N, 64, 64], from
    0.5 on the background to 4 at eyes and mouth, 0 beyond the border of a video. person: number of the identity.
    """

    source: Tensor
    targets: Tensor
    renders: Tensor
    motion: Tensor
    weight: Tensor
    person: int


class SampleFolder(Dataset[SampleItem]):
    """The samples of a folder, as `mimaface train data` and `mimaface train videos` make them.

    Args:
        folder: of the samples.

    Attributes:
        people: labels of all identities, of which an item's `person` is the index.

    Raises:
        InputError: there are no samples, or one cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.paths = stored_samples(folder)
        labels = [StoredSample(path).person for path in self.paths]
        self.people = sorted(set(labels))
        number = {label: i for i, label in enumerate(self.people)}
        self.person = [number[label] for label in labels]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> SampleItem:
        return item_of(StoredSample(self.paths[index]), self.person[index])


class SyntheticFaces(IterableDataset[SampleItem]):
    """Infinitely many synthetic people, rendered on demand: seeds `start`, `start` + `step`, …; `person` is the seed.

    Workers of a DataLoader share the seeds. Of several processes, each takes its own `start` and their number as
    `step`.

    Args:
        frames: of a clip.
        start: first seed.
        step: difference of successive seeds.
    """

    def __init__(self, frames: int = 12, start: int = 0, step: int = 1) -> None:
        self.frames, self.start, self.step = frames, start, step

    def __iter__(self) -> Iterator[SampleItem]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        for seed in count(self.start + number * self.step, workers * self.step):
            sample = make_sample(seed, self.frames)
            targets, renders = ([from_jpeg(file) for file in files] for files in (sample.targets, sample.renders))
            weight = sample.weight.float() * WEIGHT_UNIT
            yield _item(from_jpeg(sample.source), targets, renders, sample.motion, weight, seed)


def item_of(stored: StoredSample, person: int) -> SampleItem:
    """Item of a dataset, from a stored sample and the number of its identity."""
    targets, renders = ([stored.image(kind, frame) for frame in range(stored.frames)] for kind in ("target", "render"))
    return _item(stored.source(), targets, renders, stored.motion, stored.weight, person)


def _item(
    source: Tensor, targets: list[Tensor], renders: list[Tensor], motion: Tensor, weight: Tensor, person: int
) -> SampleItem:
    """Item of a dataset, from images uint8 [3, 512, 512]."""
    return SampleItem(
        source=_signed(source),
        targets=_signed(torch.stack(targets)),
        renders=_signed(torch.stack(renders)),
        motion=motion,
        weight=weight,
        person=person,
    )


def _signed(image: Tensor) -> Tensor:
    """A uint8 image of any shape as float32 in ±1."""
    return image.float() / 127.5 - 1
