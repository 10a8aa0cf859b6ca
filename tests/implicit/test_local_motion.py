"""The bundled pack for implicit motion: what moves, what stays, what is painted, and what it says of itself."""

from pathlib import Path

import pytest
import torch
from support.scenes import needs_faces

from mimaface.mimaface_core import implicit_pipeline as implicit
from mimaface.mimaface_core.implicit.face_codes import (
    DIMENSIONS,
    LOCAL,
    NAMES,
    SHUT,
    FaceMovements,
    boxed_codes,
    code_groups,
    movement_of,
)
from mimaface.mimaface_core.implicit.local_motion import cavity, local_change, moved_places
from mimaface.mimaface_core.implicit.motion import ImplicitMotion
from mimaface.mimaface_core.morphable.bundled.face_mesh import IRIS_CENTRES, LID_MIDDLES
from mimaface.mimaface_core.packs.implicit_pack import BUNDLED_IMPLICIT
from mimaface.mimaface_core.training.data.implicit_codes import movements

PORTRAIT = Path(__file__).parents[2] / "assets" / "portrait.jpg"


@pytest.fixture(scope="module")
def pack():
    return implicit.load_implicit()


@pytest.fixture(scope="module")
def source(pack):
    return implicit.encode_implicit(pack, PORTRAIT)


def drawn(pack, source, codes):
    motion = ImplicitMotion(codes, groups=pack.groups)
    return torch.cat(list(implicit.render_implicit(pack, source, motion, "absolute")))


def changed(source, **changes):
    codes = source.posture.repeat(2, 1)
    for name, change in changes.items():
        codes[1, NAMES.index(name)] += change
    return codes.clamp(-0.98, 0.98)


def test_the_pack_is_small_whole_and_its_movements_are_those_of_the_recipe(pack):
    assert sum(file.stat().st_size for file in BUNDLED_IMPLICIT.iterdir()) <= 12e6
    assert set(pack.verify()) == {"generator", "transformer", "movements"}
    assert pack.groups == code_groups() and sum(map(len, pack.groups.values())) == DIMENSIONS
    for ours, shipped in zip(
        (movements().measure, movements().face), (pack.movements.measure, pack.movements.face), strict=True
    ):
        assert torch.allclose(ours, shipped, atol=1e-3)


@needs_faces
def test_a_face_that_does_not_move_is_the_photograph(pack, source):
    frames = drawn(pack, source, source.posture[None])
    assert frames.shape == (1, 512, 512, 3)
    assert (frames[0] - (source.crop.permute(1, 2, 0) + 1) / 2).abs().max() < 0.02


@needs_faces
@pytest.mark.parametrize(
    ("name", "change", "rows"),
    [("mouth_1", 0.5, (300, 460)), ("lid_right", 0.7, (180, 290)), ("gaze_x", 0.5, (180, 290))],
)
def test_a_part_of_the_face_moves_alone(pack, source, name, change, rows):
    still, moved = drawn(pack, source, changed(source, **{name: change}))
    difference = (moved - still).abs().amax(-1)
    inside = difference[rows[0] : rows[1]]
    assert inside.max() > 0.15 and difference[: rows[0] - 60].max() < 0.1 and difference[-20:].max() < 0.05


@needs_faces
def test_the_head_turns_while_the_corners_of_the_picture_stay(pack, source):
    still, moved = drawn(pack, source, changed(source, yaw=0.3))
    difference = (moved - still).abs().amax(-1)
    assert difference[150:400, 150:350].mean() > 0.03 and difference[:40, -40:].max() < 0.1


@needs_faces
def test_what_a_mouth_opens_onto_is_painted_and_a_shut_one_shows_nothing(source):
    opened = local_change(source.local, changed(source, mouth_1=0.6))
    shown = cavity(source.local, opened)[:, 3]
    assert shown[0].max() == 0 and shown[1].max() > 0.9 and 0.0005 < (shown[1] > 0.5).float().mean() < 0.05


