"""Training samples from a folder of videos: labels, skipped videos, resuming after an interruption."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import PurePosixPath

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
from mimaface.mimaface_core.training.data import videos
from mimaface.mimaface_core.training.data.dataset import StoredSample
from mimaface.mimaface_core.training.data.torch_datasets import SampleFolder
from mimaface.mimaface_core.training.data.video_folder import PersonVideo, find_videos, person_of
from mimaface.mimaface_core.training.data.videos import make_video_data
from mimaface.mimaface_core.training.people.camera import from_jpeg

FRAMES = 2  # of the samples here


def image_folder(folder, frames):
    """Write a folder of numbered PNGs."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame_{number}.png")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A folder with videos of each kind: three with a face and three that cannot be used."""
    root = tmp_path_factory.mktemp("tree") / "clips"
    (root / "id00012" / "abc").mkdir(parents=True)
    clip(root / "id00012" / "abc" / "00001.mp4", nodding(8))
    image_folder(root / "Clip+x_Y-z+P2+C1+F1-11", nodding(11))
    (root / "anna").mkdir()
    clip(root / "anna" / "monday.mp4", nodding(3))
    (root / "anna" / "broken.mp4").write_bytes(b"no video at all")
    clip(root / "anna" / "short.mp4", nodding(2))
    clip(root / "walls.mp4", [noise()] * 4)
    (root / "anna" / "notes.txt").write_text("not for training")
    return root


@pytest.fixture(scope="module")
def made(tree, tmp_path_factory):
    """Folder of the tree's samples, and the outcome."""
    data = tmp_path_factory.mktemp("made") / "data"
    return data, make_video_data(tree, data, frames=FRAMES)


def contents(data):
    """Tensors and metadata of all samples, independent of their order in a file."""
    samples = {}
    for path in data.glob("*.safetensors"):
        with safe_open(str(path), "pt") as file:
            samples[path.name] = {
                name: file.get_tensor(name).numpy().tobytes() for name in file.keys()
            } | file.metadata()
    return samples


def test_person_label_comes_from_the_path():
    labels = {
        "id10001/1zcIwhmdeo4/00001.mp4": "id10001",
        "train/id10001#7gWzIy6yIIk#001023#001290.mp4": "id10001",
        "Clip+1qf8-pL_D0+P2+C1+F5731-5855.mp4": "1qf8-pL_D0+P2",
        "VFHQ/Clip+1qf8-pL_D0+P2+C3+F1-90": "1qf8-pL_D0+P2",
        "anna/monday/walk.mov": "anna",
        "walk.mov": "walk",
        "idea/walk.mov": "idea",
    }
    assert {path: person_of(PurePosixPath(path)) for path in labels} == labels


@needs_faces
def test_videos_below_a_folder(tree):
    assert {video.name: video.person for video in find_videos(tree)} == {
        "clips/Clip+x_Y-z+P2+C1+F1-11": "x_Y-z+P2",
        "clips/anna/broken.mp4": "anna",
        "clips/anna/monday.mp4": "anna",
        "clips/anna/short.mp4": "anna",
        "clips/id00012/abc/00001.mp4": "id00012",
        "clips/walls.mp4": "walls",
    }


def test_frames_are_in_order_at_about_25_fps(tmp_path):
    image_folder(tmp_path / "p", [np.full((8, 8, 3), 9 * i, np.uint8) for i in range(12)])
    levels = [int(frame[0, 0, 0]) for frame in PersonVideo(tmp_path / "p", "p", "p").frames()]
    assert levels == [9 * i for i in range(12)]
    fast = films.write(tmp_path / "fast.mp4", films.greys(12), fps=50)
    levels = [float(frame.float().mean()) for frame in PersonVideo(fast, "fast", "fast").frames()]
    assert np.allclose(levels, [16 * i for i in range(6)], atol=4)


