"""Real faces, and what is not one: bad pictures and clips end in one clear sentence, or in a result that is right."""

import gc
import importlib.util
import sys
import time
import weakref
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from support.scenes import clip, moved, needs_faces, nodding, noise

from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.face.extract import measure
from mimaface.mimaface_core.face.extract_by_fit import FitExtractor
from mimaface.mimaface_core.face.follow import LOST
from mimaface.mimaface_core.face.paste import Paster
from mimaface.mimaface_core.face.source import SourceFace
from mimaface.mimaface_core.morphable.bundled.face import procedural_face
from mimaface.mimaface_core.morphable.bundled.face_mesh import OVAL
from mimaface.nodes.streams import frames_of

SHARE = 0.56


def look(pictures, **options):
    """Source and motion of uint8 pictures [H, W, 3]."""
    from mimaface.mimaface_core.face.detect import face_tracker

    frames = [torch.from_numpy(np.ascontiguousarray(picture)) for picture in pictures]
    return measure(frames, len(frames), Fraction(25), face_tracker(), FitExtractor(procedural_face(), SHARE), **options)


def place(source):
    """Centre (x, y) and width of the crop in the picture."""
    scale = float(source.crop_matrix[0, 0])
    centre = (256 - source.crop_matrix[:, 2]) / scale
    return float(centre[0]), float(centre[1]), 512 / scale


# --- no face, lost faces, several faces


@needs_faces
def test_no_face_is_one_sentence():
    with pytest.raises(InputError, match="No face was found in the picture; use one"):
        look([noise()])
    with pytest.raises(InputError, match="No face was found in any of the clip's 3 frames; use"):
        look([noise()] * 3)
    with pytest.raises(InputError, match="no frames"):
        look([])


@needs_faces
@pytest.mark.parametrize("lost", LOST)
def test_a_face_that_is_lost_in_the_middle(lost):
    frames = nodding(9)
    hidden = frames[:3] + [noise()] * 3 + frames[6:]
    _, motion = look(hidden, lost=lost)
    assert motion.visible.tolist() == [True] * 3 + [False] * 3 + [True] * 3
    values = torch.cat([motion.coefficients.values, motion.gaze], 1)
    if lost == "previous":
        assert torch.equal(values[3:6], values[[2, 2, 2]])
    elif lost == "empty":
        assert torch.equal(values[3:6], values[[0, 0, 0]])
    else:
        assert torch.allclose(values[4], (values[2] + values[6]) / 2, atol=1e-5)


@needs_faces
def test_a_face_that_comes_late_is_the_source():
    source, motion = look([noise(), noise(), *nodding(3)])
    assert motion.visible.tolist() == [False, False, True, True, True]
    assert np.allclose(source.picture.numpy() * 255, nodding(3)[0], atol=0.6)


@needs_faces
def test_of_two_faces_the_largest_or_the_one_that_is_named():
    large, small = moved(size=(320, 320)), moved(size=(200, 200))
    both = np.full((320, 520, 3), 128, np.uint8)
    both[60:260, :200], both[:, 200:] = small, large
    middle = [place(look([both], index=index)[0])[0] for index in (-1, 0, 1)]
    assert middle[0] > 300 and middle[1] < 150 and middle[2] == pytest.approx(middle[0], abs=1)
    with pytest.raises(InputError, match="only 2 were found; choose 0–1"):
        look([both], index=2)
    # followed, although the other one grows
    frames = []
    for i in range(4):
        frame = both.copy()
        frame[:320, 200:] = moved(scale=1 - 0.03 * i, size=(320, 320))
        frames.append(frame)
    assert place(look(frames, index=0)[0])[0] < 150


@needs_faces
def test_a_face_40_pixels_high_in_a_large_picture():
    picture = np.array(Image.fromarray(noise((1200, 800))))
    head = Image.fromarray(moved(size=(256, 256))).resize((92, 92), Image.Resampling.LANCZOS)
    picture[500:592, 900:992] = np.array(head)
    source, _ = look([picture])
    x, y, width = place(source)
    assert 920 < x < 970 and 510 < y < 575 and 50 < width < 110
    assert source.crop.shape == (3, 512, 512)


@needs_faces
def test_a_photograph_of_6000_by_4000_is_quick():
    picture = np.full((4000, 6000, 3), 90, np.uint8)
    picture[200:3800, 1200:4800] = np.array(
        Image.fromarray(moved(size=(360, 360))).resize((3600, 3600), Image.Resampling.BICUBIC)
    )
    picture = torch.from_numpy(picture)
    look([moved()])  # models are loaded
    started = time.monotonic()
    source, _ = look([picture.numpy()])
    pasted = Paster(source)((source.crop[None] + 1) / 2)
    assert time.monotonic() - started < 20
    assert pasted.shape == (1, 1280, 1920, 3) and place(source)[2] > 2000


@needs_faces
def test_clips_of_one_frame_of_odd_sizes_and_rates(tmp_path):
    for name, size, count, rate in (
        ("one", (256, 256), 1, 25),
        ("odd", (255, 301), 3, Fraction(30000, 1001)),
    ):
        path = clip(tmp_path / f"{name}.mp4", [moved(size=size)] * count, rate)
        frames = frames_of(type("Video", (), {"get_stream_source": lambda self, path=path: str(path)})())
        from mimaface.mimaface_core.face.detect import face_tracker

        _, motion = measure(*frames, face_tracker(), FitExtractor(procedural_face(), SHARE))
        assert len(motion) == count and motion.fps == rate and motion.visible.all()


@needs_faces
def test_tracking_can_be_cancelled():
    class Stop(host.Host):
        def show(self, progress, preview=None):
            if progress.done == 2:
                self.cancel()

    with host.use(Stop()), pytest.raises(Cancelled):
        look(nodding(6))


@pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is not None, reason="mediapipe is installed, so nothing is missing"
)
def test_a_missing_tracker_is_one_sentence():
    from mimaface.mimaface_core.face.detect import face_tracker

    with pytest.raises(InputError, match="pip install mediapipe"):
        face_tracker()


# --- trackers leave nothing behind


def test_graphs_of_mediapipe_are_closed_with_the_next_clip_and_with_their_tracker(monkeypatch):
    from mimaface.mimaface_core.face.detect import ClassicTracker

    class Graph:
        def __init__(self):
            self.closed = 0

        def process(self, picture):
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


def test_a_library_that_keeps_an_exception_of_its_import_does_not_keep_the_caller(monkeypatch, tmp_path):
    from mimaface.mimaface_core.face.detect import face_tracker

    keeper = "try:\n    import no_such_module\nexcept ImportError as error:\n    kept = error\nsolutions = None\n"
    (tmp_path / "mediapipe.py").write_text(keeper)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    del sys.modules["mediapipe"]

    def run():
        held = torch.nn.Identity()
        face_tracker()
        return weakref.ref(held)

    held = run()
    gc.collect()
    assert sys.modules["mediapipe"].kept is not None and held() is None


# --- pasting back


def by_hand(height=90, width=140, scale=8.0, corner=(30.0, 20.0)):
    """A source whose crop is a given square of a smooth picture."""
    from mimaface.mimaface_core.face.crop import warp

    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    picture = torch.stack([0.2 + 0.5 * x, 0.2 + 0.5 * y, 0.5 + 0.2 * torch.sin(6 * x)], -1)
    matrix = torch.tensor([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
    crop = warp(picture.permute(2, 0, 1) * 2 - 1, matrix)
    return SourceFace(picture, crop, matrix, torch.zeros(478, 3), None)


@pytest.mark.parametrize(
    "source",
    [by_hand(), by_hand(scale=4.0), by_hand(600, 900, 1.0, (200, 20)), by_hand(900, 1200, 0.7, (-100, -50))],
    ids=["small", "wider than the picture", "same size", "shrunk, over the edge"],
)
def test_an_unchanged_crop_gives_the_picture_back(source):
    paster = Paster(source)
    pasted = paster((source.crop[None] + 1) / 2)[0]
    assert pasted.shape == source.picture.shape and (pasted - source.picture).abs().max() < 0.02
    assert paster.mask.shape == source.picture.shape[:2] and paster.mask.max() > 0.99


def test_only_the_inside_of_the_crop_changes_and_edges_are_soft():
    source = by_hand()
    paster = Paster(source)
    frame = (source.crop + 1) / 2
    frame[:, 150:360, 150:360] = torch.tensor([1.0, 0.0, 0.0])[:, None, None]
    pasted = paster(frame[None])[0]
    apart = (pasted - source.picture).abs().amax(-1)
    assert (apart[:20] < 1e-6).all() and (apart[:, :30] < 1e-6).all() and apart[50, 60] > 0.3
    assert (apart[paster.mask < 0.5] < 0.02).all()
    assert paster.mask.diff(dim=0).abs().max() < 0.35 and paster.mask[20:, 30:].min() >= 0


def test_colours_follow_the_picture_at_the_seam():
    source = by_hand()
    shifted = ((source.crop + 1) / 2 + torch.tensor([0.06, -0.04, 0.05])[:, None, None]).clamp(0, 1)
    assert (Paster(source)(shifted[None])[0] - source.picture).abs().max() < 0.02


def test_large_pictures_are_scaled_down_to_even_sizes():
    source = by_hand(901, 1333, 0.9, (300, 100))
    pasted = Paster(source, 500)((source.crop[None] + 1) / 2)
    assert pasted.shape == (1, 338, 500, 3)
    small = torch.nn.functional.interpolate(source.picture.permute(2, 0, 1)[None], (338, 500), mode="area")
    assert (pasted[0].permute(2, 0, 1) - small[0]).abs().max() < 0.02


@pytest.mark.parametrize(("scale", "longest"), [(8.0, 1920), (8.0, 70)])
def test_the_face_s_mask_is_what_its_outline_encloses(scale, longest):
    source = by_hand(88, scale=scale)
    landmarks = torch.zeros(478, 3)
    turn = torch.linspace(0, 2 * torch.pi, len(OVAL) + 1)[:-1]
    landmarks[OVAL, :2] = 256 + torch.stack([100 * turn.sin(), -140 * turn.cos()], 1)
    paster = Paster(replace(source, landmarks=landmarks), longest)
    shrunk = min(1, longest / 140)
    x, y = (shrunk * (corner + 256 / scale) for corner in (30.0, 20.0))
    assert paster.face.shape == paster.mask.shape and paster.face.amin() == 0
    assert paster.face[round(y), round(x)] == pytest.approx(1, abs=1e-3)
    area = torch.pi * 100 * 140 * (shrunk / scale) ** 2
    assert float(paster.face.sum()) == pytest.approx(float(area), rel=0.03)
    rows, columns = (torch.arange(n) + 0.5 for n in paster.face.shape)
    assert float(paster.face.sum(0) @ columns / paster.face.sum()) == pytest.approx(x, abs=0.3)
    assert float(paster.face.sum(1) @ rows / paster.face.sum()) == pytest.approx(y, abs=0.3)


# --- a whole run


@needs_faces
def test_a_run_that_is_cancelled_leaves_no_file(run, tmp_path, monkeypatch):
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
def test_a_picture_without_a_face_names_the_node(run):
    Image.fromarray(noise()).save("face.png")
    status, _, said = run("edit_face", "--input", "source=face.png")
    assert status == 2 and "node 'source_face' (MIMAFaceExtract3DMM" in said.splitlines()[-1]
