"""Shards: what is written and kept, read by several processes, refused; `tar x` gives the folder back."""

import os
import sys
import tarfile

import pytest
import torch

from mimaface.cli import main as cli
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.training.data.dataset import StoredSample, sample_path, save_sample
from mimaface.mimaface_core.training.data.shards import SampleShards, write_shards
from mimaface.mimaface_core.training.data.torch_datasets import SampleFolder
from mimaface.mimaface_core.training.people.synthesis import make_sample


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of five samples of three people, all of which look alike."""
    folder, sample = tmp_path_factory.mktemp("data"), make_sample(0, 1)
    for number in range(5):
        save_sample(sample_path(folder, number), sample, person="abc"[number % 3])
    return folder


def test_equal_samples_are_equal_files(tmp_path):
    sample, written = make_sample(0, 1), set()
    for _ in range(12):  # the library orders notes by chance
        save_sample(tmp_path / "a.safetensors", sample, person="Æ 1")
        written.add((tmp_path / "a.safetensors").read_bytes())
    assert len(written) == 1 and StoredSample(tmp_path / "a.safetensors").person == "Æ 1"


@pytest.fixture
def shards(data, tmp_path):
    """A folder of its samples in shards of two."""
    pytest.importorskip("webdataset")
    write_shards(data, tmp_path / "shards", 2)
    return tmp_path / "shards"


def test_shards_hold_what_the_folder_holds(data, shards, tmp_path):
    whole, read = SampleFolder(data), SampleShards(shards)
    items = list(read)
    assert len(read) == len(items) == len(whole) == 5 and read.people == whole.people == ["a", "b", "c"]
    assert [item["person"] for item in items] == whole.person
    assert all(torch.equal(items[3][name], whole[3][name]) for name in ("source", "targets", "renders", "motion"))
    for path in shards.glob("*.tar"):
        with tarfile.open(path) as tar:
            tar.extractall(tmp_path / "back", filter="data")
    names = sorted(path.name for path in data.iterdir())
    assert [(tmp_path / "back" / name).read_bytes() for name in names] == [(data / name).read_bytes() for name in names]


def test_the_same_command_again_writes_what_is_missing_or_changed(data, shards):
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(shards.glob("*.tar"))}
    (shards / "samples-000001.tar").write_bytes(before["samples-000001.tar"][0][:600])
    (shards / "samples-000002.tar").unlink()
    write_shards(data, shards, 2)
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(shards.glob("*.tar"))}
    assert [one for one, _ in after.values()] == [one for one, _ in before.values()]
    assert after["samples-000000.tar"] == before["samples-000000.tar"]


def test_workers_of_a_loader_share_the_shards(shards):
    loader = torch.utils.data.DataLoader(SampleShards(shards), batch_size=None, num_workers=2)
    assert sorted(int(item["person"]) for item in loader) == [0, 0, 1, 1, 2]


def test_mixing_keeps_every_sample_once(shards):
    orders = [[item["person"] for item in SampleShards(shards, shuffle=8, seed=seed)] for seed in (1, 1, 2, 3)]
    assert orders[0] == orders[1] and any(order != orders[0] for order in orders[2:])
    assert all(sorted(order) == [0, 0, 1, 1, 2] for order in orders)
    read = SampleShards(shards, shuffle=8, seed=1)
    read.epoch = 1  # mixed as by the next seed
    assert [item["person"] for item in read] == orders[2]


def test_damaged_or_missing_shards_are_refused(shards):
    path = shards / "samples-000001.tar"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"damaged|cannot be read"):
        list(SampleShards(shards))
    path.unlink()
    with pytest.raises(InputError, match="samples-000001.tar is missing; write the shards again"):
        SampleShards(shards)
    with pytest.raises(InputError, match="holds no shards .* write them with `mimaface train shards`"):
        SampleShards(shards / "none")


def test_the_command_writes_them_also_by_workers(data, shards, tmp_path, capsys, monkeypatch):
    arguments = ["train", "shards", "--data", str(data), "--samples", "2", "--shards"]
    assert cli.main([*arguments, str(tmp_path / "two"), "--workers", "2"]) == 0
    for path in shards.iterdir():
        assert (tmp_path / "two" / path.name).read_bytes() == path.read_bytes()
    (tmp_path / "file").touch()
    assert cli.main([*arguments, str(tmp_path / "file")]) == 2 and "cannot be written" in capsys.readouterr().err
    assert cli.main([*arguments, os.devnull, "--samples", "0"]) == 2
    monkeypatch.setitem(sys.modules, "webdataset", None)
    assert cli.main([*arguments, str(tmp_path / "three")]) == 2
    assert 'pip install "mimaface[shards]"' in capsys.readouterr().err
