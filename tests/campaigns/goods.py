"""Good files of every kind that is read, small, of which the campaign makes bad ones."""

import contextlib
import tempfile
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from support.films import chirp, ffmpeg, noise
from support.films import write as write_film
from support.scenes import tone, voice
from support.tiny_implicit import write_tiny_implicit
from support.tiny_pack import write_tiny_pack
from support.tracks import track

from mimaface.mimaface_core.face.live_link import save_live_link
from mimaface.mimaface_core.implicit.motion import ImplicitMotion


def _bytes(write, name) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


@lru_cache
def images() -> dict[str, bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    plain, cut = Image.fromarray(pixels), Image.fromarray(np.dstack([pixels, pixels[..., :1]]))
    wide = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    forms = {
        "a.png": (plain, {}),
        "cut.png": (cut, {}),
        "wide.png": (wide, {}),
        "few.png": (plain.quantize(8), {"transparency": 1}),
        "a.jpg": (plain, {"exif": exif, "quality": 90}),
        "cmyk.jpg": (plain.convert("CMYK"), {}),
        "a.webp": (cut, {}),
        "a.bmp": (plain, {}),
        "a.gif": (plain, {}),
        "a.tiff": (plain, {"compression": "tiff_deflate"}),
        "f.tiff": (Image.fromarray(pixels[..., 0].astype(np.float32)), {}),
        "a.ico": (plain, {}),
        "a.ppm": (plain, {}),
        "a.tga": (plain, {}),
        "a.jp2": (plain, {}),
        "a.avif": (plain, {}),
    }
    made = {}
    for name, (image, options) in forms.items():
        with contextlib.suppress(OSError, KeyError, ValueError):  # of a format that this Pillow lacks
            made[name] = _bytes(lambda path, i=image, o=options: i.save(path, **o), name)
    return made


@lru_cache
def films() -> dict[str, bytes]:
    sound, frames = chirp(16000, 0.2), noise(4)
    made = {
        f"a.{kind}": _bytes(lambda p, k=kind: write_film(p, frames, 25, k, audio=sound), f"a.{kind}")
        for kind in ("mp4", "webm", "gif")
    }
    made["a.mov"] = _bytes(lambda path: write_film(path, frames, Fraction(30000, 1001), "lossless"), "a.mov")
    stills = [Image.fromarray(frame.numpy()) for frame in frames]
    made["a.webp"] = _bytes(lambda path: stills[0].save(path, save_all=True, append_images=stills[1:]), "a.webp")
    for name, codec in (("a.mkv", "mpeg4"), ("a.avi", "mjpeg"), ("a.ts", "mpeg2video"), ("a.flv", "flv")):
        source = ("-f", "lavfi", "-i", "testsrc=s=32x24:r=25:d=0.2", "-f", "lavfi", "-i", "sine=d=0.2:r=44100")
        made[name] = _bytes(lambda path, s=source, c=codec: ffmpeg(*s, "-c:v", c, path), name)
    return made


@lru_cache
def sounds() -> dict[str, bytes]:
    made = {"a.wav": _bytes(lambda path: voice(path, tone(0.05, 0.1)), "a.wav")}
    for name in ("a.mp3", "a.ogg", "a.flac", "a.m4a", "eight.flac", "a.aiff"):
        channels = ("-ac", 8) if name.startswith("eight") else ()
        made[name] = _bytes(lambda path, c=channels: ffmpeg("-f", "lavfi", "-i", "sine=d=0.2:r=22050", *c, path), name)
    return made


@lru_cache
def motions() -> dict[str, bytes]:
    codes = torch.tanh(torch.randn(6, 12, generator=torch.Generator().manual_seed(0)))
    implicit = ImplicitMotion(codes, Fraction(25), {"head": [0, 1, 2], "mouth": [3, 4]})
    return {"explicit": _bytes(track(6).save, "a.safetensors"), "implicit": _bytes(implicit.save, "a.safetensors")}


@lru_cache
def arkit() -> list[list[str]]:
    text = _bytes(lambda path: save_live_link(track(6), path), "a.csv").decode()
    return [line.split(",") for line in text.splitlines()]


@lru_cache
def packs() -> dict[str, dict[str, bytes]]:
    made = {}
    for name, write in (("tiny", write_tiny_pack), ("implicit", write_tiny_implicit)):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / name)
            made[name] = {file.name: file.read_bytes() for file in (Path(folder) / name).iterdir()}
    return made


ALL = (images, films, sounds, motions, arkit, packs)
