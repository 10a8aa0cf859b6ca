"""The training data as PyTorch datasets, for trainers of one's own: a folder of samples, and people without end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from ..people.camera import from_jpeg
from ..people.drawer import make_sample
from .dataset import StoredSample, stored_samples


class SampleFolder(Dataset):
    """The samples of a folder, as `mimaface train data` and `mimaface train videos` make them.

    Each is a dict: source [3, 512, 512], targets and renders [N, 3, 512, 512], all in ±1; motion [N, 71]; weight
    [N, 64, 64], 0.5 for background up to 4 at eyes and mouth, 0 beyond the video's border; person, a number in `people`,
    which are the names of all. Raises InputError when there are none, or when one cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.paths = stored_samples(folder)
        names = [StoredSample(path).person for path in self.paths]
        self.people = sorted(set(names))
        number = {name: at for at, name in enumerate(self.people)}
        self.person = [number[name] for name in names]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict:
        stored = StoredSample(self.paths[index])
        targets, renders = (
            [stored.picture(kind, frame) for frame in range(stored.frames)] for kind in ("target", "render")
        )
        return _item(stored.source(), targets, renders, stored.motion, stored.weight, self.person[index])


class SyntheticFaces(IterableDataset):
    """Painted people without end, drawn when they are asked for: seeds `start`, `start` + `step`, and so on.

    Each is a dict as of `SampleFolder`, whose person is the seed. Workers of a DataLoader share the seeds; of several
    processes, give each its own `start` and their number as `step`. frames: of a clip.
    """

    def __init__(self, frames: int = 12, start: int = 0, step: int = 1) -> None:
        self.frames, self.start, self.step = frames, start, step

    def __iter__(self) -> Iterator[dict]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        for seed in count(self.start + number * self.step, workers * self.step):
            sample = make_sample(seed, self.frames)
            targets, renders = ([from_jpeg(file) for file in files] for files in (sample.targets, sample.renders))
            yield _item(from_jpeg(sample.source), targets, renders, sample.motion, sample.weight.float() / 32, seed)


def _item(
    source: Tensor, targets: list[Tensor], renders: list[Tensor], motion: Tensor, weight: Tensor, person: int
) -> dict:
    """One sample of a dataset, from pictures uint8 [3, 512, 512]."""
    pictures = {"source": source, "targets": torch.stack(targets), "renders": torch.stack(renders)}
    light = {name: picture.float() / 127.5 - 1 for name, picture in pictures.items()}
    return {**light, "motion": motion, "weight": weight, "person": person}