@needs_faces
def test_lids_stop_where_they_meet(source):
    codes = changed(source, lid_right=0.0)
    codes[1, NAMES.index("lid_right")] = 0.999
    change = local_change(source.local, codes)
    own = source.local.movement[NAMES.index("lid_right")]
    assert change[1].max() == pytest.approx(float(SHUT - own))


@needs_faces
def test_a_shut_eye_shows_neither_iris_nor_white_and_the_other_stays(pack, source):
    codes = changed(source, lid_right=0.0)
    codes[1, NAMES.index("lid_right")] = 0.999
    still, shut = drawn(pack, source, codes)
    sides = []
    for (upper, lower), iris in zip(LID_MIDDLES, IRIS_CENTRES, strict=True):
        x, top, bottom = (source.landmarks[point, axis] for point, axis in ((iris, 0), (upper, 1), (lower, 1)))
        column = slice(int(top) + 2, int(bottom) - 1), slice(int(x) - 3, int(x) + 4)
        sides.append([frame[column].mean(-1) for frame in (still, shut)])
    (opened, closed), (other, same) = sides
    assert opened.amax() - opened.amin() > 0.3  # an iris, and what it mirrors
    assert closed[: len(closed) // 2].amin() > opened.amin() + 0.25  # skin where the pupil was
    assert (other - same).abs().max() < 0.01


@needs_faces
def test_irises_look_aside_as_they_are(pack, source):
    still, moved = drawn(pack, source, changed(source, gaze_x=0.5))
    x, y = source.landmarks[IRIS_CENTRES[0], :2].int().tolist()
    dark = [(0.8 - frame[y - 4 : y + 5, x - 20 : x + 21].mean(-1)).clamp(min=0).sum(0) for frame in (still, moved)]
    before, after = ((one * torch.arange(41)).sum() / one.sum() for one in dark)
    assert after - before > 2  # pixels


@needs_faces
def test_places_that_nothing_moves_are_taken_from_where_they_are(source):
    places = torch.rand(1, 8, 8, 2) * 2 - 1
    assert torch.allclose(moved_places(places, source.local, torch.zeros(1, DIMENSIONS - LOCAL)), places)


@needs_faces
def test_a_voice_opens_the_mouth(pack, source):
    voice = PORTRAIT.with_name("demo_voice.ogg")
    codes = torch.cat([part.codes for part in implicit.speak_implicit(pack, source, voice)])
    assert codes[:, NAMES.index("mouth_1")].std() > 0.08 and codes[:, :3].std(0).max() < 0.2
    steps = (codes[1:] - codes[:-1]).norm(dim=1)
    assert steps[51] < 3 * steps.median()  # where the first window passes over into the second


@needs_faces
def test_people_blink_while_they_speak(pack, source):
    voice = PORTRAIT.with_name("demo_voice.ogg")
    lids = []
    for seed in range(3):
        parts = implicit.speak_implicit(pack, source, voice, pack.speaking(seed=seed))
        change = local_change(source.local, torch.cat([part.codes for part in parts]))
        lids.append(change[:, NAMES.index("lid_right") - LOCAL])
    assert max(float(one.max()) for one in lids) > SHUT / 2 and min(float(one.median()) for one in lids) < SHUT / 3


def test_codes_of_a_cutout_are_those_of_the_larger_face_in_it():
    codes = torch.zeros(1, DIMENSIONS)
    boxed = boxed_codes(codes, torch.tensor([[0.1, 0.0, 0.5]]))
    moved = movement_of(boxed)[0]
    assert moved[NAMES.index("x")] == pytest.approx(-0.4, abs=1e-4)  # 0.1 half sides of it, twice as large, in halves
    assert moved[NAMES.index("size")] > 1 and torch.equal(boxed[:, :3], codes[:, :3])
    assert torch.allclose(boxed_codes(codes, torch.tensor([[0.0, 0.0, 1.0]])), codes)


def test_movements_are_saved_and_loaded(tmp_path):
    movements().save(tmp_path / "m.safetensors")
    again = FaceMovements.load(tmp_path / "m.safetensors")
    assert torch.equal(again.face, movements().face) and torch.equal(again.head, torch.eye(6))
