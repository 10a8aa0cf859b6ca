"""A base folder for ComfyUI with this extension in it, and a server that is started on it and stopped again.

COMFYUI_DIR names a ComfyUI folder, which is not written to; COMFYUI_PYTHON the interpreter that has its packages
(this one when it is not set); COMFYUI_FRONTEND the folder `static` of another front end than that interpreter's.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from PIL import Image

from support.checkout import ROOT
from support.scenes import SIDE, clip, moved, nodding, tone, voice
from support.tiny_implicit import write_tiny_implicit
from support.tiny_pack import AUDIO, write_tiny_pack

COMFYUI = os.environ.get("COMFYUI_DIR")
PYTHON = os.environ.get("COMFYUI_PYTHON", sys.executable)
FRONTEND = ["--front-end-root", os.environ["COMFYUI_FRONTEND"]] if "COMFYUI_FRONTEND" in os.environ else []
# the input files of the shipped graphs, and the files here that stand in for them
EXAMPLE_FILES = {
    "mimaface_portrait.jpg": "face.png",
    "mimaface_laugh.jpg": "face.png",
    "mimaface_driver.mp4": "clip.mp4",
    "mimaface_voice.ogg": "voice.wav",
}
START_SECONDS = 180  # until a server answers


def bare(base):
    """Make the folders of ComfyUI in `base`, with this extension in them."""
    for folder in ("custom_nodes", "models/mimaface", "input", "output", "temp", "user"):
        (base / folder).mkdir(parents=True)
    (base / "custom_nodes" / "ComfyUI-MIMAFace").symlink_to(ROOT, target_is_directory=True)
    return base


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with this extension, tiny packs, a portrait, a clip and a voice; these are also in its input folder."""
    base = bare(tmp_path_factory.mktemp("comfyui"))
    packs = base / "models" / "mimaface"
    write_tiny_pack(packs / "tiny", picture_size=SIDE, audio=AUDIO)
    shutil.copytree(packs / "tiny", packs / "released")
    write_tiny_implicit(packs / "tiny-implicit")
    Image.fromarray(moved(size=(320, 300))).save(base / "face.png")
    clip(base / "clip.mp4", nodding(14))
    voice(base / "voice.wav", tone(0.1, 0.2, 0.1))
    for name, file in EXAMPLE_FILES.items():
        shutil.copy(base / file, base / "input" / name)
    return base


@contextmanager
def launched(command, log, **more):
    """The address of a server whose command ends with the port, and its process; it is stopped afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with open(log, "wb") as file:
        process = subprocess.Popen([*command, str(port)], stdout=file, stderr=subprocess.STDOUT, **more)
    try:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and process.poll() is None:
            try:
                urllib.request.urlopen(f"{address}/api/system_stats", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        else:
            pytest.fail("the server did not start:\n" + log.read_text()[-4000:])
        yield address, process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def started(command, log, **more):
    """The address of a server, as `launched`, and its log."""
    with launched(command, log, **more) as (address, _):
        yield address, log


def call(base, *flags):
    """Arguments of `launched` for a ComfyUI that works in the folder `base`."""
    command = [PYTHON, "main.py", "--cpu", "--base-directory", str(base), *FRONTEND, *flags, "--disable-auto-launch"]
    command += ["--database-url", f"sqlite:///{base / 'user' / 'comfyui.db'}", "--port"]
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    return {"command": command, "log": base / "server.log", "cwd": COMFYUI, "env": environment}


def comfyui(base):
    """A ComfyUI that works in the folder `base`, as `started` gives it."""
    return started(**call(base))


def fetched(address, path):
    """The JSON that a server answers."""
    with urllib.request.urlopen(address + path, timeout=60) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def server(base):
    """The address of a running ComfyUI and its log."""
    with comfyui(base) as running:
        yield running
