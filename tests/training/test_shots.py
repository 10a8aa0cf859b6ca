"""Choice of a video's frames: shots, source and clip, one pass over the frames."""

import pytest
from support import films

from mimaface.mimaface_core.training.data.shots import Unusable, choose_frames, find_shots, gather
from mimaface.mimaface_core.training.data.video_folder import PersonVideo


def test_source_and_clip_are_from_one_shot(tmp_path):
    dark, light = films.noise(20, seed=1)[:1] * 20, [frame // 4 + 190 for frame in films.noise(1, seed=2)] * 40
    path = films.write(tmp_path / "cut.mp4", [*dark, *light])
    video = PersonVideo(path, "cut", "cut")
    assert list(find_shots(video.frames())) == [range(20), range(20, 60)]
    chosen = choose_frames(video.frames(), 12, "cut")
    assert chosen == choose_frames(video.frames(), 12, "cut") and len(chosen) == 3
    for source, *numbers in chosen:
        assert numbers == list(range(numbers[0], numbers[0] + 12)) and source not in numbers
        assert len({number < 20 for number in [source, *numbers]}) == 1
    assert chosen != choose_frames(video.frames(), 12, "other")


def test_gather_reads_once_and_frees_frames():
    chosen, alive = [[9, 1, 2], [4, 5, 6], [30, 31, 32]], set()

    class Frame:
        def __init__(self, number):
            self.number = number
            alive.add(number)

        def __del__(self):
            alive.discard(self.number)

    groups, peak = [], 0
    for group in gather((Frame(number) for number in range(100)), chosen):
        groups.append([frame.number for frame in group])
        peak = max(peak, len(alive))
        del group
    assert sorted(groups) == sorted(chosen) and peak <= 8
    with pytest.raises(Unusable, match="changed"):
        list(gather(range(20), chosen))
