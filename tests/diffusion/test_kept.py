"""Finished clips that are kept: an interrupted run resumes with the frames of an unbroken one."""

from types import SimpleNamespace

import pytest
import torch
from support.tiny_pack import randn
from support.unets import SAMPLE

from mimaface.mimaface_core.diffusion import kept as module
from mimaface.mimaface_core.diffusion.clips import sample_clips
from mimaface.mimaface_core.diffusion.kept import MOST_RUNS, kept_clips
from mimaface.mimaface_core.diffusion.latents import LatentSpace
from mimaface.mimaface_core.diffusion.settings import SamplerSettings
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.tensors import to_uint8

TOTAL, CLIP, OVERLAP = 30, 8, 3
NEW = CLIP - OVERLAP


class Killed(Exception):
    pass


@pytest.fixture
def runs(tmp_path):
    return tmp_path / "unfinished"


@pytest.fixture
def draw(unet, vae, monkeypatch):
    """Frames uint8 [n, 32, 32, 3] of a run, which dies before a clip if it is told to; and the renders it took."""
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.0)
    parts = SimpleNamespace(unet=unet, latents=LatentSpace(vae, "residual", 2.0), scheduler=SAMPLE)

    def draw(kept=None, dies_at=None, **options):
        settings = SamplerSettings(**{"frames": CLIP, "overlap": OVERLAP, "steps": 2, "guidance": 1.0, **options})
        taken = []

        def renders(first):
            for index in range(first, TOTAL):
                taken.append(index)
                yield (randn(3, 32, 32, seed=index) / 3).clamp(-1, 1)

        def context(indices):
            if dies_at is not None and indices[0] >= dies_at * NEW:
                raise Killed
            return torch.stack([randn(5, 16, seed=100 + index) for index in indices])

        first = 0 if kept is None else kept.frames
        clips = sample_clips(parts, renders(first), context, TOTAL, settings, kept=kept)
        return torch.cat([to_uint8((clip.permute(0, 2, 3, 1) + 1) / 2) for clip in clips]), taken

    return draw


@pytest.mark.parametrize(
    "options, keep_seconds", [({}, 0.0), ({"noise": "per clip"}, 1e9), ({"overlap": 0}, 0.0)], ids=str
)
def test_a_resumed_run_has_the_frames_of_an_unbroken_one(draw, runs, options, keep_seconds, monkeypatch):
    whole, _ = draw(**options)
    step = CLIP - options.get("overlap", OVERLAP)
    for dies_at in (1, 3):
        with pytest.raises(Killed), kept_clips(runs, "key") as kept:
            draw(kept, dies_at=dies_at * step / NEW, **options)
        monkeypatch.setattr(module, "KEEP_SECONDS", keep_seconds)  # clips that come fast are kept together
    with kept_clips(runs, "key") as kept:
        frames, taken = draw(kept, **options)
    assert torch.equal(frames, whole)
    assert taken[0] == step * (3 if keep_seconds == 0 else 1) + CLIP - step, "finished clips are not drawn again"
    assert not runs.exists(), "a run that has ended leaves nothing"


def test_a_run_that_is_not_resumed_begins_anew(draw, runs):
    with pytest.raises(Killed), kept_clips(runs, "key") as kept:
        draw(kept, dies_at=2)
    with kept_clips(runs, "key", resume=False) as kept:
        assert kept.frames == 0 and draw(kept)[1][0] == 0


@pytest.mark.parametrize("damage", ["state", "last", "first"])
def test_what_is_damaged_is_drawn_again_or_refused(draw, runs, damage):
    with pytest.raises(Killed), kept_clips(runs, "key") as kept:
        draw(kept, dies_at=2)
    files = sorted((runs / "key").glob("*.mov"))
    assert len(files) == 2
    if damage == "last":
        files[-1].unlink()
    else:
        (runs / "key" / "state.safetensors" if damage == "state" else files[0]).write_bytes(b"x")
    if damage == "first":
        with pytest.raises(InputError, match="run again"), kept_clips(runs, "key") as kept:
            draw(kept)
    else:
        with kept_clips(runs, "key") as kept:
            assert kept.state is None and len(draw(kept)[0]) == TOTAL


def test_of_interrupted_runs_the_latest_are_kept(draw, runs):
    for number in range(MOST_RUNS + 2):
        with pytest.raises(Killed), kept_clips(runs, f"{number}") as kept:
            draw(kept, dies_at=1)
    assert len(list(runs.iterdir())) == MOST_RUNS and (runs / f"{MOST_RUNS + 1}").is_dir()


def test_an_interrupted_run_without_a_finished_clip_leaves_nothing(draw, runs):
    with pytest.raises(Killed), kept_clips(runs, "key") as kept:
        draw(kept, dies_at=0)
    assert not runs.exists()


def test_a_folder_that_cannot_be_written_keeps_nothing(draw, runs, caplog):
    runs.touch()
    with kept_clips(runs, "key") as kept:
        assert kept is None and len(draw(kept)[0]) == TOTAL
    assert "not kept" in caplog.text
