"""PyTorch datasets: samples of a folder, synthetic people on the fly."""

from itertools import islice
from types import SimpleNamespace

import pytest
import torch

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.training.data import torch_datasets
from mimaface.mimaface_core.training.data.dataset import StoredSample, stored_samples
from mimaface.mimaface_core.training.data.torch_datasets import SyntheticFaces
from mimaface.mimaface_core.training.people.synthesis import make_sample


def test_unfinished_files_are_no_samples(tmp_path):
    (tmp_path / ".part-0.safetensors").write_bytes(b"half a file")
    with pytest.raises(InputError, match="holds no training data"):
        stored_samples(tmp_path)
    (tmp_path / "person-000001.safetensors").touch()
    assert [path.name for path in stored_samples(tmp_path)] == ["person-000001.safetensors"]


def test_a_sample_of_an_earlier_version_is_named(tmp_path):
    from safetensors.torch import save_file

    old = tmp_path / "person-000001.safetensors"
    save_file({"motion": torch.zeros(1, 71), "weight": torch.zeros(1, 64, 64, dtype=torch.uint8)}, old)
    with pytest.raises(InputError, match="person-000001.safetensors is of an earlier version; delete it"):
        _ = StoredSample(old).freedom


def test_synthetic_faces_are_seeded_samples():
    item, again = next(iter(SyntheticFaces(1, start=5))), make_sample(5, 1)
    assert item["person"] == 5 and torch.equal(item["motion"], again.motion)
    assert item["targets"].shape == (1, 3, 512, 512) and item["weight"].min() == 0.5


def test_workers_share_the_seeds(monkeypatch):
    sample, people = make_sample(0, 1), []
    monkeypatch.setattr(torch_datasets, "make_sample", lambda seed, frames: sample)
    for worker in (SimpleNamespace(id=number, num_workers=2) for number in range(2)):
        monkeypatch.setattr(torch_datasets, "get_worker_info", lambda worker=worker: worker)
        people.append([item["person"] for item in islice(SyntheticFaces(1, start=1, step=3), 3)])
    assert people == [[1, 7, 13], [4, 10, 16]]
