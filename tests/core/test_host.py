"""The host: device, progress, cancelling, folders, and which host is current."""

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import Cancelled


class Display(host.Host):
    """A host that records what it shows."""

    def __init__(self):
        super().__init__(device="cpu")
        self.shown = []

    def show(self, progress, preview=None):
        self.shown.append((progress.label, progress.done, progress.total, progress.closed, preview))


def test_progress_shows_beginning_steps_previews_and_end():
    display, image = Display(), Image.new("RGB", (2, 2))
    with display.progress(3, "fitting") as progress:
        progress.update()
        progress.update(2, preview=image)
    assert display.shown == [
        ("fitting", 0, 3, False, None),
        ("fitting", 1, 3, False, None),
        ("fitting", 3, 3, False, image),
        ("fitting", 3, 3, True, None),
    ]


def test_progress_closes_when_the_work_fails():
    display = Display()
    with pytest.raises(KeyError), display.progress(3, "fitting"):
        raise KeyError
    assert display.shown[-1] == ("fitting", 0, 3, True, None)


def test_a_cancel_stops_at_the_next_step_and_before_the_next_work():
    plain = host.Host(device="cpu")
    plain.check_cancelled()
    with pytest.raises(Cancelled), plain.progress(2, "sampling") as progress:
        plain.cancel()
        progress.update()
    assert progress.done == 0 and progress.closed
    with pytest.raises(Cancelled), plain.progress(2, "writing"):
        raise AssertionError("the work began after it was cancelled")


def test_use_is_effective_at_once_and_undone_as_a_context():
    before, mine = host.current(), host.Host(device="cpu")
    with host.use(mine) as _:
        assert host.current() is mine
        inner = host.use(host.Host(device="cpu"))
        assert host.current() is not mine
        inner.close()
        assert host.current() is mine
    assert host.current() is before


def test_the_cpu_uses_float32_unless_a_dtype_is_given():
    plain = host.Host(device="cpu")
    assert plain.device == torch.device("cpu") and plain.dtype == torch.float32
    assert host.Host(device="cpu", dtype=torch.bfloat16).dtype == torch.bfloat16


def test_load_moves_the_module_as_a_call_and_as_a_context():
    elsewhere, module = host.Host(device="meta"), torch.nn.Linear(2, 2)
    elsewhere.load(module)
    assert module.weight.device.type == "meta"
    with elsewhere.load(torch.nn.Linear(2, 2)) as loaded:
        assert loaded.weight.device.type == "meta"


def test_the_temp_folder_exists_and_is_removed_with_its_host(tmp_path):
    plain = host.Host(device="cpu")
    folder = plain.temp_folder()
    assert folder.is_dir() and folder == plain.temp_folder()
    (folder / "left.txt").write_text("x")
    del plain
    assert not folder.exists()
    custom = host.Host(temp=tmp_path / "a" / "b")
    assert custom.temp_folder() == tmp_path / "a" / "b" and custom.temp_folder().is_dir()


def test_folders_default_to_the_working_folder_and_the_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MIMAFACE_MODELS", raising=False)
    plain = host.Host()
    assert plain.input_folder() == tmp_path and plain.output_folder() == tmp_path / "output"
    assert plain.models_folders() == [tmp_path / "models" / "mimaface"]
    monkeypatch.setenv("MIMAFACE_MODELS", f"/a{os.pathsep}/b")
    assert plain.models_folders()[:2] == [Path("/a"), Path("/b")]
    custom = host.Host(models=["m"], inputs="i", outputs="o")
    assert (custom.models_folders(), custom.input_folder(), custom.output_folder()) == (
        [Path("m")],
        Path("i"),
        Path("o"),
    )
