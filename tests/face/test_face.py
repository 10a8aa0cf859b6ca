"""Extraction by fit from real faces, and the refusal of images and clips without one."""

import gc
import sys
import time
import weakref
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from support.machine import slower
from support.scenes import clip, moved, needs_faces, nodding, noise

from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.face.extract import measure
from mimaface.mimaface_core.face.extract_by_fit import FitExtractor
from mimaface.mimaface_core.face.lost import LOST
from mimaface.mimaface_core.face.paste import Paster
from mimaface.mimaface_core.morphable.bundled.face import bundled_face
from mimaface.nodes.streams import frames_of

SHARE = 0.56


def measured(images, **options):
    """Source and motion of uint8 images [H, W, 3]."""
    from mimaface.mimaface_core.face.detect import face_tracker

    frames = [torch.from_numpy(np.ascontiguousarray(image)) for image in images]
    return measure(frames, len(frames), Fraction(25), face_tracker(), FitExtractor(bundled_face(), SHARE), **options)


def place(source):
    """Centre (x, y) and width of the crop in the image."""
    scale = float(source.crop_matrix[0, 0])
    centre = (256 - source.crop_matrix[:, 2]) / scale
    return float(centre[0]), float(centre[1]), 512 / scale


# --- no face, lost faces, several faces


@needs_faces
def test_no_face_is_refused_in_one_sentence():
    with pytest.raises(InputError, match="No face was found in the image; use one"):
        measured([noise()])
    with pytest.raises(InputError, match="No face was found in any of the clip's 3 frames; use"):
        measured([noise()] * 3)
    with pytest.raises(InputError, match="no frames"):
        measured([])


@needs_faces
@pytest.mark.parametrize("lost", LOST)
def test_frames_without_a_face_are_filled(lost):
    frames = nodding(9)
    hidden = frames[:3] + [noise()] * 3 + frames[6:]
    _, motion = measured(hidden, lost=lost)
    assert motion.visible.tolist() == [True] * 3 + [False] * 3 + [True] * 3
    values = torch.cat([motion.coefficients.values, motion.gaze], 1)
    if lost == "previous":
        assert torch.equal(values[3:6], values[[2, 2, 2]])
    elif lost == "empty":
        assert torch.equal(values[3:6], values[[0, 0, 0]])
    else:
        assert torch.allclose(values[4], (values[2] + values[6]) / 2, atol=1e-5)


@needs_faces
def test_source_is_the_first_face_of_the_clip():
    source, motion = measured([noise(), noise(), *nodding(3)])
    assert motion.visible.tolist() == [False, False, True, True, True]
    assert np.allclose(source.image.numpy() * 255, nodding(3)[0], atol=0.6)


@needs_faces
def test_face_is_chosen_by_index_and_followed():
    large, small = moved(size=(320, 320)), moved(size=(200, 200))
    both = np.full((320, 520, 3), 128, np.uint8)
    both[60:260, :200], both[:, 200:] = small, large
    middle = [place(measured([both], index=index)[0])[0] for index in (-1, 0, 1)]
    assert middle[0] > 300 and middle[1] < 150 and middle[2] == pytest.approx(middle[0], abs=1)
    with pytest.raises(InputError, match="only 2 were found; choose 0–1"):
        measured([both], index=2)
    # followed, although the other one grows
    frames = []
    for i in range(4):
        frame = both.copy()
        frame[:320, 200:] = moved(scale=1 - 0.03 * i, size=(320, 320))
        frames.append(frame)
    assert place(measured(frames, index=0)[0])[0] < 150


@needs_faces
def test_face_40_pixels_high_in_a_large_image():
    image = np.array(Image.fromarray(noise((1200, 800))))
    head = Image.fromarray(moved(size=(256, 256))).resize((92, 92), Image.Resampling.LANCZOS)
    image[500:592, 900:992] = np.array(head)
    source, _ = measured([image])
    x, y, width = place(source)
    assert 920 < x < 970 and 510 < y < 575 and 50 < width < 110
    assert source.crop.shape == (3, 512, 512)


@needs_faces
def test_photograph_of_6000_by_4000_takes_at_most_20_seconds():
    image = np.full((4000, 6000, 3), 90, np.uint8)
    image[200:3800, 1200:4800] = np.array(
        Image.fromarray(moved(size=(360, 360))).resize((3600, 3600), Image.Resampling.BICUBIC)
    )
    image = torch.from_numpy(image)
    measured([moved()])  # models are loaded
    started = time.monotonic()
    source, _ = measured([image.numpy()])
    pasted = Paster(source)((source.crop[None] + 1) / 2)
    assert time.monotonic() - started < 20 * slower()
    assert pasted.shape == (1, 1280, 1920, 3) and place(source)[2] > 2000