@needs_faces
def test_renders_are_nearer_to_targets_than_the_source(tree, made):
    data, result = made
    assert result.videos == 6 and result.samples == len(contents(data)) == 5
    people = {}
    for path in data.glob("*.safetensors"):
        assert "." not in path.stem
        sample = StoredSample(path)
        people[sample.person] = people.get(sample.person, 0) + 1
        assert safe_open(str(path), "pt").metadata()["kind"] == "video"
        assert sample.motion.shape == (FRAMES, 71) and sample.weight.shape == (FRAMES, 64, 64)
        for frame in range(FRAMES):
            source, target, render = (
                x.float() for x in (sample.source(), sample.image("target", frame), sample.image("render", frame))
            )
            weight = sample.weight[frame]
            assert weight[28:36, 28:36].min() >= 1.5 and weight.max() > 3
            face = (weight >= 1.5).repeat_interleave(8, 0).repeat_interleave(8, 1)
            unmoved, rendered = ((target - image).abs().mean(0)[face].mean() for image in (source, render))
            assert rendered < max(0.7 * unmoved, 4), (path.name, float(rendered), float(unmoved))
    assert people == {"id00012": 2, "x_Y-z+P2": 2, "anna": 1}


@needs_faces
def test_weights_are_zero_beyond_the_frame():
    from mimaface.mimaface_core.face.detect import face_tracker

    # the head at the upper border
    frames = [torch.from_numpy(moved(angle, 1.2, (0, -40))) for angle in (0, 1, 2)]
    sample = videos.video_sample(frames[0], frames[1:], face_tracker())
    target = from_jpeg(sample.targets[0]).float().mean(0)
    empty = (sample.weight[0] == 0).all(1)
    rows = int(empty.float().argmin())
    assert 2 < rows < 30 and empty[:rows].all() and not empty[rows:40].any()
    # what lies beyond it is filled softly
    beyond, within = target[: 8 * rows - 8], target[8 * rows + 8 : 8 * rows + 64]
    assert beyond.diff(dim=0).abs().mean() < 0.5 * within.diff(dim=0).abs().mean()


@needs_faces
def test_unusable_videos_are_listed_with_reasons(made):
    data, result = made
    lines = (data / "skipped.txt").read_text(encoding="utf-8").splitlines()
    assert lines == result.skipped and len(lines) == 3
    broken, short, walls = lines
    assert broken.startswith("clips/anna/broken.mp4: ") and "cannot be read" in broken
    assert short == "clips/anna/short.mp4: it is too short; 3 frames in one piece are needed, it has 2."
    assert walls.startswith("clips/walls.mp4: no face")


@needs_faces
def test_second_run_reads_only_changed_videos(tree, made, tmp_path, monkeypatch):
    copy, data = tmp_path / "clips", tmp_path / "data"
    shutil.copytree(tree, copy)
    shutil.copytree(made[0], data)
    before = contents(data)
    read = []
    frames = PersonVideo.frames

    def recorded(self) -> Iterator:
        read.append(self.name)
        return frames(self)

    monkeypatch.setattr(PersonVideo, "frames", recorded)
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
def test_full_disk_keeps_finished_videos(tree, made, tmp_path, monkeypatch, error):
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
    canceller = host.Host()
    shown = []

    def show(progress, preview=None):
        shown.append(progress.label)
        if len(shown) == 4:
            canceller.cancel()

    canceller.show = show
    with host.use(canceller), pytest.raises(Cancelled):
        make_video_data(tree, tmp_path / "data", frames=FRAMES)
    assert len(shown) == 5 and "looking for cuts" in shown[2]
    assert not list((tmp_path / "data").rglob("*.*"))


def test_folders_without_videos_are_refused(tmp_path):
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
def test_folder_of_unusable_videos_is_refused(tmp_path):
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
def test_sample_folder_feeds_a_data_loader(made):
    folder = SampleFolder(made[0])
    assert folder.people == ["anna", "id00012", "x_Y-z+P2"]
    batch = next(iter(DataLoader(folder, batch_size=5)))
    assert batch["source"].shape == (5, 3, 512, 512)
    assert batch["targets"].shape == batch["renders"].shape == (5, FRAMES, 3, 512, 512)
    assert batch["motion"].shape == (5, FRAMES, 71) and batch["weight"].shape == (5, FRAMES, 64, 64)
    assert -1 <= batch["targets"].min() < -0.8 and 0.8 < batch["targets"].max() <= 1
    assert sorted(batch["person"].tolist()) == [0, 1, 1, 2, 2]
