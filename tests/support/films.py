"""Small clips and sounds for tests, and what a refusal must read like."""

import subprocess

import imageio_ffmpeg
import numpy as np
import torch

from mimaface.mimaface_core.media.audio import Audio
from mimaface.mimaface_core.media.write import VideoWriter


def ffmpeg(*arguments):
    program = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([program, "-v", "error", "-y", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)


def noise(count, height=24, width=32, seed=0):
    random = np.random.default_rng(seed)
    return [torch.from_numpy(random.integers(0, 256, (height, width, 3), np.uint8)) for _ in range(count)]


def greys(count, height=24, width=32):
    """Frames that say which one they are: frame i is all 8·i."""
    return [torch.full((height, width, 3), 8 * i, dtype=torch.uint8) for i in range(count)]


def write(path, frames, fps=25, format="mp4", **more):
    with VideoWriter(path, fps, format, **more) as film:
        for frame in frames:
            film.write(frame)
    return film.path


def chirp(sample_rate, seconds, channels=1):
    time = torch.arange(round(sample_rate * seconds)) / sample_rate
    return Audio((0.4 * torch.sin(2 * np.pi * 300 * time * (1 + time))).repeat(channels, 1), sample_rate)


def one_sentence(error, *words):
    text = str(error.value)
    assert text[-1] == "." and "\n" not in text and ";" in text, text
    assert all(word in text for word in words), text


def tracks(path, *marked):
    """A silent track, then a tone; those in `marked` are the file's defaults."""
    inputs = ["-f", "lavfi", "-i", "anullsrc=r=16000:cl=mono:d=1", "-f", "lavfi", "-i", "sine=d=1:r=16000"]
    marks = [part for i in (0, 1) for part in (f"-disposition:a:{i}", "default" if i in marked else "0")]
    ffmpeg(*inputs, "-map", 0, "-map", 1, "-c:a", "aac", *marks, path)
    return path


def undecodable(path, count=1):
    """Renames the codec of the first `count` tracks to one that nothing decodes."""
    path.write_bytes(path.read_bytes().replace(b"mp4a\0\0", b"apac\0\0", count).replace(b"esds", b"none", count))
    return path
