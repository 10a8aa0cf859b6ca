"""What nodes refuse when a graph is queued, before anything runs, and what they notice to have changed on disk."""

import inspect
import json
import os

import pytest
import torch
from support.tiny_pack import write_tiny_pack
from support.tracks import still

from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media.output_path import next_output_path
from mimaface.nodes import NODES
from mimaface.nodes.combine_video import CombineVideo
from mimaface.nodes.detect_gaze import DetectGaze
from mimaface.nodes.drive_by_audio import DriveByAudio
from mimaface.nodes.edit_motion import EditMotion
from mimaface.nodes.extract_3dmm import Extract3DMM
from mimaface.nodes.load_motion import LoadMotion
from mimaface.nodes.load_pack import LoadPack
from mimaface.nodes.sample_clips import SampleClips
from mimaface.nodes.save_motion import SaveMotion


@pytest.fixture(autouse=True)
def folders(tmp_path):
    with host.use(host.Host(inputs=tmp_path, outputs=tmp_path / "out", temp=tmp_path / "temp")):
        yield


def defaults(node):
    """The values a node's widgets start with."""
    return {i.id: i.default for i in node.GET_SCHEMA().inputs if getattr(i, "default", None) is not None}


def judged(node):
    """The inputs that a node's own check is asked about; ComfyUI holds those no more against range and options."""
    names = inspect.getfullargspec(node.validate_inputs)
    return [one for one in node.GET_SCHEMA().inputs if one.id in names.args]


CHOICES = [(node, one.id) for node in NODES for one in node.GET_SCHEMA().inputs if hasattr(one, "options")]
NUMBERS = [(node, one.id, one) for node in NODES for one in judged(node) if getattr(one, "max", None) is not None]


@pytest.mark.parametrize(("node", "name"), CHOICES, ids=[f"{node.__name__}-{name}" for node, name in CHOICES])
def test_what_no_combo_offers_is_refused(node, name):
    """Older ComfyUIs leave it to the node, which may only come to it after minutes."""
    said = node.validate_inputs(**{name: "of a newer version"})
    assert isinstance(said, str) and "'of a newer version'" in said


@pytest.mark.parametrize("value", [5, {}, "x" * 300, "\0", "../x"], ids=["number", "object", "long", "null", "outside"])
def test_what_is_no_name_at_all_is_refused(value):
    for node, name in CHOICES:
        said = node.validate_inputs(**{name: value})
        assert isinstance(said, str) and len(said) < 2000, (node, name)


@pytest.mark.parametrize(
    ("node", "name", "widget"), NUMBERS, ids=[f"{node.__name__}-{name}" for node, name, _ in NUMBERS]
)
def test_numbers_that_a_node_judges_keep_their_range(node, name, widget):
    for value, inside in ((widget.min, True), (widget.max, True), (widget.min - 1, False), (widget.max + 1, False)):
        assert (node.validate_inputs(**{name: value}) is True) == inside, value


@pytest.mark.parametrize("node", NODES, ids=[node.__name__ for node in NODES])
def test_widgets_as_they_start_and_links_are_not_refused(node, monkeypatch):
    monkeypatch.setattr("mimaface.mimaface_core.face.detect.find_spec", lambda name: name)
    assert node.validate_inputs(**{one.id: defaults(node).get(one.id) for one in judged(node)}) is True


def test_combinations_that_cannot_work_are_refused():
    said = SampleClips.validate_inputs
    assert "below clip_frames" in said(clip_frames=4, overlap=4) and said(clip_frames=4, overlap=3) is True
    assert said(clip_frames=4, overlap=-1) is True and said(clip_frames=0, overlap=30) is True
    assert "at most 50 steps" in said(scheduler="lcm", steps=51) and said(scheduler="euler", steps=51) is True


@pytest.mark.parametrize("node", [CombineVideo, SaveMotion])
def test_a_place_that_cannot_be_written_is_refused(node, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").touch()
    assert node.validate_inputs(filename_prefix="new/folder/%year%") is True
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]
    assert "leaves the output folder" in node.validate_inputs(filename_prefix="../x")
    assert "file is a file" in node.validate_inputs(filename_prefix="file/below/x")


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("node", [CombineVideo, SaveMotion])
def test_links_that_form_a_loop_are_refused_in_a_sentence(node, tmp_path):
    for name, target in (("a", "b"), ("b", "a")):
        (tmp_path / name).symlink_to(tmp_path / target)
    with host.use(host.Host(outputs=tmp_path / "a", temp=tmp_path / "temp")):
        with pytest.raises(InputError, match="choose another"):
            next_output_path(tmp_path / "a", "x")
        assert "choose another" in str(node.validate_inputs(filename_prefix="x"))


