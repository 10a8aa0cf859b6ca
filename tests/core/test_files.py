"""Files that are whole or absent."""

import subprocess
import sys

import pytest
from support.checkout import IMPORT
from support.machine import slower

from mimaface.mimaface_core import files
from mimaface.mimaface_core.files import replacing, scratch_folder

# a process that is in the middle of a file and of a folder, says so, and waits
UNFINISHED = f"""
{IMPORT}
from pathlib import Path
from mimaface.mimaface_core.files import replacing, scratch_folder
here = Path(sys.argv[1])
with replacing(here / "a.json") as part, scratch_folder(here) as folder:
    part.write_text("aft")
    (folder / "b").touch()
    print("there", flush=True)
    input()
"""


def test_a_written_file_replaces_the_one_before(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("before")
    with replacing(path) as part:
        assert part.parent == tmp_path and part.suffix == ".json" and not part.exists()
        part.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_interrupted_file_is_absent_and_the_one_before_stays(tmp_path, error):
    path = tmp_path / "a.json"
    path.write_text("before")
    with pytest.raises(error), replacing(path) as part:
        part.write_text("aft")
        raise error
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError), replacing(path):
        pass  # nothing was written
    assert path.read_text() == "before"


def test_names_of_the_greatest_length_can_be_replaced(tmp_path):
    path = tmp_path / (250 * "a" + ".json")
    with replacing(path) as part:
        part.write_text("whole")
    assert path.read_text() == "whole"


@pytest.mark.parametrize("error", [None, OSError, KeyboardInterrupt])
def test_a_scratch_folder_disappears_with_its_content(tmp_path, error):
    try:
        with scratch_folder(tmp_path) as folder:
            (folder / "below").mkdir()
            (folder / "below" / "a").touch()
            (folder / "b").touch()
            (folder / "b").rename(tmp_path / "moved")
            if error is not None:
                raise error
    except (OSError, KeyboardInterrupt) as raised:
        assert type(raised) is error
    assert [path.name for path in tmp_path.iterdir()] == ["moved"]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_text("before")
    others = [".part-mine", ".part-00000000-1-1-0.json", "part-1-1-1.json"]
    for name in others:
        (tmp_path / name).touch()
    command = [sys.executable, "-c", UNFINISHED, str(tmp_path)]
    writing = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    try:
        assert [process.stdout.readline() for process in writing] == 2 * ["there\n"]
        writing[0].kill()
        writing[0].wait()
        parts = {path.name for path in tmp_path.glob(".part-*-*-*-*")} - set(others)
        assert len(parts) == 4
        monkeypatch.setattr(files, "_swept", set())
        with replacing(tmp_path / "b.json") as part:
            part.touch()
        left = {path.name for path in tmp_path.iterdir()}
        assert left - parts == {"a.json", "b.json", *others} and (tmp_path / "a.json").read_text() == "before"
        assert len(left & parts) == 2 and all(f"-{writing[1].pid}-" in name for name in left & parts)
        writing[1].communicate("\n", timeout=20 * slower())
        assert (tmp_path / "a.json").read_text() == "aft"
    finally:
        for process in writing:
            process.kill()
            process.communicate()


def test_a_container_s_process_of_the_same_number_is_another_one(tmp_path, monkeypatch):
    left = tmp_path / f".part-{files._MACHINE}-{files.os.getpid()}-0-0.json"
    left.touch()
    monkeypatch.setattr(files, "_swept", set())
    with scratch_folder(tmp_path):
        assert not left.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX device")
def test_a_device_is_not_replaced():
    with pytest.raises(FileExistsError), replacing(files.Path("/dev/null")):
        pass
