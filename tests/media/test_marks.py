"""The watermark and the other marks of written files: found after what the web does, and nowhere else."""

import io
import json
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image
from support.checkout import ROOT

from mimaface.cli.main import main
from mimaface.mimaface_core import host, write_video
from mimaface.mimaface_core.media.image import read_image
from mimaface.mimaface_core.media.marks.embed import Watermark
from mimaface.mimaface_core.media.marks.find import find_watermark
from mimaface.mimaface_core.media.marks.payload import Payload, decode, encode
from mimaface.mimaface_core.media.marks.report import marks_in_file, marks_of, name_marks
from mimaface.mimaface_core.media.provenance import VERSION, own_watermark
from mimaface.mimaface_core.tensors import to_uint8
from mimaface.nodes.combine_video import CombineVideo
from mimaface.nodes.detect import Detect

SIDE = 320


def scene(seed=0):
    """Something like a photograph, uint8 [SIDE, SIDE, 3]: soft shapes with texture on a flat wall."""
    noise = np.random.default_rng(seed).normal(size=(3, SIDE, SIDE))
    waves = np.fft.fftfreq(SIDE)
    fall = 1 / (np.hypot(waves[:, None], waves[None]) + 0.01) ** 1.4
    shapes = np.fft.ifft2(np.fft.fft2(noise) * fall).real
    shapes /= shapes.std((1, 2), keepdims=True)
    shapes = 120 + 45 * shapes[:1] + 9 * shapes  # colours go along with the light
    shapes[:, :, : SIDE // 3] = 180
    return torch.from_numpy(shapes.clip(0, 255).astype(np.uint8).transpose(1, 2, 0).copy())


MARK = Watermark(Payload((1, 2, 3)))


def as_image(frame):
    return Image.fromarray(frame.numpy())


def as_frame(image):
    return torch.from_numpy(np.array(image.convert("RGB")))


def as_jpeg(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=75)
    return Image.open(file)


def pasted(image):
    wide = Image.new("RGB", (640, 400), (90, 90, 90))
    wide.paste(image, (200, 30))
    return wide


CHANGES = {
    "none": lambda image: image,
    "JPEG": as_jpeg,
    "smaller": lambda image: image.resize((224, 224)),
    "larger": lambda image: image.resize((560, 560)),
    "cropped": lambda image: image.crop((30, 20, 30 + 256, 20 + 256)),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned": lambda image: image.rotate(4, Image.Resampling.BILINEAR),
    "pasted": pasted,
    "brighter": lambda image: image.point(lambda value: min(255, value * 1.2)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_payload_is_read_after_what_the_web_does(change):
    found = find_watermark([as_frame(CHANGES[change](as_image(MARK(scene()))))])
    assert found.payload == Payload((1, 2, 3))
    assert found.mirrored == (change == "mirrored")


def test_an_unmarked_image_is_not_taken_for_a_marked_one():
    found = find_watermark([scene(1)])
    assert not found.certain and found.payload is None


def test_the_mark_is_weak_and_weakest_on_a_flat_wall():
    plain = scene()
    change = MARK(plain).float() - plain.float()
    assert 20 * torch.log10(255 / change.square().mean().sqrt()) >= 42
    luma = change @ torch.tensor([0.299, 0.587, 0.114])
    wall, shapes = luma[:, 10 : SIDE // 3 - 20], luma[:, SIDE // 2 :]
    assert wall.square().mean().sqrt() < 0.35 < shapes.square().mean().sqrt() < 0.7
    assert torch.equal(MARK(plain), MARK(plain))


def test_noise_is_marked_no_stronger_than_promised():
    plain = torch.randint(0, 256, (256, 300, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    change = MARK(plain).float() - plain.float()
    assert 20 * torch.log10(255 / change.square().mean().sqrt()) >= 42


def test_transparent_pixels_and_tiny_frames_stay_as_they_are():
    frame = torch.cat([scene(), torch.zeros(SIDE, SIDE, 1, dtype=torch.uint8)], -1)
    frame[: SIDE // 2, :, 3] = 255
    marked = MARK(frame)
    assert not torch.equal(marked, frame)
    assert torch.equal(marked[..., 3], frame[..., 3])
    tiny = scene()[:20, :20]
    assert torch.equal(MARK(tiny), tiny)


def test_three_wrong_bits_a_block_are_corrected():
    bits = Payload((1, 2, 3)).bits()
    signs = encode(bits)
    for block in range(4):
        signs.reshape(24, 4)[[1, 8, 20], block] *= -1
    assert (decode(signs) == bits).all()
    assert Payload.of_bits(1 - bits) is None


def test_the_version_is_that_of_the_project():
    assert f'\nversion = "{VERSION}"\n' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert str(own_watermark().payload) == f"MIMAFace {VERSION}"


def test_a_compressed_video_is_recognised_without_its_metadata(tmp_path):
    frames = torch.stack([scene()] * 24)
    for number, frame in enumerate(frames):  # something moves
        frame[100:160, 8 * number : 8 * number + 60] = scene(1)[100:160, 100:160]
    path = write_video(tmp_path / "a.mp4", frames, 25)
    shared = tmp_path / "b.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", path, "-map_metadata", "-1", "-crf", "28"]
    subprocess.run([*command, shared], check=True)
    marks = marks_of(shared)
    assert not marks.ours and marks.watermark.payload == own_watermark().payload


@pytest.mark.parametrize("suffix", ["mp4", "webm", "gif", "png"])
def test_every_kind_of_file_carries_metadata_and_watermark(tmp_path, suffix):
    path = write_video(tmp_path / f"a.{suffix}", scene(), 25)
    marks = marks_of(path)
    assert marks.ours and marks.source_types == ("compositeWithTrainedAlgorithmicMedia",)
    assert marks.watermark.payload == own_watermark().payload


def test_switched_off_the_metadata_say_so(tmp_path):
    path = write_video(tmp_path / "a.png", scene(), 25, watermark=False)
    assert torch.equal(to_uint8(read_image(path)), scene())
    with Image.open(path) as image:
        assert image.info["watermark"] == "off"


def test_combine_video_marks_its_file_and_not_what_it_was_given(tmp_path):
    image = scene()[None].float() / 255
    kept = image.clone()
    with host.use(host.Host(inputs=tmp_path, outputs=tmp_path / "out", temp=tmp_path / "temp")):
        CombineVideo.execute(image, "a", "png", 0.0)
    written = next((tmp_path / "out").rglob("a*.png"))
    assert marks_of(written).watermark.payload == own_watermark().payload
    assert torch.equal(image, kept)
    report, machine, marked = Detect.execute(read_image(written)[None]).args
    assert marked and "MIMAFace" in report and json.loads(machine)["watermark"]["found"]


def test_the_command_says_what_it_found_and_ends_with_json(tmp_path, capsys):
    path = write_video(tmp_path / "a.png", scene(), 25)
    assert main(["detect", str(path), str(tmp_path / "none.png")]) == 2
    lines = capsys.readouterr().out.splitlines()
    first, second = json.loads(lines[-1])["files"]
    assert first["marked"] and first["watermark"]["payload"] == f"MIMAFace {VERSION}"
    assert "error" in second
    assert any("it says MIMAFace" in line for line in lines)


def test_marks_of_others_are_named(tmp_path, caplog):
    path = tmp_path / "a.png"
    text = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    as_image(scene()).save(path)
    path.write_bytes(path.read_bytes() + text.encode() + b"c2pa" + bytes.fromhex("00110010800000aa00389b71"))
    marks = marks_in_file(path)
    assert marks.c2pa and marks.source_types == ("trainedAlgorithmicMedia",) and not marks.ours
    name_marks(path, "the source")
    assert "trainedAlgorithmicMedia" in caplog.text and "C2PA" in caplog.text
