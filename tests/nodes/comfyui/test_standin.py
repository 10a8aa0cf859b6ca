"""The stand-in for ComfyUI's schema: it describes nodes as ComfyUI does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support import toys

from mimaface.headless import builtin_nodes as stock
from mimaface.mimaface_core import host
from mimaface.nodes.comfyui.schema import io, ui


def test_ids_used_twice_are_refused():
    schema = io.Schema(node_id="Twice", inputs=[io.Int.Input("a")], outputs=[io.Int.Output("a")])
    with pytest.raises(ValueError, match="unique"):
        schema.validate()


def test_previews_take_pictures_and_text(tmp_path):
    with host.use(host.Host(temp=tmp_path)):
        shown = ui.PreviewImage(torch.zeros(2, 4, 4, 3)).as_dict()
    assert [entry["type"] for entry in shown["images"]] == ["temp", "temp"]
    assert ui.PreviewText("done").as_dict() == {"text": ("done",)}


SAME = """
import json, sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
from comfy.cli_args import args
args.cpu = True
from support import checkout, toys
from mimaface.nodes.schema import IN_COMFYUI
from mimaface.mimaface_core.graph.stock import STOCK
import nodes, comfy_extras.nodes_video as video, comfy_extras.nodes_audio as audio
assert IN_COMFYUI
theirs = {}
for cls in STOCK:
    name = cls.GET_SCHEMA().node_id
    own = getattr(video, name, None) or audio.NODE_CLASS_MAPPINGS.get(name) or nodes.NODE_CLASS_MAPPINGS[name]
    inputs = {k: {n: v[0] for n, v in g.items()} for k, g in own.INPUT_TYPES().items()}
    theirs[name] = [inputs, list(own.RETURN_TYPES), own.OUTPUT_NODE if hasattr(own, "OUTPUT_NODE") else False]
print(json.dumps([toys.infos(), theirs]))
"""


@pytest.mark.skipif("COMFYUI_DIR" not in os.environ, reason="COMFYUI_DIR is not set")
def test_the_stand_in_describes_nodes_as_comfyui_does():
    """COMFYUI_DIR: a ComfyUI folder; COMFYUI_PYTHON: the Python with its requirements (this one by default)."""
    folder, python = os.environ["COMFYUI_DIR"], os.environ.get("COMFYUI_PYTHON", sys.executable)
    done = subprocess.run(
        [python, "-c", SAME, folder, str(Path(__file__).parents[2])],
        capture_output=True, text=True, cwd=folder, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    info, theirs = json.loads(done.stdout.splitlines()[-1])
    assert info == json.loads(json.dumps(toys.infos()))
    for cls in stock.STOCK:
        inputs, returned, is_output = theirs[cls.GET_SCHEMA().node_id]
        own = cls.INPUT_TYPES()
        for group in ("required", "optional"):
            kinds_there = {n: "COMBO" if isinstance(t, list) else t for n, t in inputs.get(group, {}).items()}
            assert {n: entry[0] for n, entry in own.get(group, {}).items()} == kinds_there
        assert (cls.RETURN_TYPES, bool(cls.OUTPUT_NODE)) == (returned, bool(is_output))
