"""Pictures and clips with a real face for the tests, made from the portrait that scikit-image carries."""

import importlib.util
import json
import math
import wave
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mimaface.cli import main as cli
from mimaface.mimaface_core.media.audio import Audio
from mimaface.mimaface_core.media.write import VideoWriter
from support.tiny_implicit import write_tiny_implicit
from support.tiny_pack import AUDIO, write_tiny_pack

WITHOUT = [name for name in ("skimage", "cv2") if importlib.util.find_spec(name) is None]
SIDE = 256  # pixels of the tiny pack's pictures
needs_faces = pytest.mark.skipif(bool(WITHOUT), reason=f"needs {', '.join(WITHOUT)}")


@lru_cache
def portrait():
    """The NASA portrait of Eileen Collins (public domain), uint8 [512, 512, 3]."""
    import skimage

    return skimage.data.astronaut()


@lru_cache
def portrait_source():
    """The example portrait, found and measured with the bundled face model."""
    from mimaface.mimaface_core import load_pack, measure

    return measure(load_pack(), Path(__file__).resolve().parents[2] / "assets" / "portrait.jpg")[0]


def moved(angle=0.0, scale=1.0, shift=(0, 0), size=(256, 256)):
    """The portrait's head and shoulders, turned (degrees), scaled and shifted (pixels), as uint8 [H, W, 3]."""
    import cv2

    width, height = size
    zoom = scale * min(size) / 290
    matrix = cv2.getRotationMatrix2D((225, 125), angle, zoom)
    matrix[:, 2] += np.array([width / 2 + shift[0], height * 0.45 + shift[1]]) - [225, 125]
    return cv2.warpAffine(portrait(), matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def nodding_camera(path, side=480):
    """Write the head tilting from side to side as Motion JPEG, which Chromium takes for its camera."""
    with path.open("wb") as file:
        for i in range(12):
            picture = Image.fromarray(moved(9 * math.sin(i / 2), 1, (0, 0))).resize((side, side))
            picture.save(file, "JPEG", quality=90)
    return path


def clip(path, frames, fps=25, audio=None):
    """Write uint8 frames [H, W, 3] as an mp4."""
    import torch

    with VideoWriter(path, fps, "mp4", audio=audio) as film:
        for frame in frames:
            film.write(torch.from_numpy(np.ascontiguousarray(frame)))
    return film.path


def nodding(count):
    """A head that tilts and comes nearer: `count` frames."""
    return [moved(4 * np.sin(i / 3), 1 + 0.01 * i, (i, 0)) for i in range(count)]


def noise(size=(256, 256)):
    """A picture without a face."""
    small = np.random.default_rng(0).integers(0, 255, (8, 8, 3), np.uint8)
    return np.array(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))


def tone(*seconds, rate=44100, channels=2):
    """Silence and a tone in turns, each as long as given."""
    import torch

    pieces = []
    for number, length in enumerate(seconds):
        count = round(length * rate)
        sound = 0.4 * torch.sin(torch.arange(count) * 2 * math.pi * 440 / rate)
        pieces.append(sound * (number % 2))
    return Audio(torch.cat(pieces).expand(channels, -1).clone(), rate)


def voice(path, sound):
    """Write a sound as a 16-bit WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(sound.waveform.shape[0])
        file.setsampwidth(2)
        file.setframerate(sound.sample_rate)
        file.writeframes((sound.waveform.t() * 32767).round().short().numpy().tobytes())
    return path


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory):
    """A models folder with random packs called tiny and tiny-implicit."""
    folder = tmp_path_factory.mktemp("models")
    write_tiny_implicit(folder / "tiny-implicit")
    write_tiny_pack(folder / "tiny", picture_size=SIDE, audio=AUDIO)
    return folder


@pytest.fixture
def run(tiny_models, tmp_path, monkeypatch, capsys):
    """`run(graph, *arguments)` runs the command with the tiny pack; gives exit status, files, and what was said."""
    monkeypatch.setenv("MIMAFACE_MODELS", str(tiny_models))
    monkeypatch.chdir(tmp_path)

    def go(graph, *arguments, steps=1):
        quick = ["--set", "pack.pack=tiny", "--output-dir", "out"]
        quick += ["--set", f"sampler.steps={steps}"] if steps else []
        status = cli.main(["run", graph, *quick, *arguments])
        said = capsys.readouterr()
        files = json.loads(said.out.splitlines()[-1])["outputs"] if status == 0 else []
        return status, [Path(file) for file in files], said.err

    return go


@pytest.fixture
def evaluate(tmp_path, monkeypatch, capsys):
    """`evaluate(*arguments)` runs `mimaface evaluate`; gives exit status, standard output and what was said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIMAFACE_MODELS", str(tmp_path))

    def go(*arguments):
        status = cli.main(["evaluate", *map(str, arguments)])
        said = capsys.readouterr()
        return status, said.out, said.err

    return go


def defaults(node):
    """The values a node's widgets start with."""
    return {i.id: i.default for i in node.GET_SCHEMA().inputs if getattr(i, "default", None) is not None}
