"""A folder of videos becomes training samples: whose they are, what is skipped, and going on after an interruption."""

import errno
import os
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import PurePosixPath
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from support import films
from support.scenes import clip, moved, needs_faces, nodding, noise
from torch.utils.data import DataLoader

from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.training.data import torch_datasets as torch_data
from mimaface.mimaface_core.training.data import videos
from mimaface.mimaface_core.training.data.dataset import StoredSample
from mimaface.mimaface_core.training.data.footage import Footage, find_footage, person_of
from mimaface.mimaface_core.training.data.torch_datasets import SampleFolder, SyntheticFaces
from mimaface.mimaface_core.training.data.videos import Unusable, choose, find_shots, gather, make_video_data
from mimaface.mimaface_core.training.people.camera import from_jpeg
from mimaface.mimaface_core.training.people.drawer import make_sample

FRAMES = 2  # of the samples here


def pictures(folder, frames):
    """A folder of numbered PNGs."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame_{number}.png")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Videos of each kind, three that show a face and three that cannot be used."""
    root = tmp_path_factory.mktemp("tree") / "clips"
    (root / "id00012" / "abc").mkdir(parents=True)
    clip(root / "id00012" / "abc" / "00001.mp4", nodding(8))
    pictures(root / "Clip+x_Y-z+P2+C1+F1-11", nodding(11))
    (root / "anna").mkdir()
    clip(root / "anna" / "monday.mp4", nodding(3))
    (root / "anna" / "broken.mp4").write_bytes(b"no video at all")
    clip(root / "anna" / "short.mp4", nodding(2))
    clip(root / "walls.mp4", [noise()] * 4)
    (root / "anna" / "notes.txt").write_text("not for training")
    return root


@pytest.fixture(scope="module")
def made(tree, tmp_path_factory):
    """The samples of the tree, and what was said."""
    data = tmp_path_factory.mktemp("made") / "data"
    return data, make_video_data(tree, data, frames=FRAMES)


def contents(data):
    """What the samples hold, whatever the order in which a file says it."""
    found = {}
    for path in data.glob("*.safetensors"):
        with safe_open(str(path), "pt") as file:
            found[path.name] = {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()} | file.metadata()
    return found


def test_whose_a_video_is():
    known = {
        "id10001/1zcIwhmdeo4/00001.mp4": "id10001",
        "train/id10001#7gWzIy6yIIk#001023#001290.mp4": "id10001",
        "Clip+1qf8-pL_D0+P2+C1+F5731-5855.mp4": "1qf8-pL_D0+P2",
        "VFHQ/Clip+1qf8-pL_D0+P2+C3+F1-90": "1qf8-pL_D0+P2",
        "anna/monday/walk.mov": "anna",
        "walk.mov": "walk",
        "idea/walk.mov": "idea",
    }
    assert {path: person_of(PurePosixPath(path)) for path in known} == known


@needs_faces
def test_what_is_a_video(tree):
    found = {video.name: video.person for video in find_footage(tree)}
    assert found == {
        "clips/Clip+x_Y-z+P2+C1+F1-11": "x_Y-z+P2",
        "clips/anna/broken.mp4": "anna",
        "clips/anna/monday.mp4": "anna",
        "clips/anna/short.mp4": "anna",
        "clips/id00012/abc/00001.mp4": "id00012",
        "clips/walls.mp4": "walls",
    }


def test_frames_come_in_order_and_about_25_a_second(tmp_path):
    pictures(tmp_path / "p", [np.full((8, 8, 3), 9 * i, np.uint8) for i in range(12)])
    levels = [int(frame[0, 0, 0]) for frame in Footage(tmp_path / "p", "p", "p").frames()]
    assert levels == [9 * i for i in range(12)]
    fast = films.write(tmp_path / "fast.mp4", films.greys(12), fps=50)
    levels = [float(frame.float().mean()) for frame in Footage(fast, "fast", "fast").frames()]
    assert np.allclose(levels, [16 * i for i in range(6)], atol=4)


