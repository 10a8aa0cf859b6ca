"""IF-MDM's data from videos: clips of who is seen, the motion of who is heard, and what is passed over."""

import pytest
import torch
from support.scenes import clip, moved, needs_faces, nodding, noise, tone

from mimaface.mimaface_core.implicit.face_codes import NAMES
from mimaface.mimaface_core.implicit.generator import Generator
from mimaface.mimaface_core.packs.pack import BUNDLED_PACK, ModelPack
from mimaface.mimaface_core.training.data.implicit_clips import ImplicitClip
from mimaface.mimaface_core.training.data.implicit_pool import ClipPool
from mimaface.mimaface_core.training.data.implicit_speech import LOWEST_FRAMES, SpokenMotion
from mimaface.mimaface_core.training.data.implicit_videos import make_video_moves
from mimaface.mimaface_core.training.implicit_config import load_implicit_config

BEFORE, SHOWN, IMAGES, SIDE = 5, LOWEST_FRAMES + 5, 4, 128


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Data of a face that is heard, after frames that show none, of a silent one, a glimpse, and a damaged file."""
    folder = tmp_path_factory.mktemp("videos")
    sound = tone(1.0, 2.0)
    clip(folder / "heard.mp4", [noise()] * BEFORE + nodding(SHOWN), audio=sound)
    clip(folder / "silent.mp4", nodding(12))
    clip(folder / "glimpse.mp4", [noise()] * 6 + [moved(0, 1, (0, 0))] * 2)
    (folder / "damaged.mp4").write_bytes(b"no video")
    make(folder)
    return folder


def make(folder):
    net = ModelPack.load(BUNDLED_PACK).audio
    make_video_moves(folder, folder / "data" / "moves", folder / "data" / "spoken", IMAGES, SIDE, net)


@needs_faces
def test_who_is_seen_becomes_clips(made):
    paths = sorted((made / "data" / "moves").iterdir())
    assert ["heard" in path.name for path in paths] == [True, False] and "silent" in paths[1].name
    seen = ImplicitClip.load(paths[0])
    assert seen.images.shape == (IMAGES, 3, SIDE, SIDE) and seen.codes.shape == (IMAGES, len(NAMES))
    assert seen.codes[:, NAMES.index("roll")].std() > 0.01 and 0.4 < seen.seen.float().mean() < 1
    lips = seen.places[:, 13]
    assert (lips.abs() < 0.6).all() and (lips[:, 1] > 0.1).all()
    assert set(ClipPool(made / "data" / "moves").pairs(2, torch.Generator().manual_seed(0))) >= {"source", "target"}


@needs_faces
def test_who_is_heard_becomes_spoken_motion(made):
    (path,) = (made / "data" / "spoken").iterdir()
    spoken = SpokenMotion.load(path)
    frames = spoken.codes.shape[1]
    assert "heard" in path.name and LOWEST_FRAMES <= frames <= SHOWN and len(spoken.speech) == 2 * frames
    loud = spoken.speech[:, -1]  # a second of quiet, of which the frames without a face are gone, then a tone
    assert loud[: 2 * (20 - 2)].max() < loud[2 * (20 + 4) :].min()


@needs_faces
def test_what_is_there_is_not_made_again(made, caplog):
    before = {path: path.stat().st_mtime_ns for path in (made / "data").rglob("*.safetensors")}
    make(made)
    assert {path: path.stat().st_mtime_ns for path in (made / "data").rglob("*.safetensors")} == before
    damaged, glimpse = (one.getMessage() for one in caplog.records if "is skipped" in one.getMessage())
    assert "damaged.mp4" in damaged and "2 frames in a row" in glimpse


def test_the_full_configuration_has_the_published_networks():
    config = load_implicit_config("full")
    with torch.device("meta"):
        ours = Generator(**config.generator.network(512)).state_dict()
        published = Generator().state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in published.items()}
    assert config.transformer.variant == "DiT-A0" and config.moves.size == 512
