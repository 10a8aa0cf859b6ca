"""Project rules: a fast import, small weights, and documents that are true."""

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from support.machine import slower

from mimaface.nodes import NODES

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "mimaface_core"
UNTRACKED = ("checkpoints/", "latents/", "custom_nodes/", "data/")  # folders that users make
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def test_comfyui_imports_the_root_at_once_and_without_models(tmp_path):
    code = (
        "import sys, time, importlib.util\n"
        "start = time.perf_counter()\n"
        f"spec = importlib.util.spec_from_file_location('node_pack', {str(ROOT / '__init__.py')!r},"
        f" submodule_search_locations=[{str(ROOT)!r}])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['node_pack'] = module\n"
        "spec.loader.exec_module(module)\n"
        "print(time.perf_counter() - start, *[m for m in sys.modules if m.split('.')[0] in"
        " ('torch', 'diffusers', 'transformers', 'mediapipe', 'cv2', 'av')])\n"
        "import torch\n"
        "import node_pack.nodes\n"
        "print(*[m for m in sys.modules if m.split('.')[0] in ('diffusers', 'transformers', 'mediapipe', 'cv2')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    first, second = done.stdout.split("\n")[:2]
    seconds, *heavy = first.split()
    assert float(seconds) < slower() and heavy == [] and second == ""


def test_the_bundled_pack_is_small_enough_to_be_carried():
    pack = CORE / "packs" / "bundled"
    files = json.loads((pack / "manifest.json").read_text(encoding="utf-8"))
    named = {part["file"] for part in files.values() if isinstance(part, dict) and "file" in part}
    weights = list(ROOT.glob("mimaface_core/**/*.safetensors"))
    assert named == {path.name for path in pack.glob("*.safetensors")}
    assert sum(path.stat().st_size for path in weights) <= 40e6


def test_the_demo_has_its_clip():
    from mimaface.cli.demo import DRIVER, GRAPH
    from mimaface.mimaface_core.media.read import Clip

    clip = Clip.open(DRIVER)
    assert (clip.width, clip.height, clip.fps, clip.frames) == (512, 512, 25, 100)
    assert DRIVER.stat().st_size <= 400_000
    assert (ROOT / "workflows" / "api" / f"{GRAPH}.json").is_file()


def test_the_score_of_the_demo_begins_and_ends_at_rest():
    from mimaface.mimaface_core.training.people.demo_driver import FRAMES, demo_performance

    acted = demo_performance()
    assert acted.expression.shape == (FRAMES, 64) and acted.angles[0].abs().max() == 0
    assert (acted.gaze[0] == 0).all() and (acted.gaze[-1] == 0).all()
    assert (acted.expression[-1] - acted.expression[0]).abs().max() < 0.1


# --- the README

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    named = set(re.findall(r"\bmake (\w+)", README + (ROOT / ".ci" / "run").read_text(encoding="utf-8")))
    assert {"demo", "test", "lint"} <= named <= targets
    for variable in re.findall(r"\bmake \w+ (\w+)=", README):
        assert re.search(rf"^{variable} \?=", makefile, re.MULTILINE)


def test_the_readme_lists_every_node_as_it_is():
    rows = dict(re.findall(r"^\| ([\w ]+) \(`(MIMAFace\w+)`\)", README, re.MULTILINE))
    schemas = [node.GET_SCHEMA() for node in NODES]
    assert rows == {schema.display_name.removesuffix(" (MIMAFace)"): schema.node_id for schema in schemas}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_links_of_a_document_lead_to_files_and_headings(document):
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        path, _, heading = link.partition("#")
        target = document.parent / path if path else document
        assert "://" in link or target.exists(), link
        if heading and target.suffix == ".md":
            assert heading in headings(target), link


def headings(document):
    """The anchors that GitHub gives to a document's headings."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", ["ARCHITECTURE", "training"])
def test_paths_in_a_document_exist(name):
    text = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    for path in re.findall(r"`([\w./]+/(?:\w+\.\w+)?)[`:]", text):
        places = (ROOT / path, CORE / path)
        assert any(place.exists() for place in places) or path.startswith(UNTRACKED), path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_nothing_in_a_document_is_left_to_fill_in(document):
    assert "{{" not in document.read_text(encoding="utf-8")


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 170


def test_diagrams_are_those_of_the_script():
    script = runpy.run_path(str(ROOT / "tools" / "draw_diagrams.py"))
    for name in ("nodes", "dataflow"):
        drawn = (ROOT / "docs" / f"{name}.svg").read_text(encoding="utf-8")
        assert drawn == script[name]().svg(), "run `python tools/draw_diagrams.py`"


def test_the_registry_finds_what_it_needs():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert (ROOT / re.search(r'^Icon = "\S+/main/(\S+)"', project, re.MULTILINE)[1]).is_file()
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    names = {
        re.split(r"[<>=]", line)[0] for line in project.split("dependencies = [")[1].split("]")[0].split('"')[1::2]
    }
    listed = {line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")}
    assert listed == names - {"torch", "numpy"}