def test_a_clip_and_its_source_lie_in_one_shot(tmp_path):
    dark, light = films.noise(20, seed=1)[:1] * 20, [frame // 4 + 190 for frame in films.noise(1, seed=2)] * 40
    path = films.write(tmp_path / "cut.mp4", [*dark, *light])
    video = Footage(path, "cut", "cut")
    assert list(find_shots(video.frames())) == [range(20), range(20, 60)]
    chosen = choose(video.frames(), 12, "cut")
    assert chosen == choose(video.frames(), 12, "cut") and len(chosen) == 3
    for source, *numbers in chosen:
        assert numbers == list(range(numbers[0], numbers[0] + 12)) and source not in numbers
        assert len({number < 20 for number in [source, *numbers]}) == 1
    assert chosen != choose(video.frames(), 12, "other")


def test_gathering_reads_once_and_keeps_little():
    chosen, alive = [[9, 1, 2], [4, 5, 6], [30, 31, 32]], set()

    class Frame:
        def __init__(self, number):
            self.number = number
            alive.add(number)

        def __del__(self):
            alive.discard(self.number)

    found, most = [], 0
    for group in gather((Frame(number) for number in range(100)), chosen):
        found.append([frame.number for frame in group])
        most = max(most, len(alive))
        del group
    assert sorted(found) == sorted(chosen) and most <= 8
    with pytest.raises(Unusable, match="changed"):
        list(gather(range(20), chosen))


@needs_faces
def test_samples_show_the_same_face_moved(tree, made):
    data, result = made
    assert result.videos == 6 and result.samples == len(contents(data)) == 5
    people = {}
    for path in data.glob("*.safetensors"):
        assert "." not in path.stem
        sample = StoredSample(path)
        people[sample.person] = people.get(sample.person, 0) + 1
        assert sample.file.metadata()["kind"] == "video"
        assert sample.motion.shape == (FRAMES, 71) and sample.weight.shape == (FRAMES, 64, 64)
        for frame in range(FRAMES):
            source, target, render = (
                x.float() for x in (sample.source(), sample.picture("target", frame), sample.picture("render", frame))
            )
            weight = sample.weight[frame]
            assert weight[28:36, 28:36].min() >= 1.5 and weight.max() > 3
            face = (weight >= 1.5).repeat_interleave(8, 0).repeat_interleave(8, 1)
            still, drawn = ((target - picture).abs().mean(0)[face].mean() for picture in (source, render))
            assert drawn < max(0.7 * still, 4), (path.name, float(drawn), float(still))
    assert people == {"id00012": 2, "x_Y-z+P2": 2, "anna": 1}


@needs_faces
def test_what_lies_beyond_the_frame_has_no_weight():
    from mimaface.mimaface_core.face.detect import face_tracker

    # the head at the upper border
    frames = [torch.from_numpy(moved(angle, 1.2, (0, -40))) for angle in (0, 1, 2)]
    sample = videos.video_sample(frames[0], frames[1:], face_tracker())
    target = from_jpeg(sample.targets[0]).float().mean(0)
    empty = (sample.weight[0] == 0).all(1)
    rows = int(empty.float().argmin())
    assert 2 < rows < 30 and empty[:rows].all() and not empty[rows:40].any()
    # there the border's pixels stand in
    assert target[: 8 * rows - 8].std(0).mean() < 2 and target[8 * rows + 8 : 8 * rows + 64].std(0).mean() > 4


@needs_faces
def test_what_cannot_be_used_is_said_in_a_line_each(made):
    data, result = made
    lines = (data / "skipped.txt").read_text(encoding="utf-8").splitlines()
    assert lines == result.skipped and len(lines) == 3
    broken, short, walls = lines
    assert broken.startswith("clips/anna/broken.mp4: ") and "cannot be read" in broken
    assert short == "clips/anna/short.mp4: it is too short; 3 frames in one piece are needed, it has 2."
    assert walls.startswith("clips/walls.mp4: no face")


@needs_faces
def test_a_second_run_reads_nothing_and_a_changed_video_is_read_again(tree, made, tmp_path, monkeypatch):
    copy, data = tmp_path / "clips", tmp_path / "data"
    shutil.copytree(tree, copy)
    shutil.copytree(made[0], data)
    before = contents(data)
    read = []
    frames = Footage.frames

    def noted(self) -> Iterator:
        read.append(self.name)
        return frames(self)

    monkeypatch.setattr(Footage, "frames", noted)
    assert make_video_data(copy, data, frames=FRAMES) == made[1] and not read
    assert contents(data) == before
    clip(copy / "anna" / "short.mp4", nodding(3))
    next(data.glob("*monday*")).unlink()
    result = make_video_data(copy, data, frames=FRAMES)
    assert set(read) == {"clips/anna/short.mp4", "clips/anna/monday.mp4"} and result.samples == 6
    assert [line.split(":")[0] for line in result.skipped] == ["clips/anna/broken.mp4", "clips/walls.mp4"]
    assert before.items() <= contents(data).items()


@needs_faces
def test_parts_and_interruptions_give_the_same_samples(tree, made, tmp_path, monkeypatch):
    data, saved, save = tmp_path / "data", [], videos.save_sample

    def killed(path, *arguments, **named):
        save(path, *arguments, **named)
        path.with_name(path.name + ".part").write_bytes(b"half a file")
        saved.append(path.name)
        raise KeyboardInterrupt

    monkeypatch.setattr(videos, "save_sample", killed)
    with pytest.raises(KeyboardInterrupt):
        make_video_data(tree, data, (0, 2), FRAMES)
    monkeypatch.setattr(videos, "save_sample", save)
    assert len(saved) == 1
    make_video_data(tree, data, (1, 2), FRAMES)
    assert 0 < len(contents(data)) < 5
    assert make_video_data(tree, data, (0, 2), FRAMES) == made[1]
    assert contents(data) == contents(made[0])
    assert not list(data.rglob("*.part"))


@needs_faces
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), SafetensorError("I/O error: No space left on device")]
)
def test_a_full_disk_keeps_what_is_finished(tree, made, tmp_path, monkeypatch, error):
    data = tmp_path / "data"
    shutil.copytree(made[0], data)
    record = next((data / "videos").glob("*monday*"))
    record.unlink()
    before = contents(data)

    def full(*arguments, **named):
        raise error

    monkeypatch.setattr(videos, "save_sample", full)
    with pytest.raises(InputError) as refused:
        make_video_data(tree, data, frames=FRAMES)
    films.one_sentence(refused, "No space left", "finished videos are kept")
    assert contents(data) == {name: file for name, file in before.items() if "monday" not in name}
    monkeypatch.undo()
    assert make_video_data(tree, data, frames=FRAMES) == made[1] and contents(data) == before


