"""The Python API: the examples of docs/python.md and of the README run, and importing it costs nothing."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from support.scenes import clip, moved, needs_faces, nodding, tone, voice
from support.tracks import still

import mimaface.mimaface_core as api
from mimaface.mimaface_core.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
EXAMPLES = BLOCK.findall((ROOT / "docs" / "python.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the files that the examples name."""
    path = tmp_path_factory.mktemp("examples")
    Image.fromarray(moved(size=(320, 320))).save(path / "me.jpg")
    voice(path / "voice.wav", tone(0.2, 0.3))
    clip(path / "clip.mp4", nodding(13), audio=tone(0.2, 0.32))
    return path


@needs_faces
@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(example, folder, monkeypatch):
    monkeypatch.chdir(folder)
    exec(compile(example, "example", "exec"), {})  # noqa: S102 - the documents are ours


@needs_faces
def test_the_examples_write_what_they_promise(folder):
    from mimaface.mimaface_core.media.read import Clip

    video = Clip.open(folder / "out.mp4")
    assert (video.width, video.height, video.frames) == (320, 320, 13) and video.has_audio
    assert Clip.open(folder / "talk.mp4").has_audio
    assert Image.open(folder / "smile.png").size == (320, 320)


def test_the_readme_shows_the_first_example():
    shown = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert shown == [re.sub(r"  # .*", "", EXAMPLES[0])]


def test_names_are_imported_when_they_are_used():
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); from support import checkout\n"
        "import mimaface.mimaface_core as api\n"
        "assert 'torch' not in sys.modules and set(api.__all__) <= set(dir(api))\n"
        "assert callable(api.animate) and 'torch' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_function_is_documented():
    for name in api.__all__:
        assert getattr(api, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'anymate'"):
        _ = api.anymate


def test_wrong_values_are_refused_in_a_sentence():
    source = still(1)
    for call, sentence in (
        (lambda: api.edit(source, expression={"smirk": 0.5}), "nearest is"),
        (lambda: api.measure(api.load_pack(), [1, 2]), "cannot be a list; give a path"),
        (lambda: api.SamplerSettings(steps=1.5), "steps must be a whole number"),
        (lambda: api.SamplerSettings(guidance="x"), "guidance must be a number"),
        (lambda: api.SamplerSettings(seed=2**70), "too large"),
    ):
        with pytest.raises(InputError, match=sentence):
            call()
