"""Fit for Windows: names, encodings, paths with drive letters, files that are closed in time."""

import ast
import os
import re
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from support.checkout import ROOT, tracked
from support.scenes import tone
from support.tiny_pack import write_tiny_pack

from mimaface.headless.graph import load_graph
from mimaface.headless.node_classes import node_classes, object_info
from mimaface.headless.overrides import apply_overrides
from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media.output_path import FORBIDDEN, next_output_path
from mimaface.mimaface_core.media.write import VideoWriter
from mimaface.mimaface_core.motion.track import FaceCoefficients, MotionTrack
from mimaface.nodes import SaveMotion

SHIPPED = [
    ROOT / "__init__.py",
    *(path for top in ("mimaface_core", "nodes") for path in sorted((ROOT / top).rglob("*.py"))),
]
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # names that Windows keeps for itself
MAX_PATH_CHARACTERS = 120  # in the repository; Windows allows 260 with the folders above it


def test_every_file_can_be_checked_out_on_windows():
    for path in tracked():
        assert len(path) <= MAX_PATH_CHARACTERS, path
        for part in path.split("/"):
            assert not FORBIDDEN.search(part) and not RESERVED.fullmatch(part) and part[-1] not in ". ", path
    assert len({path.lower() for path in tracked()}) == len(tracked())


def test_text_files_are_read_and_written_as_utf_8():
    """Without a name of its own the encoding would be the system's: cp1252 on Windows."""
    for path in SHIPPED:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                assert not _lacks_encoding(node), f"{path}:{node.lineno}"


def _lacks_encoding(call):
    own = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", None)
    named = {keyword.arg for keyword in call.keywords}
    if own == "read_text":
        return "encoding" not in named and not call.args
    if own == "write_text":
        return "encoding" not in named and len(call.args) < 2
    if own == "open" and isinstance(call.func, ast.Name):
        mode = next((k.value for k in call.keywords if k.arg == "mode"), call.args[1] if len(call.args) > 1 else None)
        return "encoding" not in named and not (isinstance(mode, ast.Constant) and "b" in mode.value)
    return False


def test_no_file_name_is_written_that_windows_forbids(tmp_path):
    for prefix in ('10:30 <a> "b" |c?*', "folder\\name", "%date:yyyy-MM-dd%/x", "tab\there"):
        place = next_output_path(tmp_path, prefix)
        below = place.file(".mp4").relative_to(tmp_path.resolve())
        assert not FORBIDDEN.search(below.as_posix()) and "\\" not in str(below) and place.folder.is_dir(), prefix
    assert next_output_path(tmp_path, "folder\\name").file(".png") == tmp_path.resolve() / "folder" / "name_00001_.png"


@pytest.mark.parametrize("prefix", ["C:\\Windows\\x", "c:x", "\\\\server\\share\\x", "..\\x", "a\\..\\..\\x"])
def test_no_windows_path_leaves_the_output_folder(tmp_path, prefix):
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="leaves the output folder"):
        next_output_path(tmp_path / "out", prefix)


def test_a_path_with_a_drive_letter_arrives_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    graph, infos = load_graph(ROOT / "workflows" / "api" / "talk.json"), object_info(node_classes())
    assert apply_overrides(graph, infos, ["source=C:\\Photos = mine\\me.jpg", "audio=D:/voice.wav"], []) == []
    given = {node.title: node.inputs for node in graph.values()}
    assert given["source"]["image"].endswith("C:\\Photos = mine\\me.jpg")
    assert given["audio"]["audio"].endswith("D:/voice.wav")


def still_open(path):
    """Whether this process has a file, or one in a folder, open or mapped."""
    held = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            held.append(os.readlink(link))
        except OSError:
            continue  # the listing's own, closed again
    maps = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    held += [line.split(maxsplit=5)[5] for line in maps if len(line.split(maxsplit=5)) == 6]
    own = str(Path(path).resolve())
    return any(name == own or name.startswith(own + os.sep) for name in held)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks into Linux's /proc")
def test_files_are_closed_before_they_are_put_in_place(tmp_path, monkeypatch):
    """Windows does not move a file that is open, nor over one that is."""
    moved, move = [], os.replace

    def watched(source, target):
        assert not still_open(source) and not still_open(target), source
        moved.append(Path(target).suffix)
        move(source, target)

    monkeypatch.setattr(os, "replace", watched)
    images = torch.zeros(2, 16, 16, 3, dtype=torch.uint8)
    for kind, sound in (("mp4", tone(0.02, 0.02)), ("webm", None), ("gif", None), ("png", None)):
        with VideoWriter(tmp_path / f"video.{kind}", Fraction(25), kind, audio=sound) as video:
            for image in images:
                video.write(image)
    still = torch.zeros(3, 4), torch.eye(2, 3).repeat(3, 1, 1), torch.ones(3, dtype=torch.bool)
    motion = MotionTrack(FaceCoefficients.zeros(3), *still, Fraction(25))
    with host.use(host.Host(models=[tmp_path], inputs=tmp_path, outputs=tmp_path, temp=tmp_path)):
        SaveMotion.execute(motion, "motion/kept")
    loaded = write_tiny_pack(tmp_path / "tiny").vae  # a part that is in use does not hold its file
    write_tiny_pack(tmp_path / "tiny")
    assert loaded is not None
    assert {".mp4", ".webm", ".gif", "", ".safetensors"} <= set(moved)
