"""Liveliness beside speech: rate of blinks, range of gaze and head, and mouths that close."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from support.faces import FACE, blended

from mimaface.mimaface_core.audio.checks import STYLES
from mimaface.mimaface_core.audio.voice.liveliness import draw_liveliness
from mimaface.mimaface_core.audio.voice.saccades import GLANCE_LIMITS
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.morphable.bundled.blendshapes import BLENDSHAPES, REACH, blendshape
from mimaface.mimaface_core.morphable.bundled.face_mesh import CHIN_MIDLINE, LOWER_LIP_POINTS, UPPER_LIP_POINTS
from mimaface.mimaface_core.morphable.bundled.geometry import EYE_RADIUS
from mimaface.mimaface_core.morphable.bundled.lip_contact import closed_mouth, lip_gap, lip_gaps
from mimaface.mimaface_core.training.people.performance import random_expression

LIPS = sorted({*UPPER_LIP_POINTS, *LOWER_LIP_POINTS})
# corners of the mouth, cheeks, lids and brows are none of these
SHUTTING = (
    "jawOpen", "mouthFunnel", "mouthRoll", "mouthShrug", "mouthPress", "mouthLowerDown", "mouthUpperUp",
    "lipCorrective",
)  # fmt: skip


def voice(seconds, fps=25, seed=0):
    """Phrases of 1–4 s with pauses between them, and accents in them, the same at every frame rate."""
    rng, count = np.random.default_rng(seed), round(seconds * fps)
    t = (np.arange(count) + 0.5) / float(fps)
    speaking, stress, now = np.zeros(count), np.zeros(count), 0.3
    while now < seconds:
        length = rng.uniform(1, 4)
        speaking += ((t - now) / 0.1).clip(0, 1) * ((now + length - t) / 0.1).clip(0, 1)
        at = now + 0.2
        while at < now + length:
            stress = np.maximum(stress, rng.uniform(0.2, 1) * np.exp(-(((t - at) / 0.1) ** 2)))
            at += rng.uniform(0.35, 0.9)
        now += length + rng.uniform(0.4, 1)
    return torch.tensor(speaking), torch.tensor(stress)


def blinks(lids):
    """How often the right eye shuts by more than half."""
    return int(((lids[:, 0] > 0.5).int().diff() == 1).sum())


@pytest.mark.parametrize("case", ["talking", "silent", "without a pause"])
def test_eyes_blink_10_to_25_times_a_minute_in_every_style(case):
    minutes = 3
    speaking, stress = voice(60 * minutes)
    if case == "silent":
        speaking, stress = speaking * 0, stress * 0
    elif case != "talking":
        speaking = torch.ones_like(speaking)
    rates = []
    for style in range(STYLES):
        liveliness = draw_liveliness(len(speaking), 25, style, 1, speaking, stress)
        rates.append(blinks(liveliness.lids) / minutes)
        assert liveliness.lids.min() >= 0 and liveliness.lids.max() <= 1 and (liveliness.lids > 0.95).any()
        assert (liveliness.lids > 0.5).float().mean() < 0.1
    assert min(rates) >= 10 and max(rates) <= 25 and max(rates) - min(rates) > 2


def test_talkers_blink_more_often_and_after_phrases():
    speaking, stress = voice(600)
    lids = [draw_liveliness(15000, 25, 0, 2, speaking * k, stress * k).lids for k in (1, 0)]
    assert blinks(lids[0]) > blinks(lids[1])
    onsets = torch.nonzero((lids[0][:, 0] > 0.5).int().diff() == 1).flatten()
    ended = torch.zeros(15000, dtype=torch.bool)
    for end in torch.nonzero((speaking < 0.5).int().diff() == 1).flatten().tolist():
        ended[end : end + 17] = True
    assert ended[onsets].float().mean() > 1.5 * ended.float().mean()


def test_a_blink_shuts_faster_than_it_opens():
    lids = draw_liveliness(60000, 1000, 0, 3, torch.zeros(60000), torch.zeros(60000)).lids[:, 0]
    starts = torch.nonzero((lids > 0.5).int().diff() == 1).flatten().tolist()
    speeds = [(lids[s - 200 : s + 300].diff().max(), -lids[s - 200 : s + 300].diff().min()) for s in starts[:8]]
    assert all(down > 1.3 * up for down, up in speeds)
    # Even between frames of 40 ms each blink is shown shut.
    slow = draw_liveliness(1500, 25, 0, 3, torch.zeros(1500), torch.zeros(1500)).lids[:, 0]
    tops = [slow[round(s / 40) - 3 : round(s / 40) + 8].max() for s in starts if s > 200]
    assert sum(top > 0.95 for top in tops) > 0.7 * len(tops) and min(tops) > 0.7


def test_blinks_scale_with_their_factor():
    quiet = torch.zeros(1500)
    counts = [blinks(draw_liveliness(1500, 25, 0, 0, quiet, quiet, blinks=k).lids) for k in (0, 1, 2)]
    assert counts[0] == 0 and 1.5 * counts[1] < counts[2]


def test_eyes_mostly_look_at_the_viewer_and_glances_stay_small():
    speaking, stress = voice(300)
    for style in (0, 9, 30):
        liveliness = draw_liveliness(7500, 25, style, 4, speaking, stress)
        # Where they look in the world: the turn of eyes and head.
        eyes = torch.rad2deg(torch.asin(liveliness.gaze[:, :2] / EYE_RADIUS))
        world = eyes + torch.rad2deg(liveliness.angles[:, [1, 0]]) * torch.tensor([1.0, -1.0])
        away = world.norm(dim=1)
        assert (away < 3).float().mean() > 0.6 and away.max() < GLANCE_LIMITS[1] + 2.5
        assert (away > 4).any() and liveliness.gaze.abs().max() < EYE_RADIUS * math.sin(math.radians(22))
        assert torch.equal(liveliness.gaze[:, :2], liveliness.gaze[:, 2:])


def test_listeners_look_away_less():
    speaking, stress = voice(600)
    away = [
        (draw_liveliness(15000, 25, 0, 6, speaking * k, stress * k).gaze[:, :2].norm(dim=1) > 0.05).float().mean()
        for k in (1, 0)
    ]
    assert away[0] > 2 * away[1]


def test_the_head_moves_smoothly_within_natural_bounds_without_drift():
    speaking, stress = voice(240)
    fine = torch.rad2deg(draw_liveliness(48000, 200, 7, 5, *voice(240, 200)).angles)
    speed, change = fine.diff(dim=0) * 200, fine.diff(dim=0).diff(dim=0) * 200**2
    assert speed.abs().max() < 60 and change.abs().max() < 600  # the speed has no jumps
    for style in range(0, STYLES, 5):
        turn = torch.rad2deg(draw_liveliness(6000, 25, style, 5, speaking, stress).angles)
        assert turn[0].abs().max() < 0.01 and turn.abs().max() < 12
        assert (turn.std(0) > 0.5).all() and (turn.std(0) < 4).all() and (turn.mean(0).abs() < 1).all()
        # no drift: the last minute is no further away than the first
        assert turn[-1500:].mean(0).abs().max() < 1.5


def test_pauses_are_calmer_and_accents_bring_nods_and_brows():
    count = 3000
    quiet, loud = torch.zeros(count), torch.ones(count)
    stress = torch.exp(-(((torch.arange(count) % 40 - 11) / 2.5) ** 2))
    spoken, flat, silent = (
        draw_liveliness(count, 25, 0, 8, *x) for x in ((loud, stress), (loud, quiet), (quiet, quiet))
    )
    speed = [torch.rad2deg(x.angles).diff(dim=0).square().mean().sqrt() for x in (spoken, flat, silent)]
    assert speed[0] > 1.1 * speed[1] > 1.5 * speed[2]
    nod = (spoken.angles - flat.angles)[:, 0]
    assert nod[12::40].mean() > 0.015 and spoken.brows.max() > 0.2
    assert flat.brows.max() == 0 and spoken.brows.max() <= 1


@pytest.mark.parametrize("fps", [Fraction(30), Fraction(30000, 1001), Fraction(50)])
def test_the_course_is_the_same_at_every_frame_rate(fps):
    seconds = 40
    a, b = (draw_liveliness(round(seconds * rate), rate, 3, 11, *voice(seconds, rate)) for rate in (Fraction(25), fps))
    at, other = ((np.arange(len(x.lids)) + 0.5) / float(rate) for x, rate in ((a, 25), (b, fps)))
    turned = np.interp(at, other, b.angles[:, 0].double().numpy())
    assert np.abs(np.degrees(turned - a.angles[:, 0].double().numpy())).max() < 0.35
    assert blinks(a.lids) == blinks(b.lids)


def test_a_seed_repeats_and_a_longer_recording_starts_as_a_shorter_one():
    speaking, stress = voice(120)
    long = draw_liveliness(3000, 25, 5, 2**63, speaking, stress)
    again, short = (
        draw_liveliness(3000, 25, 5, 2**63, speaking, stress),
        draw_liveliness(1500, 25, 5, 2**63, speaking[:1500], stress[:1500]),
    )
    other = draw_liveliness(3000, 25, 5, 1, speaking, stress)
    for name in ("lids", "gaze", "angles", "brows"):
        now = getattr(long, name)
        assert torch.equal(now, getattr(again, name)) and not torch.equal(now, getattr(other, name))
        assert torch.allclose(now[:1425], getattr(short, name)[:1425], atol=1e-4)
        assert torch.isfinite(now).all()


def test_short_recordings_and_bad_input():
    for count in (1, 2, 5):
        liveliness = draw_liveliness(count, 25, 45, 0, torch.ones(count), torch.ones(count))
        assert (
            liveliness.lids.shape == (count, 2)
            and liveliness.gaze.shape == (count, 4)
            and liveliness.angles.shape == (count, 3)
        )
        assert liveliness.brows.shape == (count,)
    with pytest.raises(InputError, match="choose 0–45"):
        draw_liveliness(5, 25, 46, 0, torch.ones(5), torch.ones(5))
    with pytest.raises(ValueError, match="5 frames need"):
        draw_liveliness(5, 25, 0, 0, torch.ones(4), torch.ones(5))


# --- mouths that close


@pytest.fixture(scope="module")
def faces():
    """Faces that smile, speak and frown: identity [80], expression [64] each."""
    rng, generator = np.random.default_rng(3), torch.Generator().manual_seed(3)
    smile = blended(jawOpen=0.2, mouthLowerDown=0.6, mouthUpperUp=0.4, mouthSmile=0.8)
    some = [(torch.zeros(1, 80), smile)]
    for _ in range(40):
        expression = torch.from_numpy(random_expression(rng, 1.2)).float()[None]
        some.append((0.7 * torch.randn(1, 80, generator=generator), expression))
    return some


def test_closed_mouths_are_closed_everywhere(faces):
    for identity, expression in faces:
        closed = closed_mouth(FACE, identity, expression)
        gaps = lip_gaps(FACE, identity, closed)
        assert gaps.max() < 0.003 and gaps.min() > -0.016
        assert lip_gap(FACE, identity, closed)[0] == gaps[0, 4]
        again = closed_mouth(FACE, identity, closed)
        assert torch.allclose(again, closed, atol=1e-4)


def test_closing_keeps_the_rest_of_the_face(faces):
    kept = [i for i, name in enumerate(BLENDSHAPES) if not name.startswith(SHUTTING)]
    jaw = blendshape("jawOpen")
    for identity, expression in faces:
        closed = closed_mouth(FACE, identity, expression)
        assert torch.equal(closed[:, kept], expression[:, kept])
        assert min(0, expression[0, jaw]) - 1e-5 <= closed[0, jaw] <= expression[0, jaw] + 1e-5
        assert ((closed - expression).abs() / torch.tensor(REACH)).max() < 1.5  # of an ordinary movement


def test_a_face_at_rest_has_its_mouth_closed():
    assert closed_mouth(FACE, torch.zeros(1, 80), torch.zeros(1, 64)).abs().max() < 0.15


@pytest.mark.parametrize("smile", [0.0, 0.8])
@pytest.mark.parametrize("jaw", [0.2, 0.45, 0.8])
def test_a_mouth_that_the_jaw_opened_is_closed_by_the_jaw(jaw, smile):
    nobody, whole, shut = torch.zeros(1, 80), blended(jawOpen=jaw, mouthSmile=smile), blended(mouthSmile=smile)
    shapes = [FACE.model.shape(nobody, closed_mouth(FACE, nobody, expression))[0] for expression in (whole, shut)]
    apart = (shapes[0] - shapes[1]).norm(dim=1)
    assert apart[CHIN_MIDLINE].max() < 0.01 and apart[LIPS].max() < 0.01  # 1 mm


def test_lip_gaps_are_those_of_the_mesh(faces):
    identity, expression = faces[0]
    shape = FACE.model.shape(identity, expression)
    assert torch.allclose(lip_gap(FACE, identity, expression), shape[:, 13, 1] - shape[:, 14, 1], atol=1e-6)
