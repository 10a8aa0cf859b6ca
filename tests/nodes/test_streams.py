"""ComfyUI's own values at node borders: IMAGE, VIDEO, AUDIO and FACE_LANDMARKS, whoever made them."""

import gc
import io
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
import torch
from support.films import tracks, undecodable
from support.scenes import clip, needs_faces, nodding, portrait, tone

from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.comfy_landmarks import ConnectedTracker
from mimaface.mimaface_core.media.audio import read_audio
from mimaface.mimaface_core.media.read import Clip
from mimaface.mimaface_core.packs.pack import BUNDLED_PACK, ModelPack
from mimaface.nodes.combine_video import CombineVideo
from mimaface.nodes.comfyui.schema import VideoComponents, VideoFromComponents
from mimaface.nodes.detect_gaze import DetectGaze
from mimaface.nodes.extract_3dmm import Extract3DMM
from mimaface.nodes.streams import audio_of, frames_of, lossless_video


@pytest.fixture(autouse=True)
def folders(tmp_path):
    with host.use(host.Host(inputs=tmp_path, outputs=tmp_path / "out", temp=tmp_path / "temp")):
        yield tmp_path


def combined(tmp_path, **inputs):
    """The file that Combine Video writes."""
    given = {"filename_prefix": "made", "format": "mp4", "fps": 0.0} | inputs
    shown = CombineVideo.PREPARE_CLASS_CLONE({}).EXECUTE_NORMALIZED(**given).ui.as_dict()["images"][0]
    return tmp_path / "out" / shown["subfolder"] / shown["filename"]


# --- IMAGE


def batch(count, channels=3):
    """Pictures [N, 8, 10, C] of one level each."""
    return torch.linspace(0, 1, count)[:, None, None, None].expand(count, 8, 10, channels).clone()


ODD = {
    "half": lambda images: images.half(),
    "double": lambda images: images.double(),
    "transparent": lambda images: torch.cat([images, 0 * images[..., :1]], -1),
    "grey": lambda images: images[..., :1],
    "with gradients": lambda images: images.requires_grad_(),
    "not contiguous": lambda images: images.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1),
    "every second": lambda images: images.repeat_interleave(2, 0)[::2],
}


@pytest.mark.parametrize("kind", ODD)
def test_pictures_of_any_kind_are_the_same_pictures(kind):
    plain = list(frames_of(batch(5)))
    for picture, same in zip(frames_of(ODD[kind](batch(5))), plain, strict=True):
        assert picture.shape == (8, 10, 3) and picture.dtype == torch.float32 and not picture.requires_grad
        assert (picture - same).abs().max() < 1e-3


@pytest.mark.parametrize("count", [1, 2, 300])
def test_batches_of_any_size_are_written_whole(tmp_path, count):
    file = combined(tmp_path, frames=batch(count), format="mp4")
    assert file.suffix == (".png" if count == 1 else ".mp4")
    if count > 1:
        assert len(list(Clip.open(file))) == count


def test_a_batch_is_never_copied_as_a_whole():
    endless = batch(1).expand(10**12, -1, -1, -1)
    assert [picture.shape for picture in islice(frames_of(endless), 3)] == 3 * [(8, 10, 3)]


@pytest.mark.parametrize("shape", [(8, 10, 3), (2, 3, 8, 10), (1, 2, 8, 10, 3)])
def test_what_is_no_batch_of_pictures_is_refused(shape):
    with pytest.raises(InputError, match="give an IMAGE"):
        frames_of(torch.zeros(shape))


# --- VIDEO


class Foreign:
    """A VIDEO of another pack, which must not be loaded as a whole."""

    def __init__(self, source):
        self.source = source

    def get_stream_source(self):
        return self.source

    def get_components(self):
        raise AssertionError("the video was loaded as a whole")


@pytest.mark.parametrize("buffered", [False, True])
def test_the_video_of_another_pack_is_streamed(tmp_path, buffered):
    path = clip(tmp_path / "clip.mp4", nodding(6), Fraction(30000, 1001), tone(0, 0.2))
    video = Foreign(io.BytesIO(path.read_bytes()) if buffered else str(path))
    file = combined(tmp_path, frames=video, sound_of=video)
    assert Clip.open(file).fps == Fraction(30000, 1001) and len(list(Clip.open(file))) == 6
    assert read_audio(file) is not None


def test_a_driver_whose_audio_cannot_be_decoded_gives_a_result_without_audio_and_a_warning(tmp_path, caplog):
    driver = undecodable(tracks(tmp_path / "driver.mp4", 0), 2)
    file = combined(tmp_path, frames=batch(3), sound_of=Foreign(str(driver)))
    assert len(list(Clip.open(file))) == 3 and read_audio(file) is None
    assert caplog.text.count("The result has no audio: The audio of 'driver.mp4' is of a codec") == 1


class Trimmed(Foreign):
    """A VIDEO as newer versions of ComfyUI trim it: the same file, and a window of it in seconds."""

    def __init__(self, source, window):
        super().__init__(source)
        self.window = window

    def get_active_trim_window(self):
        return self.window


