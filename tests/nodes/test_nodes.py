"""The nodes: what they say of themselves, and the small ones run on their own."""

import inspect
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from PIL import Image
from support.scenes import defaults
from support.tracks import still, track

from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media.audio import Audio, read_audio
from mimaface.mimaface_core.media.read import Clip
from mimaface.mimaface_core.media.write import VideoWriter
from mimaface.nodes import NODES
from mimaface.nodes.combine_video import CombineVideo
from mimaface.nodes.comfyui.schema import VideoFromFile
from mimaface.nodes.edit_motion import EditMotion
from mimaface.nodes.load_motion import LoadMotion
from mimaface.nodes.motion_statistics import MotionStatistics
from mimaface.nodes.plot_motion import PlotMotion
from mimaface.nodes.retarget_motion import RetargetMotion
from mimaface.nodes.save_motion import SaveMotion
from mimaface.nodes.smooth_motion import SmoothMotion
from mimaface.nodes.streams import frames_of, lossless_video

ROOT = Path(__file__).resolve().parents[2]
IDS = [node.GET_SCHEMA().node_id for node in NODES]


@pytest.fixture(autouse=True)
def folders(tmp_path):
    with host.use(host.Host(inputs=tmp_path, outputs=tmp_path / "out", temp=tmp_path / "temp")):
        yield


def test_ids_are_unique_and_named_for_this_pack():
    assert len(set(IDS)) == len(IDS) and all(name.startswith("MIMAFace") for name in IDS)


@pytest.mark.parametrize("node", NODES, ids=IDS)
def test_a_node_describes_itself(node):
    info = node.GET_NODE_INFO_V1()
    assert info["category"] == "MIMAFace" and info["description"].endswith(".") and info["display_name"]
    entries = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    for name, (kind, options) in entries.items():
        tip = options.get("tooltip", "")
        assert len(tip) > 15 and tip[0].isupper() | (tip.split()[0] in str(options.get("options"))), name
        if kind in ("INT", "FLOAT"):
            assert options["min"] <= options["default"] <= options["max"], name
        if kind == "COMBO" and "default" in options and options["default"] != "bundled":
            assert options["default"] in options["options"], name
    assert all(info["output_tooltips"]) and all(info["output_name"])


def test_the_pack_is_imported_quickly_and_without_heavy_libraries():
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "import torch; from support import checkout; import mimaface.nodes\n"
        "heavy = {'diffusers', 'transformers', 'mediapipe', 'cv2', 'av', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_comfyui_finds_one_entry_point():
    source = (ROOT / "__init__.py").read_text()
    assert "async def comfy_entrypoint" in source and "NODE_CLASS_MAPPINGS" not in source
    assert ("WEB_DIRECTORY" in source) == (ROOT / "web").is_dir()


# --- videos between nodes


def made(count, size=(24, 32), fps=Fraction(30000, 1001)):
    with lossless_video(fps) as clip:
        clip.add(torch.linspace(0, 1, count)[:, None, None, None].expand(count, *size, 3))
    return clip.video


def test_a_video_between_nodes_keeps_every_bit_and_its_rate(tmp_path):
    video = made(9)
    frames = frames_of(video)
    assert frames.fps == Fraction(30000, 1001) and frames.count == 9
    levels = [int(frame.unique()) for frame in frames]
    assert levels == [round(255 * i / 8) for i in range(9)] and len(list(frames)) == 9
    video.save_to(tmp_path / "saved.mp4", metadata={"prompt": {"1": "a"}})
    assert "h264" in codec(tmp_path / "saved.mp4") and Clip.open(tmp_path / "saved.mp4").fps == frames.fps
    with pytest.raises(InputError, match="mp4"):
        video.save_to(tmp_path / "saved.webm", format="webm")


def codec(path):
    import av

    with av.open(str(path)) as container:
        return [stream.codec_context.name for stream in container.streams]


def test_pictures_have_the_rate_they_are_given():
    assert frames_of(torch.zeros(3, 4, 5, 4), 29.97).fps == Fraction(30000, 1001)
    assert [picture.shape for picture in frames_of(torch.zeros(3, 4, 5, 4))] == 3 * [(4, 5, 3)]


# --- files


def combine(**changes):
    node = CombineVideo.PREPARE_CLASS_CLONE({})
    return node.EXECUTE_NORMALIZED(**(defaults(CombineVideo) | changes))


