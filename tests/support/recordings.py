"""Recordings for tests: murmurs and clicks, in memory, in wav files and in black videos; and memory in use."""

import subprocess
import wave
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch

from mimaface.mimaface_core.audio.speech import SAMPLE_RATE
from mimaface.mimaface_core.media import VideoWriter

CLICK_INTERVAL = 10  # seconds from one to the next, the first at half a second


def ffmpeg(*arguments, **more):
    """Run ffmpeg."""
    program = imageio_ffmpeg.get_ffmpeg_exe()
    more = {"stdin": subprocess.DEVNULL, **more}
    return subprocess.run([program, "-y", *map(str, arguments)], check=True, capture_output=True, text=True, **more)


def murmur(seconds, rate=SAMPLE_RATE, channels=1, level=0.1, seed=0):
    """Noise in syllables, as loud in every channel; [C, T]."""
    random = np.random.default_rng(seed)
    count = round(seconds * rate)
    loud = np.clip(np.sin(np.arange(count) * 6 * np.pi / rate), 0, 1)
    wave = level * loud * random.standard_normal(count)
    return torch.from_numpy(np.repeat(wave[None].clip(-1, 1), channels, 0)).float()


def clicking(seconds, rate):
    """A short burst every `CLICK_INTERVAL` seconds; [T]."""
    wave, burst = np.zeros(round(seconds * rate), np.float32), round(0.004 * rate)
    for start in np.arange(0.5, seconds - 1, CLICK_INTERVAL):
        time = np.arange(burst) / rate
        first = round(start * rate)
        wave[first : first + burst] = 0.8 * np.sin(12566 * time) * np.hanning(burst)
    return torch.from_numpy(wave)


def lateness(wave, rate):
    """Delay in seconds of each click of `clicking` in a waveform [T]."""
    delays = []
    for start in np.arange(0.5, len(wave) / rate - 1, CLICK_INTERVAL):
        first = round((start - 0.05) * rate)
        power = wave[first : first + round(0.1 * rate)].numpy().astype(float) ** 2
        centre = (power * np.arange(len(power))).sum() / power.sum()
        delays.append((first + centre) / rate - start - 0.002)
    return np.array(delays)


def save(path, waveform, rate):
    """Write a 16-bit wav file of a waveform [C, T]; returns its path."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(waveform))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((waveform.T * 32767).round().clamp(-32768, 32767).numpy().astype("<i2").tobytes())
    return path


def whole(speech, normalised=False):
    """All samples of speech, [T]."""
    return torch.cat(list(speech.blocks(normalised)))


def write_black(path, seconds, audio, format="mp4", fps=25):
    """Write a black video with audio; returns its path."""
    frame = torch.zeros(16, 16, 3, dtype=torch.uint8)
    with VideoWriter(path, fps, format, audio=audio) as writer:
        for _ in range(round(seconds * fps)):
            writer.write(frame)
    return writer.path


def peak_memory():
    """Maximum memory of this process, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def restart_peak_memory():
    """Start a new maximum; returns it."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()


counts_memory = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="reads the memory in use from /proc"
)
