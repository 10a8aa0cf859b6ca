"""Motion that is still being measured: the same as the whole, whoever asks, and however often it breaks off."""

import threading
import time
from fractions import Fraction

import pytest
import torch
from support.machine import slower
from support.tracks import same, track

from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.morphable.bundled.groups import expression_groups
from mimaface.mimaface_core.motion.smooth import smooth, smooth_pieces
from mimaface.mimaface_core.motion.stream import MotionStream, batches
from mimaface.mimaface_core.motion.track import BFM, BUNDLED, MotionTrack

WHOLE = track(103)
SIZES = (40, 1, 7, 16, 16, 23)


def cut(motion, sizes):
    for size in sizes:
        yield motion[:size]
        motion = motion[size:]


def stream(made=None):
    def make():
        for number, piece in enumerate(cut(WHOLE, SIZES)):
            if made is not None:
                made.append(number)
            yield piece

    return MotionStream(make, 103)


def test_a_stream_is_the_whole_and_each_piece_is_made_once_and_not_before_it_is_asked_for():
    made = []
    motion = stream(made)
    assert made == [] and motion.fps == WHOLE.fps and motion.basis == BUNDLED and motion.count == 103
    assert made == [0]
    same(motion[[0, 39, 40, 47]], WHOLE[[0, 39, 40, 47]])
    assert made == [0, 1, 2]
    same(motion.whole(), WHOLE)
    same(MotionTrack.concatenate(list(motion)), WHOLE)
    assert made == list(range(len(SIZES)))
    with pytest.raises(IndexError):
        motion[[103]]
    with pytest.raises(InputError, match="bfm09"):
        motion.check_basis(BFM)


@pytest.mark.parametrize("start", [0, 4, 39, 102, 103])
def test_batches_do_not_depend_on_the_pieces(start):
    expected = list(batches(WHOLE, 4, start))
    found = list(batches(stream(), 4, start))
    assert [len(part) for part in found] == [len(part) for part in expected]
    for one, other in zip(found, expected, strict=True):
        same(one, other)


def test_what_interrupts_a_stream_is_told_and_the_next_to_ask_goes_on():
    made, broken = [], [True]

    def make():
        for number, piece in enumerate(cut(WHOLE, SIZES)):
            if number == 3 and broken:
                broken.clear()
                raise Cancelled
            made.append(number)
            yield piece

    motion = MotionStream(make, 103)
    with pytest.raises(Cancelled):
        list(motion)
    first = motion.first
    same(motion.whole(), WHOLE)
    assert motion.first is first and made == [0, 1, 2, 0, 1, 2, 3, 4, 5]


def test_pieces_are_made_while_others_are_used_and_only_a_few():
    made = []
    motion = stream(made)
    reading = batches(motion, 16)
    next(reading)
    until = time.monotonic() + 60 * slower()
    while len(made) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.1)  # in which no further one is begun
    assert made == [0, 1, 2, 3]  # one is used, two wait, one is to be handed on
    reading.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "mimaface-ahead"]
    same(motion.whole(), WHOLE)
    assert made == list(range(len(SIZES)))


def test_several_read_a_stream_at_once():
    made, found = [], []
    motion = stream(made)
    threads = [threading.Thread(target=lambda: found.append(motion.whole())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == list(range(len(SIZES))) and len(found) == 4
    for one in found:
        same(one, WHOLE)


@pytest.mark.parametrize("sizes", [SIZES, (103,), (1,) * 103])
@pytest.mark.parametrize("cuts", [(), (8, 9, 60)])
def test_pieces_are_smoothed_as_the_whole(sizes, cuts):
    shots = torch.tensor([sum(at <= frame for at in cuts) for frame in range(103)])
    whole = WHOLE.replace(shot=shots, fps=Fraction(25))
    groups = expression_groups(BUNDLED)
    found = list(smooth_pieces(cut(whole, sizes), groups, 0.9, 0.8, 0.7))
    same(MotionTrack.concatenate(found), smooth(whole, groups, 0.9, 0.8, 0.7))
    if len(sizes) > 1:
        assert len(found) > 2