@needs_faces
def test_cancelling_stops_at_the_next_frame(tree, tmp_path):
    watched = host.Host()
    shown = []

    def show(progress, preview=None):
        shown.append(progress.label)
        if len(shown) == 4:
            watched.cancel()

    watched.show = show
    with host.use(watched), pytest.raises(Cancelled):
        make_video_data(tree, tmp_path / "data", frames=FRAMES)
    assert len(shown) == 5 and "looking for cuts" in shown[2]
    assert not list((tmp_path / "data").rglob("*.*"))


def test_nothing_to_learn_from_is_refused(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("no video")
    for folder, part, words in (
        (tmp_path / "none", (0, 1), ["none is no folder"]),
        (empty, (0, 1), ["holds no videos", ".mp4"]),
        (empty, (2, 2), ["Part 2/2", "0 to 1"]),
    ):
        with pytest.raises(InputError) as refused:
            make_video_data(folder, tmp_path / "data", part)
        films.one_sentence(refused, *words)
    assert not (tmp_path / "data").exists()


@needs_faces
def test_only_unusable_videos_are_refused(tmp_path):
    one = tmp_path / "one"
    one.mkdir()
    clip(one / "short.mp4", [moved()] * 12)
    with pytest.raises(InputError) as refused:
        make_video_data(one, tmp_path / "data")
    films.one_sentence(refused, "no usable video (1 tried)", "one/short.mp4", "too short", "13 frames", "12")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError) as refused:
        make_video_data(one, tmp_path / "file")
    films.one_sentence(refused, "cannot be written")


@needs_faces
def test_a_folder_of_samples_feeds_a_trainer(made):
    folder = SampleFolder(made[0])
    assert folder.people == ["anna", "id00012", "x_Y-z+P2"]
    batch = next(iter(DataLoader(folder, batch_size=5)))
    assert batch["source"].shape == (5, 3, 512, 512)
    assert batch["targets"].shape == batch["renders"].shape == (5, FRAMES, 3, 512, 512)
    assert batch["motion"].shape == (5, FRAMES, 71) and batch["weight"].shape == (5, FRAMES, 64, 64)
    assert -1 <= batch["targets"].min() < -0.8 and 0.8 < batch["targets"].max() <= 1
    assert sorted(batch["person"].tolist()) == [0, 1, 1, 2, 2]


def test_people_without_end():
    item, again = next(iter(SyntheticFaces(1, start=5))), make_sample(5, 1)
    assert item["person"] == 5 and torch.equal(item["motion"], again.motion)
    assert item["targets"].shape == (1, 3, 512, 512) and item["weight"].min() == 0.5


def test_workers_share_the_seeds(monkeypatch):
    sample, seen = make_sample(0, 1), []
    monkeypatch.setattr(torch_data, "make_sample", lambda seed, frames: sample)
    for worker in (SimpleNamespace(id=number, num_workers=2) for number in range(2)):
        monkeypatch.setattr(torch_data, "get_worker_info", lambda worker=worker: worker)
        seen.append([item["person"] for item in islice(SyntheticFaces(1, start=1, step=3), 3)])
    assert seen == [[1, 7, 13], [4, 10, 16]]
