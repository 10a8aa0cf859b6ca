"""Extraction as released: five points, the crops about a face, and the network's input."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from support.parity import off, stored
from support.scenes import moved, needs_faces, nodding, portrait

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.extract import measure
from mimaface.mimaface_core.face.extract_by_d3dfr import ASPECT, D3DFRExtractor, cut, resized
from mimaface.mimaface_core.face.five_points import (
    BOX_SIDE,
    TEMPLATE,
    box_crop,
    face_box,
    five_points,
    similarity,
)
from mimaface.mimaface_core.motion.track import BFM
from mimaface.mimaface_core.tensors import from_whole_centres


@pytest.fixture(scope="module")
def tracker():
    from mimaface.mimaface_core.face.detect import face_tracker

    return face_tracker()


class StandInNetwork:
    """Stands in for D3DFR: its coefficients are the mean of each colour, which identifies a crop."""

    def __init__(self):
        self.backbone = torch.nn.Module()
        self.backbone.conv1 = torch.nn.Conv2d(1, 1, 1)
        self.inputs = []

    def __call__(self, pixels):
        self.inputs += pixels
        return torch.cat([pixels.mean((2, 3)), torch.zeros(len(pixels), 254), pixels[:, :2, 0].mean(1)[:, :4]], 1)

    def to(self, device):
        return self


def test_parity_of_alignment_and_crop():
    theirs = stored("alignment")
    assert off(similarity(theirs["align.points"][None])[0], theirs["align.matrix"]) <= 1e-4
    assert off(box_crop(theirs["crop.box"]), theirs["crop.matrix"]) <= 1e-4


def test_similarity_is_exact_and_degenerate_points_are_refused():
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=torch.float64) * 1.7
    points = TEMPLATE @ turn.T + torch.tensor([30.0, -12.0])
    matrix = similarity(points[None])[0]
    assert torch.allclose(points @ matrix[:, :2].T + matrix[:, 2], TEMPLATE)
    assert torch.allclose(matrix[:, :2] @ turn, torch.eye(2, dtype=torch.float64), atol=1e-9)
    for bad in (torch.ones(1, 5, 2), torch.full((1, 5, 2), torch.nan)):
        with pytest.raises(InputError, match="find the face again"):
            similarity(bad)


def test_face_box_agrees_with_mtcnn():
    box = face_box(TEMPLATE * 2 + 7)
    assert (box[1] - box[0]).tolist() == pytest.approx([2 * BOX_SIDE] * 2)
    crop = box_crop(box)
    assert torch.allclose(box @ crop[:, :2].T + crop[:, 2], box.new_tensor([[80, 80], [432, 432]]))
    # a published detection: points and box of mtcnn's own example image
    points = torch.tensor([[291.0, 117], [314, 114], [303, 131], [296, 143], [313, 141]])
    box = face_box(points)
    assert (box.mean(0) - torch.tensor([301.0, 121.5])).abs().max() < 6 and (box[1] - box[0] - 63).abs().max() < 4


def test_five_points_have_whole_number_centres():
    landmarks = torch.zeros(1, 478, 3)
    landmarks[0, 4, :2] = torch.tensor([10.5, 20.5])  # the middle of pixel (10, 20)
    assert five_points(landmarks)[0, 2].tolist() == [10, 20]


def test_crop_agrees_with_opencv():
    cv2 = pytest.importorskip("cv2")
    image = portrait()[:400, :300]
    matrix = torch.tensor([[1.31, 0, 44.2], [0, 1.31, -20.7]], dtype=torch.float64)
    theirs = cv2.warpAffine(image, matrix.numpy(), (512, 512), flags=cv2.INTER_LINEAR)
    for same in (torch.from_numpy(image.copy()), torch.from_numpy(image / 255).float()):
        ours = ((cut(same, matrix) + 1) * 127.5).permute(1, 2, 0).numpy()
        apart = np.abs(ours - theirs)
        assert apart.mean() < 0.5 and np.quantile(apart, 0.999) <= 4
        assert np.abs(ours - ours.round()).max() < 1e-3 and (ours[:, 480:] == 0).all()


def test_driver_frames_are_squeezed_or_keep_their_aspect():
    wide = torch.from_numpy(portrait()[:300].copy())  # 512 × 300
    assert resized(wide, False).shape == (512, 512, 3) and resized(wide, True).shape == (512, 874, 3)
    whole = torch.from_numpy(portrait().copy())
    assert resized(whole, False) is whole and resized(whole, True) is whole
    levels = np.asarray(Image.fromarray(portrait()[:300]).resize((512, 512)))
    assert np.array_equal(resized(wide.float() / 255, False).numpy(), levels)


@needs_faces
def test_source_is_cropped_by_its_box_and_driver_by_its_first_frames(tracker):
    frames = [torch.from_numpy(moved(0, 1, (12 * i, 0), size=(400, 300)).copy()) for i in range(3)]
    network = StandInNetwork()
    source, motion = measure(frames, 3, Fraction(25), tracker, D3DFRExtractor(network))
    assert motion.basis == source.track.basis == BFM and len(network.inputs) == 5
    # in the source's crop the five points' box lies where it should; its shape is kept
    points = five_points(source.landmarks[None])[0]
    assert torch.allclose(face_box(points), torch.tensor([[80.0, 80], [432, 432]], dtype=torch.float64), atol=0.5)
    assert source.crop_matrix[0, 0] == source.crop_matrix[1, 1] and source.crop_matrix[0, 1] == 0
    assert source.crop.shape == (3, 512, 512)
    # the alignment carries the face onto the template, in whole pixel centres
    placed = points @ source.track.alignment[0, :, :2].double().T + source.track.alignment[0, :, 2]
    assert (placed - TEMPLATE).norm(dim=1).mean() < 12
    # the driver's crop stays while the face moves to the right
    back = [torch.linalg.solve(m[:, :2], torch.tensor([128.0, 140]) - m[:, 2]) for m in motion.alignment]
    step = 12 * 512 / 400 * 352 / 512  # as long as the box were the whole image
    assert all(b[0] - a[0] > step for a, b in pairwise(back))
    # a face that was squeezed looks different, one that was not looks like the source
    measure(frames, 3, Fraction(25), tracker, D3DFRExtractor(network, ASPECT))
    squeezed, itself, kept = (network.inputs[i] for i in (0, 3, 5))
    assert (squeezed - itself).abs().mean() > 3 * (kept - itself).abs().mean()


@needs_faces
def test_a_live_face_is_measured_as_its_clip_is(tracker):
    extractor, shown = D3DFRExtractor(StandInNetwork()), list(map(torch.from_numpy, nodding(3)))
    faces = [tracker.still(frame.numpy())[0] for frame in shown]
    clip, live = extractor.clip(), extractor.live()
    tracks = [live.add(frame, face) for frame, face in zip(shown, faces)]
    for frame, face in zip(shown, faces):
        clip.add(frame, torch.from_numpy(face.landmarks))
    whole = clip.track(Fraction(25))
    for number, track in enumerate(tracks):
        assert torch.allclose(track.motion, whole[[0, number]].motion)
        assert torch.allclose(track.alignment, whole[[0, number]].alignment)


@needs_faces
def test_still_of_the_released_size_is_not_cropped_as_a_driver(tracker):
    image = torch.from_numpy(portrait().copy())
    network = StandInNetwork()
    source, motion = measure([image], 1, Fraction(25), tracker, D3DFRExtractor(network))
    inside = torch.cat([source.crop_matrix, torch.tensor([[0.0, 0, 1]])])
    both = torch.cat([from_whole_centres(source.track.alignment[0]), torch.tensor([[0.0, 0, 1]])]) @ inside
    assert torch.allclose(from_whole_centres(motion.alignment[0]), both[:2], atol=0.02)
    assert (network.inputs[0] - network.inputs[1]).abs().mean() < 0.05  # the same face, cut out twice
    _, cropped = measure([image], 1, Fraction(25), tracker, D3DFRExtractor(network, ASPECT))
    assert torch.allclose(cropped.alignment, source.track.alignment, atol=1e-4)
    _, other = measure([image[:, :500]], 1, Fraction(25), tracker, D3DFRExtractor(network))
    assert (other.alignment - motion.alignment).abs().max() > 5


@needs_faces
def test_frames_without_a_face_are_filled(tracker):
    empty = torch.full((256, 256, 3), 90, dtype=torch.uint8)
    frames = [torch.from_numpy(frame.copy()) for frame in nodding(3)]
    extractor = D3DFRExtractor(StandInNetwork())
    source, motion = measure([empty, *frames, empty], 5, Fraction(25), tracker, extractor, lost="interpolate")
    assert motion.visible.tolist() == [False, True, True, True, False] and motion.basis == BFM
    assert torch.equal(motion.coefficients.values[0], motion.coefficients.values[1])
    assert np.allclose(source.image.numpy() * 255, nodding(1)[0], atol=0.6)
    with pytest.raises(InputError, match="any of the clip's 2 frames"):
        measure([empty, empty], 2, Fraction(25), tracker, D3DFRExtractor(StandInNetwork()))
