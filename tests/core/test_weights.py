"""Files of weights: pickles read without running code, safetensors written in a stream."""

import pickle

import pytest
import torch
from support.released import Trap

from mimaface.mimaface_core import weights
from mimaface.mimaface_core.errors import InputError

REMEDY = "download it again"

# -- reading


def test_pickles_under_every_usual_wrapper_are_read(tmp_path):
    state = {"a.weight": torch.randn(3, 4), "b": torch.zeros(2, dtype=torch.float16)}
    parallel = {f"module.{key}": value for key, value in state.items()}
    for number, (content, new) in enumerate(
        [
            (state, True),
            (parallel, True),
            ({"state_dict": parallel, "epoch": 3}, True),
            ({"model": {"state_dict": state}, "args": [1]}, False),
            ({**state, "step": 7}, False),
        ]
    ):
        path = tmp_path / f"{number}.pth"
        torch.save(content, path, _use_new_zipfile_serialization=new)
        read = weights.read(path, REMEDY)
        assert list(read) == list(state) and all(torch.equal(read[key], state[key]) for key in state)


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path):
    mark = tmp_path / "mark"
    torch.save({"a": torch.zeros(2), "b": Trap(mark)}, tmp_path / "new.pth")
    torch.save({"b": Trap(mark)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    for name in ("new", "old", "module"):
        with pytest.raises(InputError, match=r"code to be run \((posix|nt|torch)\."):
            weights.read(tmp_path / f"{name}.pth", REMEDY)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps({"b": Trap(mark)}))
    with pytest.raises(InputError, match="weights alone"):
        weights.read(tmp_path / "plain.pth", REMEDY)
    assert not mark.exists()


def test_damaged_files_and_other_content_are_refused(tmp_path):
    for number, new in enumerate((True, False)):
        whole = tmp_path / f"whole{number}.pth"
        torch.save({"a": torch.randn(1000)}, whole, _use_new_zipfile_serialization=new)
        content = whole.read_bytes()
        for part in (0, 100, len(content) // 2, len(content) - 10):
            (tmp_path / "part.pth").write_bytes(content[:part])
            with pytest.raises(InputError, match="cut short"):
                weights.read(tmp_path / "part.pth", REMEDY)
    (tmp_path / "page.pth").write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match="cut short, damaged"):
        weights.read(tmp_path / "page.pth", REMEDY)
    for content in (3, [torch.zeros(2)], {}, {1: torch.zeros(2)}, {"epoch": 3}):
        torch.save(content, tmp_path / "other.pth")
        with pytest.raises(InputError, match="no state dict"):
            weights.read(tmp_path / "other.pth", REMEDY)
    with pytest.raises(InputError, match="no file"):
        weights.read(tmp_path / "absent.pth", REMEDY)


# -- writing


def test_streamed_files_are_read_back_exactly(tmp_path):
    values = {
        "odd": torch.arange(3, dtype=torch.uint8),
        "count": torch.tensor(7),
        "wide": torch.randn(4, 3).T,
        "none": torch.zeros(0, 2),
        "brain": torch.ones(2, dtype=torch.bfloat16),
        "flag": torch.tensor([True, False]),
    }
    path = tmp_path / "a.safetensors"
    done = weights.write(path, values, {"made": "here"})
    read = weights.read(path, "do it again")
    assert read.keys() == values.keys() and all(torch.equal(read[key], values[key]) for key in values)
    assert done == {"sha256": weights.sha256(path), "bytes": path.stat().st_size}
    weights.write(path, values, precision=lambda value: torch.float16 if value.is_floating_point() else value.dtype)
    assert weights.read(path, "")["wide"].dtype == torch.float16
    assert list(tmp_path.iterdir()) == [path]
