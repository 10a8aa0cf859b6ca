"""`mimaface train data` and `videos` by workers: the same samples, resuming, deaths, what another machine sees."""

import json
import os
import signal

import pytest
import torch

from mimaface.cli import main as cli
from mimaface.mimaface_core.training.config import CONFIGS
from mimaface.mimaface_core.training.data.dataset import make_person, sample_path
from mimaface.mimaface_core.training.data.video_folder import find_videos
from mimaface.scale.kinds import do_task
from mimaface.scale.local import LocalWorker


@pytest.fixture
def people(tmp_path, monkeypatch):
    """`people(*options)` runs the stage for two people of one frame each, into data/."""
    monkeypatch.chdir(tmp_path)
    content = json.loads((CONFIGS / "tiny.json").read_text()) | {"data": {"people": 2, "frames": 1}}
    (tmp_path / "small.json").write_text(json.dumps(content))
    return lambda *options: cli.main(["train", "data", "--config", "small.json", *options])


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
def test_workers_make_the_same_samples_though_one_is_killed(people, tmp_path, capsys, monkeypatch):
    give, killed = LocalWorker.give, []

    def give_and_kill(self, item, scratch):
        give(self, item, scratch)
        if not killed:
            killed.append(self.process.process.pid)
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(LocalWorker, "give", give_and_kill)
    assert people("--workers", "2", "--threads", "1") == 0
    made = [sample_path(tmp_path / "data", seed) for seed in (0, 1)]
    before = [path.stat().st_mtime_ns for path in made]
    assert "2 done, 0 failed" in (said := capsys.readouterr().err) and "ended by signal 9" in said
    (tmp_path / "alone").mkdir()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as many as the workers had
    make_person(tmp_path / "alone", 1, 1)
    torch.set_num_threads(threads)
    assert sample_path(tmp_path / "alone", 1).read_bytes() == made[1].read_bytes()
    # what is there is not made again
    assert people("--workers", "1") == 0
    assert [path.stat().st_mtime_ns for path in made] == before


def test_unusable_videos_are_listed_as_without_workers(tmp_path, capsys):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "broken.mp4").write_bytes(b"no video at all")
    arguments = ["train", "videos", str(tmp_path / "clips"), "--data", str(tmp_path / "data"), "--workers", "1"]
    assert cli.main(arguments) == 2
    assert "has no usable video (1 tried)" in capsys.readouterr().err
    assert "clips/broken.mp4: " in (tmp_path / "data" / "skipped.txt").read_text()


def test_a_machine_that_sees_another_file_makes_nothing_of_it(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(b"no video at all")
    (video,) = find_videos(tmp_path / "clips")
    arguments = {"data": str(tmp_path), "path": str(video.path), "name": "a", "person": "a", "frames": 1}
    with pytest.raises(OSError, match="is another file on this machine, or has changed; share one folder"):
        do_task({"task": "video", "arguments": arguments | {"state": [1, 1]}})


@pytest.mark.parametrize(
    "options, words",
    [
        (["--workers", "0"], "--workers 0 is out of range; use at least 1."),
        (["--workers", "1", "--data", "file"], "file cannot be written (File exists); make room, or choose another"),
        (["--data", "file"], "file cannot be written (File exists)"),
        (["--ray", "127.0.0.1:1"], "--ray"),
    ],
)
def test_what_cannot_be_used_is_refused(people, tmp_path, capsys, options, words):
    (tmp_path / "file").touch()
    assert people(*options) == 2
    assert words in (said := capsys.readouterr().err) and "Traceback" not in said