def test_sound_is_kept_cut_and_the_rate_stays_exact(tmp_path):
    tone = Audio(torch.sin(torch.arange(48000 * 2) / 20)[None], 48000)
    with VideoWriter(tmp_path / "driver.mp4", Fraction(25), audio=tone) as driver:
        for _ in range(50):
            driver.write(torch.zeros(32, 32, 3, dtype=torch.uint8))
    done = combine(frames=made(15), sound_of=VideoFromFile(str(tmp_path / "driver.mp4")))
    saved = tmp_path / "out" / done.ui.as_dict()["images"][0]["filename"]
    assert saved.name == "mimaface_00001_.mp4" and Clip.open(saved).fps == Fraction(30000, 1001)
    sound = read_audio(saved)
    assert abs(sound.waveform.shape[1] / sound.sample_rate - 15 * 1001 / 30000) < 0.03
    assert len(list(frames_of(done[0]))) == 15
    silent = combine(frames=made(3), sound_of=made(3))
    assert read_audio(tmp_path / "out" / silent.ui.as_dict()["images"][0]["filename"]) is None


@pytest.mark.parametrize("format", ["webm", "gif", "png"])
def test_other_formats(tmp_path, format):
    done = combine(frames=made(4), format=format, fps=12.0, filename_prefix="sub/x")
    shown = done.ui.as_dict()["images"]
    paths = [tmp_path / "out" / entry["subfolder"] / entry["filename"] for entry in shown]
    assert all(path.is_file() and path.suffix == f".{format}" for path in paths)
    assert len(paths) == (4 if format == "png" else 1)
    assert len(list(frames_of(done[0]))) == 4


@pytest.mark.parametrize(("format", "suffix"), [("mp4", "png"), ("png", "png"), ("webm", "webm"), ("gif", "gif")])
def test_a_single_frame_is_written_in_a_format_that_is_not_the_default(tmp_path, format, suffix):
    CombineVideo.EXECUTE_NORMALIZED(frames=torch.rand(1, 64, 64, 3), filename_prefix="one", format=format, fps=0.0)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"one_00001_.{suffix}"]


def test_a_single_frame_is_a_picture_that_says_it_is_synthetic(tmp_path):
    done = combine(frames=torch.full((1, 20, 30, 3), 0.5))
    with Image.open(tmp_path / "out" / "mimaface_00001_.png") as picture:
        assert picture.size == (30, 20) and "compositeWithTrainedAlgorithmicMedia" in str(picture.info)
    assert len(list(frames_of(done[0]))) == 1


def test_a_motion_is_kept_and_found_again(tmp_path):
    own = track()
    saved = SaveMotion.EXECUTE_NORMALIZED(own, "m/own")
    assert saved.ui["motions"][0]["filename"] == "own_00001_.safetensors"
    (tmp_path / "out/m/own_00001_.safetensors").rename(tmp_path / "own.safetensors")
    assert LoadMotion.GET_SCHEMA().inputs[0].options == ["own.safetensors"]
    loaded = LoadMotion.EXECUTE_NORMALIZED("own.safetensors")[0]
    assert torch.equal(loaded.coefficients.values, own.coefficients.values) and loaded.fps == own.fps
    with pytest.raises(InputError, match="gone"):
        LoadMotion.EXECUTE_NORMALIZED("gone.safetensors")


# --- motion


def test_motion_nodes_run_with_their_defaults():
    motion = track(12)
    assert len(SmoothMotion.EXECUTE_NORMALIZED(motion, **defaults(SmoothMotion))[0]) == 12
    calm = MotionStatistics.EXECUTE_NORMALIZED(motion, **defaults(MotionStatistics))[0]
    assert torch.allclose(calm.coefficients.values, motion.coefficients.values, atol=1e-4)
    held = MotionStatistics.EXECUTE_NORMALIZED(motion, **(defaults(MotionStatistics) | {"head": 0.0}))[0]
    assert held.coefficients.angles.std(0).max() < 1e-4 < motion.coefficients.angles.std(0).min()
    image = PlotMotion.EXECUTE_NORMALIZED(motion, **defaults(PlotMotion))[0]
    assert image.shape == (1, 768, 1024, 3)
    same = EditMotion.EXECUTE_NORMALIZED(motion, **defaults(EditMotion))[0]
    assert torch.allclose(same.coefficients.values, motion.coefficients.values, atol=1e-5)
    assert torch.equal(same.gaze, motion.gaze)
    turned = EditMotion.EXECUTE_NORMALIZED(still(3), **(defaults(EditMotion) | {"yaw": 10.0}))[0]
    assert torch.rad2deg(turned.coefficients.angles - still(3).coefficients.angles)[:, 1].tolist() == (
        pytest.approx([10, 10, 10])
    )


def test_a_node_output_never_has_an_input_s_name_missing_from_execute():
    for node in [*NODES, RetargetMotion]:
        given = {one.id for one in node.GET_SCHEMA().inputs}
        taken = inspect.signature(node.execute).parameters
        open_ended = any(p.kind is p.VAR_KEYWORD for p in taken.values())
        named = {name for name, p in taken.items() if p.kind is not p.VAR_KEYWORD}
        assert named <= given and (open_ended or named == given), node