@pytest.mark.parametrize("node", [Extract3DMM, DetectGaze])
def test_mediapipe_is_only_needed_where_it_is_chosen(node, monkeypatch):
    monkeypatch.setattr("mimaface.mimaface_core.face.detect.find_spec", lambda name: None)
    assert "pip install mediapipe" in node.validate_inputs(tracker="mediapipe")
    assert node.validate_inputs() is True and node.validate_inputs(tracker="bundled") is True
    assert node.validate_inputs(tracker="mediapipe", landmarks=None) is True  # as a link
    assert "choose auto or bundled or mediapipe" in node.validate_inputs(tracker="dlib")


def test_motions_that_cannot_be_read_are_refused_and_those_written_again_are_noticed(tmp_path):
    from safetensors.torch import save_file

    still(3).save(tmp_path / "own.safetensors")
    assert LoadMotion.validate_inputs("own.safetensors") is True
    before = LoadMotion.fingerprint_inputs("own.safetensors")
    assert LoadMotion.fingerprint_inputs("own.safetensors") == before
    still(4).save(tmp_path / "own.safetensors")
    assert LoadMotion.fingerprint_inputs("own.safetensors") != before
    (tmp_path / "other.safetensors").write_bytes(b"no motion")
    save_file({"x": torch.zeros(1)}, tmp_path / "newer.safetensors", {"format": "mimaface.motion.2"})
    save_file({"x": torch.zeros(1)}, tmp_path / "weights.safetensors")
    for name, words in (
        ("gone", "no motion file"),
        ("other", "cannot be read"),
        ("newer", "a newer version wrote it; update"),
        ("weights", "written by Save Motion"),
    ):
        assert words in LoadMotion.validate_inputs(f"{name}.safetensors")


def test_packs_that_cannot_be_used_are_refused_and_changed_ones_noticed(tmp_path):
    folder = tmp_path / "tiny"
    write_tiny_pack(folder)
    with host.use(host.Host(models=[tmp_path])):
        assert LoadPack.validate_inputs("tiny") is True
        before = LoadPack.fingerprint_inputs("tiny")
        assert LoadPack.fingerprint_inputs("tiny") == before
        weights = (folder / "vae.safetensors").read_bytes()
        (folder / "vae.safetensors").write_bytes(weights[:-8])
        assert "vae.safetensors cannot be read: it is cut short" in LoadPack.validate_inputs("tiny")
        assert LoadPack.fingerprint_inputs("tiny") != before
        (folder / "vae.safetensors").unlink()
        assert "vae.safetensors is not there" in LoadPack.validate_inputs("tiny")
        (folder / "manifest.json").write_text(json.dumps({"format": 2}))
        assert "a newer version of this project reads; update" in LoadPack.validate_inputs("tiny")
        (folder / "manifest.json").unlink()
        assert "manifest.json is missing" in LoadPack.validate_inputs("tiny")
        assert LoadPack.fingerprint_inputs("tiny") is None


def test_weights_of_sadtalker_that_were_exchanged_are_noticed(tmp_path):
    with host.use(host.Host(models=[tmp_path])):
        assert DriveByAudio.fingerprint_inputs(driver="bundled") == DriveByAudio.fingerprint_inputs(pack=None)
        file = tmp_path / "SadTalker_V0.0.2_256.safetensors"
        file.write_bytes(b"one")
        before = DriveByAudio.fingerprint_inputs(driver="sadtalker", pack=None, fps=25.0)
        file.write_bytes(b"another")
        assert DriveByAudio.fingerprint_inputs(driver="sadtalker", pack=None, fps=25.0) != before


def test_an_input_that_a_node_does_not_have_is_named():
    with pytest.raises(InputError, match="has no input hair; update this extension"):
        EditMotion.EXECUTE_NORMALIZED(face=still(1), **defaults(EditMotion), hair=None)


def test_a_pack_that_is_not_there_says_how_to_get_it(tmp_path):
    with host.use(host.Host(models=[tmp_path])):
        assert LoadPack.validate_inputs("bundled") is True
        assert "bundled" in LoadPack.validate_inputs("other") and "convert" not in LoadPack.validate_inputs("other")
        assert "mimaface pack convert" in LoadPack.validate_inputs("released")