@pytest.mark.parametrize(
    ("window", "frames"), [((0.4, 0.3), range(4, 7)), ((0.7, 0.0), range(7, 10)), ((0, 0), range(10))]
)
def test_a_trimmed_video_is_read_in_its_window(tmp_path, window, frames):
    path = clip(tmp_path / "clip.mp4", nodding(10), Fraction(10), tone(0, 1.0))
    whole = torch.stack(list(Clip.open(path)))
    part = frames_of(Trimmed(str(path), window))
    assert torch.equal(torch.stack(list(part)), whole[list(frames)]) and part.count == len(frames)
    sound = torch.cat(list(audio_of(Trimmed(str(path), window)).blocks()), 1)
    everything = read_audio(path).waveform
    rate = read_audio(path).sample_rate
    first = frames[0] * rate // 10
    assert torch.equal(sound, everything[:, first : first + len(frames) * rate // 10])


def test_audio_in_whole_numbers_is_brought_to_one():
    waveform = torch.tensor([[[0, 16384, -32768]]], dtype=torch.int16)
    (block,) = audio_of({"waveform": waveform, "sample_rate": 16000}).blocks()
    assert block.tolist() == [[0, 0.5, -1]]
    with pytest.raises(InputError, match="audio is empty"):
        audio_of({"waveform": torch.zeros(0, 1, 5), "sample_rate": 16000})


def test_a_video_made_of_pictures_gives_those_and_its_exact_rate():
    images = torch.rand(3, 7, 9, 3)  # sizes that an encoder would refuse
    sound = {"waveform": torch.rand(1, 2, 300), "sample_rate": 16000}
    video = VideoFromComponents(VideoComponents(images=images, frame_rate=Fraction(29.97), audio=sound))
    frames = frames_of(video)
    assert torch.equal(torch.stack(list(frames)), images)
    assert (frames.count, frames.fps) == (3, Fraction(30000, 1001))
    assert torch.equal(torch.cat(list(audio_of(video).blocks()), 1), sound["waveform"][0])
    silent = VideoFromComponents(VideoComponents(images=images, frame_rate=Fraction(25)))
    assert audio_of(silent) is None


def test_a_film_between_nodes_leaves_the_disk_with_its_last_holder(tmp_path):
    with lossless_video(Fraction(25)) as made:
        made.add(batch(2))
    video, frames = made.video, frames_of(made.video)
    del made
    del video
    gc.collect()
    assert len(list(frames)) == 2  # which may be read long after the node that took the film
    del frames
    gc.collect()
    assert list((tmp_path / "temp").iterdir()) == []


def test_a_film_that_is_not_finished_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), lossless_video(Fraction(25)) as made:
        made.add(batch(2))
        raise KeyboardInterrupt
    assert list((tmp_path / "temp").iterdir()) == []


# --- FACE_LANDMARKS


def face(points, angle=0.0):
    """A face as ComfyUI's MediaPipe Face Landmarker describes it: landmarks [478, 3] of a picture, in pixels."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    side = 1.5 * (high - low).max()
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    flat = (points[:, :2] - (low + high) / 2) @ back.T * 192 / side + 96
    return {
        "bbox_xyxy": np.array([*low, *high], np.float32),
        "blendshapes": {"jawOpen": 0.1},
        "landmarks_xy": points[:, :2].astype(np.float32),
        "landmarks_3d": np.concatenate([flat, points[:, 2:] * 192 / side], 1).astype(np.float32),
        "presence": 9.0,
        "score": 0.9,
        "transformation_matrix": np.eye(4, dtype=np.float32),
    }


def payload(frames, size):
    """FACE_LANDMARKS of pictures of (height, width) `size`."""
    return {"frames": frames, "image_size": size, "connection_sets": {"lips": frozenset({(61, 146)})}}


@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_landmarks_of_comfyui_are_taken_with_their_depth(angle):
    points = np.random.default_rng(0).normal(size=(478, 3)) * [30, 40, 20] + [100, 90, 0]
    (found,) = ConnectedTracker(payload([[face(points, angle)]], (200, 220))).still(np.zeros((200, 220, 3)))
    assert np.allclose(found.landmarks, points, atol=0.05)


@needs_faces
def test_faces_found_by_comfyui_stand_in_for_the_tracker(monkeypatch):
    from mimaface.mimaface_core.face.detect import face_tracker

    picture = portrait()
    own = face_tracker().still(picture)[0].landmarks
    (connected,) = ConnectedTracker(payload([[face(own)]], (512, 512))).still(picture)
    assert np.abs(connected.landmarks - own).max() < 0.1

    monkeypatch.setattr("mimaface.mimaface_core.face.detect.face_tracker", None)  # must not be asked for
    pack, images = ModelPack.load(BUNDLED_PACK), torch.from_numpy(picture.copy()).expand(3, -1, -1, -1) / 255
    lost = payload([[face(own)], [], [face(own)]], (512, 512))
    motion = Extract3DMM.execute(pack, images, -1, "interpolate", landmarks=lost)[1]
    assert motion.visible.tolist() == [True, False, True]
    with pytest.raises(InputError, match="have 3 frames, fewer than the images"):
        DetectGaze.execute(pack, images[[0, 0, 0, 0]], motion, landmarks=lost)
    with pytest.raises(InputError, match="in images of 640 × 480, but these are 512 × 512; detect them on the same"):
        DetectGaze.execute(pack, images, motion, landmarks=lost | {"image_size": (480, 640)})


WRONG = {
    "nothing": None,
    "no points": {"frames": [[{}]]},
    "too few points": {"frames": [[{"landmarks_xy": [[0, 0]], "landmarks_3d": [[0, 0, 0]]}]]},
}


@pytest.mark.parametrize("what", WRONG)
def test_landmarks_of_another_kind_are_refused(what):
    with pytest.raises(InputError, match="connect the output of ComfyUI|update ComfyUI|full landmark model"):
        ConnectedTracker(WRONG[what])


def test_connected_landmarks_are_given_out_frame_by_frame():
    points, picture = np.random.default_rng(0).normal(size=(478, 3)), np.zeros((200, 200, 3))
    one = face(50 * points + 100)
    tracker = ConnectedTracker(payload([[one], [], [one, one]], (200, 200)))
    tracker.start_clip()
    assert [len(tracker.frame(picture)) for _ in range(3)] == [1, 0, 2]
    with pytest.raises(InputError, match="3 frames"):
        tracker.frame(picture)