@needs_faces
def test_clips_of_one_frame_and_of_odd_size_and_rate(tmp_path):
    for name, size, count, rate in (
        ("one", (256, 256), 1, 25),
        ("odd", (255, 301), 3, Fraction(30000, 1001)),
    ):
        path = clip(tmp_path / f"{name}.mp4", [moved(size=size)] * count, rate)
        frames = frames_of(type("Video", (), {"get_stream_source": lambda self, path=path: str(path)})())
        from mimaface.mimaface_core.face.detect import face_tracker

        _, motion = measure(frames, frames.count, frames.fps, face_tracker(), FitExtractor(bundled_face(), SHARE))
        assert len(motion) == count and motion.fps == rate and motion.visible.all()


@needs_faces
def test_tracking_can_be_cancelled():
    class Stop(host.Host):
        def show(self, progress, preview=None):
            if progress.done == 2:
                self.cancel()

    with host.use(Stop()), pytest.raises(Cancelled):
        measured(nodding(6))


def test_a_missing_or_unknown_tracker_is_refused_in_one_sentence(monkeypatch):
    from mimaface.mimaface_core.face.detect import face_tracker

    monkeypatch.setattr("mimaface.mimaface_core.face.detect.find_spec", lambda name: None)
    with pytest.raises(InputError, match="choose the bundled tracker, or run `pip install mediapipe"):
        face_tracker("mediapipe")
    with pytest.raises(InputError, match="no face tracker 'dlib'; choose auto, bundled or mediapipe"):
        face_tracker("dlib")


@pytest.mark.parametrize("content", ["raise TypeError('protobuf')", "__version__ = '0.12'"])
def test_without_a_mediapipe_that_works_the_bundled_tracker_serves(content, monkeypatch, tmp_path):
    from mimaface.mimaface_core.face.bundled_tracker import BundledTracker
    from mimaface.mimaface_core.face.detect import face_tracker

    (tmp_path / "mediapipe.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    del sys.modules["mediapipe"]
    assert isinstance(face_tracker(), BundledTracker)
    monkeypatch.setattr("mimaface.mimaface_core.face.detect.find_spec", lambda name: None)
    assert isinstance(face_tracker(), BundledTracker)


# --- trackers leave nothing behind


def test_mediapipe_graphs_are_closed_with_the_next_clip_and_with_their_tracker(monkeypatch):
    from mimaface.mimaface_core.face.mediapipe_tracker import ClassicTracker

    class Graph:
        def __init__(self):
            self.closed = 0

        def process(self, image):
            return SimpleNamespace(multi_face_landmarks=[])

        def close(self):
            self.closed += 1

    graphs = []
    monkeypatch.setattr(ClassicTracker, "_build", lambda self, still: graphs.append(Graph()) or graphs[-1])
    tracker = ClassicTracker()
    for _ in range(2):
        tracker.start_clip()
        tracker.frame(noise())
    tracker._mesh(noise())
    tracker._mesh(noise())
    assert [graph.closed for graph in graphs] == [1, 0, 0]
    del tracker
    gc.collect()
    assert [graph.closed for graph in graphs] == [1, 1, 1]


def test_import_exception_stored_by_mediapipe_does_not_keep_the_caller_alive(monkeypatch, tmp_path):
    from mimaface.mimaface_core.face.detect import face_tracker

    keeper = "try:\n    import no_such_module\nexcept ImportError as error:\n    stored = error\nsolutions = None\n"
    (tmp_path / "mediapipe.py").write_text(keeper)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    del sys.modules["mediapipe"]

    def run():
        pack = torch.nn.Identity()
        face_tracker("mediapipe")
        return weakref.ref(pack)

    pack = run()
    gc.collect()
    assert sys.modules["mediapipe"].stored is not None and pack() is None


# --- a whole run


@needs_faces
def test_cancelled_run_leaves_no_file(run, tmp_path, monkeypatch):
    from mimaface.mimaface_core.terminal import TerminalHost

    Image.fromarray(moved()).save("face.png")
    clip(Path("clip.mp4"), nodding(14))

    show = TerminalHost.show

    def stop_while_drawing(self, progress, preview=None):
        show(self, progress, preview)
        if progress.label == "drawing" and progress.done == 1:
            self.cancel()

    monkeypatch.setattr(TerminalHost, "show", stop_while_drawing)
    status, files, said = run("reenact_video", "--input", "source=face.png", "--input", "driver=clip.mp4")
    assert status == 130 and not files and "Cancelled" in said
    assert not [path for path in Path(tmp_path, "out").rglob("*") if path.is_file()]


@needs_faces
def test_image_without_a_face_names_the_node(run):
    Image.fromarray(noise()).save("face.png")
    status, _, said = run("edit_face", "--input", "source=face.png")
    assert status == 2 and "node 'source_face' (MIMAFaceExtract3DMM" in said.splitlines()[-1]
