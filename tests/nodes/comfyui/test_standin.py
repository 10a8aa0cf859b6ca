"""The stand-in for ComfyUI's schema: it describes nodes as the recorded ComfyUI does, and the record is up to date."""

import pytest
import torch
from support.comfyui_server import COMFYUI
from support.object_info import comparable, differences, read_record, reported_by_comfyui, reported_here

from mimaface.mimaface_core import host
from mimaface.nodes.comfyui.schema import io, ui
from mimaface.nodes.comfyui.standin.node import HiddenHolder

AGAIN = "run tools/record_object_info.py with a ComfyUI where a node has changed, else mend the stand-in"


def test_ids_used_twice_are_refused():
    schema = io.Schema(node_id="Twice", inputs=[io.Int.Input("a")], outputs=[io.Int.Output("a")])
    with pytest.raises(ValueError, match="unique"):
        schema.validate()


def test_images_and_text_are_previewed(tmp_path):
    with host.use(host.Host(temp=tmp_path)):
        shown = ui.PreviewImage(torch.zeros(2, 4, 4, 3)).as_dict()
    assert [entry["type"] for entry in shown["images"]] == ["temp", "temp"]
    assert ui.PreviewText("done").as_dict() == {"text": ("done",)}


def test_a_misspelt_hidden_value_is_an_error():
    with pytest.raises(AttributeError):
        HiddenHolder().extra_pnginf  # noqa: B018


def test_nodes_are_described_as_comfyui_describes_them(tmp_path):
    _, nodes = read_record()
    assert sorted(differences(nodes, reported_here(tmp_path))) == [], AGAIN


def test_a_difference_is_reported_by_its_path():
    _, nodes = read_record()
    changed = {**nodes, "ToyFail": nodes["ToyFail"] | {"category": "toys", "price": 1}}
    del changed["ToyMake"]
    lines = sorted(differences(nodes, changed))
    assert [line.split()[0] for line in lines] == ["ToyFail.category", "ToyFail.price", "ToyMake"]


def test_both_notations_of_comfyui_compare_as_equal():
    """V1 nodes leave out what is empty, and write options in the place of the type."""
    rest = {"output": ["IMAGE"], "description": "Ours.", "python_module": "nodes"}
    old = {"input": {"required": {"a": [["x", "y"], {}], "b": ["IMAGE"]}, "hidden": {"prompt": "PROMPT"}}} | rest
    new = {"input": {"required": {"a": ["COMBO", {"multiselect": False, "options": ["x", "y"]}], "b": ["IMAGE", {}]},
                     "hidden": {"prompt": ["PROMPT"]}},
           "output_tooltips": [None], "deprecated": False, "experimental": False, "api_node": False} | rest  # fmt: skip
    assert comparable(old) == comparable(new | {"description": "Theirs.", "python_module": None})


@pytest.mark.skipif(not COMFYUI, reason="set COMFYUI_DIR to a ComfyUI folder to compare with it")
def test_comfyui_reports_what_is_recorded(tmp_path):
    recorded_version, nodes = read_record()
    version, reported = reported_by_comfyui(tmp_path)
    lines = list(differences(nodes, reported))
    if version != recorded_version:  # another version may report more, which the stand-in need not
        lines = [line for line in lines if "is not recorded" not in line]
    assert sorted(lines) == []
