"""Fit for the registry: its metadata, folders of any name, every Python from 3.10 on."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from support.checkout import ROOT, tracked
from support.comfyui_server import COMFYUI, PYTHON

SHIPPED = [
    ROOT / "__init__.py",
    *(path for top in ("mimaface_core", "nodes") for path in sorted((ROOT / top).rglob("*.py"))),
]
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
UNPINNED = {"torch", "torchvision", "torchaudio", "numpy"}
inside_comfyui = pytest.mark.skipif(not COMFYUI, reason="set COMFYUI_DIR to a ComfyUI folder to test inside it")


# --- metadata of the registry


def test_the_project_has_what_the_registry_asks_for():
    tomllib = pytest.importorskip("tomllib")  # from Python 3.11 on
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project, comfy = content["project"], content["tool"]["comfy"]
    assert re.fullmatch(r"[a-z][a-z0-9]*([-_.][a-z0-9]+)*", project["name"]) and "comfyui" not in project["name"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"])
    assert project["description"] and project["urls"]["Repository"].startswith("https://github.com/")
    assert comfy["PublisherId"] and comfy["DisplayName"] and comfy["requires-comfyui"].startswith(">=")
    assert project["requires-python"] == f">={PYTHONS[0]}"
    name = comfy["Icon"].removeprefix(
        project["urls"]["Repository"].replace("github.com", "raw.githubusercontent.com") + "/main/"
    )
    with Image.open(ROOT / name) as icon:
        assert icon.format == "PNG" and icon.width == icon.height <= 400
    pinned = re.compile(r"[=<~!]=|<|===")
    assert not [line for line in project["dependencies"] if pinned.search(line)]


def test_requirements_leave_comfyuis_own_packages_alone():
    lines = [
        line for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
    ]
    assert lines and all(re.fullmatch(r"[a-z][a-z0-9-]*", line) for line in lines)
    assert not UNPINNED.intersection(lines)


def test_the_published_folders_are_all_that_the_nodes_need():
    ignored = (ROOT / ".comfyignore").read_text(encoding="utf-8").splitlines()[1:]
    assert all((ROOT / folder).is_dir() for folder in ignored)
    needed = {
        "__init__.py",
        "mimaface_core",
        "nodes",
        "web",
        "locales",
        "workflows",
        "subgraphs",
        "docs",
        "assets",
        "LICENSE",
    }
    assert not needed.intersection(folder.rstrip("/") for folder in ignored)


def test_nothing_shipped_runs_text_as_code_or_installs_packages():
    for path in SHIPPED:
        text = path.read_text(encoding="utf-8")
        called = {
            node.func.id
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not called & {"eval", "exec", "__import__"}, path
        assert not re.search(r"""["']pip["']|ensurepip""", text), path


def test_nothing_requires_insightface():
    for path in (*SHIPPED, ROOT / "pyproject.toml", ROOT / "requirements.txt"):
        assert not re.search("insightface|onnxruntime", path.read_text(encoding="utf-8")), path


@inside_comfyui
def test_comfyui_reads_the_project():
    code = (
        "import json, sys; sys.path.insert(0, '.')\n"
        "from comfy_config.config_parser import extract_node_configuration\n"
        f"print(json.dumps(extract_node_configuration({str(ROOT)!r}).model_dump()))"
    )
    done = subprocess.run([PYTHON, "-B", "-c", code], cwd=COMFYUI, capture_output=True, text=True, check=True)
    read = json.loads(done.stdout.splitlines()[-1])
    assert read["project"]["license"]["text"] == "Apache-2.0" and read["tool_comfy"]["display_name"] == "MIMAFace"
    assert read["project"]["supported_os"] == ["OS Independent"]
    assert read["project"]["supported_accelerators"] == ["GPU :: NVIDIA CUDA"]


EXTRA = """
import sys; sys.path.insert(0, ".")
from comfy.cli_args import args; args.cpu = True
import folder_paths, pathlib
from utils.extra_config import load_extra_path_config
home, file, root = map(pathlib.Path, sys.argv[1:])
folder_paths.models_dir = str(home)
load_extra_path_config(str(file))
import importlib.util
spec = importlib.util.spec_from_file_location("pack", root / "__init__.py", submodule_search_locations=[str(root)])
module = sys.modules["pack"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from pack.nodes.comfyui.host import ComfyUIHost
print(*ComfyUIHost().models_folders(), sep="\\n")
"""


@inside_comfyui
def test_comfyuis_extra_model_paths_are_honoured(tmp_path):
    config = tmp_path / "extra_model_paths.yaml"
    config.write_text(f"mine:\n  base_path: {tmp_path}\n  mimaface: other/packs\n", encoding="utf-8")
    command = [PYTHON, "-B", "-c", EXTRA, str(tmp_path / "models"), str(config), str(ROOT)]
    done = subprocess.run(command, cwd=COMFYUI, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {str(tmp_path / "models/mimaface"), str(tmp_path / "other/packs")} <= set(done.stdout.splitlines())


# --- pitfalls


def test_every_pitfall_names_an_existing_test():
    lines = (ROOT / "docs" / "pitfalls.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]
    assert len(rows) >= 16 and all(len(row) == 3 and all(row) for row in rows)
    for pitfall, _, tests_cell in rows:
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", tests_cell)
        assert named, pitfall
        for file, name in named:
            tests = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8")).body
            assert name in {node.name for node in tests if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"


# --- any folder's name

# the machine's speed is taken beside each load, and as that in time of the processor, since other work slows both
LOAD = f"""
import importlib, importlib.util, sys, time
sys.path.append({str(ROOT / "tests")!r})
from support.machine import slower
import torch  # ComfyUI has imported it before any custom node
import asyncio, PIL.Image, numpy
for path in sys.argv[1:]:
    name = path.replace(".", "_x_")  # as ComfyUI names the module
    start = time.process_time()
    spec = importlib.util.spec_from_file_location(name, path + "/__init__.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    nodes = importlib.import_module(name + ".nodes")
    asyncio.run(nodes.MIMAFaceExtension().get_node_list())
    schemas = [node.GET_SCHEMA() for node in nodes.NODES]
    seconds = time.process_time() - start
    pack = importlib.import_module(name + ".mimaface_core.packs.find").find_pack("bundled", [])
    assert pack.name == "bundled" and len(schemas) == len(nodes.NODES)
    heavy = "diffusers transformers mediapipe cv2 insightface torchvision skimage matplotlib mimaface".split()
    unwanted = set(heavy).intersection(key.split(".")[0] for key in sys.modules)
    print(seconds, slower(time.process_time), *unwanted)
"""


def test_it_loads_at_once_from_a_folder_of_any_name(tmp_path):
    names = ["ComfyUI-MIMAFace", "my nodes-v1.0 (copy)", "comfyui.mimaface", "人脸"]
    for name in names:
        (tmp_path / name).symlink_to(ROOT, target_is_directory=True)
    command = [sys.executable, "-B", "-c", LOAD, *(str(tmp_path / name) for name in names)]
    environment = os.environ | {"PYTHONPATH": "", "PYTHONUTF8": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        seconds, times_slower, *unwanted = line.split()
        assert float(seconds) < float(times_slower) and not unwanted, line
    assert len(done.stdout.splitlines()) == len(names)


# --- every Python

COMPILE = """
import sys
assert "%d.%d" % sys.version_info[:2] == sys.argv[1]
for path in sys.stdin.read().splitlines():
    with open(path, encoding="utf-8") as file:
        compile(file.read(), path, "exec")
"""


def interpreter(version):
    """A Python of that version, or None: on the PATH, or one that pyenv keeps."""
    pyenv = sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/python"))
    for python in (f"python{version}", *map(str, pyenv)):
        try:
            done = subprocess.run(
                [python, "-c", COMPILE, version], input="", capture_output=True, text=True, check=False
            )
        except OSError:
            continue
        if done.returncode == 0:
            return python
    return None


@pytest.mark.parametrize("version", PYTHONS)
def test_every_python_compiles_every_file(version):
    files = [str(ROOT / path) for path in tracked() if path.endswith(".py") and (ROOT / path).is_file()]
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    done = subprocess.run(
        [python, "-W", "error", "-c", COMPILE, version],
        input="\n".join(files),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_no_file_is_written_in_the_grammar_of_a_newer_python():
    for path in SHIPPED:
        ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=(3, 10))
