"""What the nodes make of files that ComfyUI's own loaders hand on: videos and audio as devices write them.

Runs when COMFYUI_DIR names a ComfyUI folder (see test_comfyui.py).
"""

import pytest
import torch
from support.comfyui_process import running
from support.comfyui_server import COMFYUI, bare
from support.recordings import ffmpeg
from support.scenes import clip, needs_faces, nodding, tone
from support.tiny_pack import write_tiny_pack

from mimaface.mimaface_core.media.audio import read_audio
from mimaface.mimaface_core.media.read import Clip

pytestmark = [
    pytest.mark.skipif(not COMFYUI, reason="set COMFYUI_DIR to a ComfyUI folder to test inside it"),
    needs_faces,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    base = bare(tmp_path_factory.mktemp("comfyui"))
    write_tiny_pack(base / "models" / "mimaface" / "tiny")
    files = base / "input"
    clip(files / "clip.mp4", nodding(6), audio=tone(0.1, 0.2))
    ffmpeg("-i", files / "clip.mp4", "-vf", "scale=iw/2:ih,setsar=2", files / "narrow.mp4")
    ffmpeg("-i", files / "clip.mp4", "-c:v", "copy", "-ac", 1, "-c:a", "pcm_s16le", files / "whole_numbers.mov")
    (files / "empty.mp4").touch()
    with running(base) as comfyui:
        yield comfyui


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def written(server, name, **graph):
    """The file that Combine Video, the node `save` of the graph, writes."""
    given = {"filename_prefix": name, "format": "mp4", "fps": 0.0}
    graph["save"] = node("MIMAFaceCombineVideo", **given | graph["save"])
    run = server.run(graph)
    assert run.status == "success", run.history["status"]
    return server.base / "output" / run.history["outputs"]["save"]["images"][0]["filename"]


def error(server, **graph):
    """The sentence with which a node ends, and the node."""
    messages = dict(server.run(graph).history["status"]["messages"])
    return messages["execution_error"]["exception_message"], messages["execution_error"]["node_id"]


def test_a_linked_video_is_read_with_square_pixels(server):
    plain, narrow = (
        Clip.open(written(server, name, load=node("LoadVideo", file=f"{name}.mp4"), save={"frames": ["load", 0]}))
        for name in ("clip", "narrow")
    )
    assert (plain.width, plain.height) == (narrow.width, narrow.height)


def test_audio_in_whole_numbers_keeps_its_level(server):
    graph = {
        "load": node("LoadVideo", file="whole_numbers.mov"),
        "parts": node("GetVideoComponents", video=["load", 0]),
        "save": {"frames": ["load", 0], "audio": ["parts", 1]},
    }
    made, own = (
        read_audio(path).waveform for path in (written(server, "sound", **graph), server.base / "input/clip.mp4")
    )
    assert torch.isclose(made.std(), own.std(), rtol=0.1)


def test_an_empty_file_ends_in_one_sentence_of_the_node(server):
    pack, load = node("MIMAFaceLoadPack", pack="tiny"), node("LoadVideo", file="empty.mp4")
    extract = node("MIMAFaceExtract3DMM", pack=["pack", 0], picture=["load", 0], face=-1, lost="interpolate", fps=25.0)
    save = node("MIMAFaceSaveMotion", motion=["extract", 1], filename_prefix="none")
    said, where = error(server, pack=pack, load=load, extract=extract, save=save)
    assert where == "extract" and said.strip().count("\n") == 0
    assert said.startswith("'empty.mp4' cannot be read as video or audio")
