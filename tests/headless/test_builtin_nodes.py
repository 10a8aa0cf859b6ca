"""Stand-ins for ComfyUI's built-in nodes: loading, saving and splitting videos and images."""

import json
from fractions import Fraction

import pytest
import torch
from PIL import Image
from support.toys import node, run

from mimaface.headless.builtin_nodes import LoadImage
from mimaface.headless.problems import GraphRefused
from mimaface.mimaface_core.media.read import Clip
from mimaface.mimaface_core.media.write import VideoWriter
from mimaface.nodes.comfyui.schema import VideoFromFile


@pytest.fixture
def clip(tmp_path):
    with VideoWriter(tmp_path / "clip.mp4", Fraction(30000, 1001), "mp4", metadata={"comment": "synthetic"}) as video:
        for level in range(5):
            video.write(torch.full((32, 48, 3), 40 * level, dtype=torch.uint8))
    return tmp_path / "clip.mp4"


def test_a_video_split_into_components_and_rejoined_keeps_frames_and_rate(load, tmp_path, clip):
    graph = load(
        a=node("LoadVideo", file="clip.mp4"),
        b=node("GetVideoComponents", video=["a", 0]),
        c=node("CreateVideo", images=["b", 0], fps=["b", 2], audio=["b", 1]),
        d=node("SaveVideo", video=["c", 0], filename_prefix="video/made", format="auto", codec="auto"),
        e=node("SaveVideo", video=["a", 0], filename_prefix="video/made", format="mp4", codec="h264"),
    )
    made, copied = run(graph, tmp_path)
    assert (made, copied) == (tmp_path / "out/video/made_00001_.mp4", tmp_path / "out/video/made_00002_.mp4")
    for path in (made, copied):
        again = Clip.open(path)
        assert (again.fps, again.width, again.height, len(list(again))) == (Fraction(30000, 1001), 48, 32, 5)
    frames = zip(Clip.open(clip), Clip.open(copied), strict=True)
    assert all(torch.equal(before, after) for before, after in frames)
    metadata = VideoFromFile(copied)._metadata()
    assert metadata["comment"] == "synthetic" and json.loads(metadata["prompt"])["a"]["inputs"] == {"file": "clip.mp4"}


def test_a_lossless_video_is_encoded_when_saved(tmp_path):
    with VideoWriter(tmp_path / "clip.mov", Fraction(25), "lossless") as video:
        video.write(torch.full((32, 48, 3), 100, dtype=torch.uint8))
    VideoFromFile(tmp_path / "clip.mov").save_to(tmp_path / "clip.mp4")
    import av

    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_images_are_loaded_with_their_mask_saved_and_previewed(load, tmp_path):
    pixels = torch.randint(0, 256, (6, 8, 4), dtype=torch.uint8)
    pixels[..., 3] = 255
    pixels[0, 0, 3] = 0
    Image.fromarray(pixels.numpy(), "RGBA").save(tmp_path / "face.png")
    graph = load(
        a=node("LoadImage", image="face.png"),
        b=node("PreviewImage", images=["a", 0]),
        c=node("SaveImage", images=["a", 0], filename_prefix="result"),
    )
    saved, preview = run(graph, tmp_path)
    assert saved == tmp_path / "out/result_00001_.png" and preview.parent == tmp_path / "out/preview"
    with Image.open(saved) as image:
        assert image.getpixel((0, 0)) == (255, 255, 255, 0)
        assert image.getpixel((3, 2)) == tuple(pixels[2, 3].tolist())
        assert "LoadImage" in image.text["prompt"]
    mask = LoadImage.execute(str(tmp_path / "face.png"))[1]
    assert mask.shape == (1, 6, 8) and mask.sum() == 1


def test_a_file_without_audio_is_refused_by_load_audio(load, tmp_path, clip):
    graph = load(
        a=node("LoadAudio", "voice", audio="clip.mp4"),
        b=node("CreateVideo", images=["c", 0], fps=1, audio=["a", 0]),
        c=node("LoadImage", image="face.png"),
        d=node("SaveVideo", video=["b", 0], filename_prefix="x", format="auto", codec="auto"),
    )
    Image.new("RGB", (8, 8)).save(tmp_path / "face.png")
    with pytest.raises(GraphRefused, match="node 'voice' .* has no audio"):
        run(graph, tmp_path)
