"""Workflows as ComfyUI's page saves them: converted like the page does, or refused with the way to export them."""

import json

import pytest

from mimaface.headless.graph import ROOT, SHIPPED, load_graph
from mimaface.headless.node_classes import node_classes, object_info
from mimaface.mimaface_core.errors import InputError

INFOS = object_info(node_classes())


@pytest.mark.parametrize("name", [path.stem for path in SHIPPED.glob("*.json")])
def test_a_shipped_workflow_is_the_shipped_graph(name):
    converted = load_graph(ROOT / "workflows" / f"{name}.json", INFOS)
    assert converted == load_graph(SHIPPED / f"{name}.json")


def node(number, kind, links=(), values=(), mode=0, outputs=("IMAGE",)):
    inputs = [{"name": name, "type": "IMAGE", "link": link} for name, link in links]
    return {
        "id": number,
        "type": kind,
        "mode": mode,
        "inputs": inputs,
        "outputs": [{"type": one} for one in outputs],
        "widgets_values": list(values),
    }


def workflow(tmp_path, middle, **more):
    nodes = [node(1, "LoadImage", values=["a.png", "image"]), middle, node(3, "SaveImage", [("images", 8)], ["x"])]
    data = {"nodes": nodes, "links": [[7, 1, 0, 2, 0, "IMAGE"], [8, 2, 0, 3, 0, "IMAGE"]], **more}
    (tmp_path / "w.json").write_text(json.dumps(data))
    return tmp_path / "w.json"


@pytest.mark.parametrize(
    ("middle", "arrives"),
    [
        (node(2, "Reroute", [("", 7)]), ["1", 0]),
        (node(2, "AnyFilter", [("image", 7)], mode=4), ["1", 0]),
        (node(2, "AnyFilter", [("image", 7)], mode=2), None),
        (node(2, "AnyFilter", [("image", 7)]), ["2", 0]),
    ],
)
def test_reroutes_and_bypassed_nodes_hand_on_and_muted_ones_do_not(tmp_path, middle, arrives):
    graph = load_graph(workflow(tmp_path, middle), INFOS)
    assert graph["3"].inputs.get("images") == arrives
    assert graph["3"].inputs["filename_prefix"] == "x" and graph["1"].inputs == {"image": "a.png"}


def test_what_cannot_be_converted_is_refused_with_the_way_to_export_it(tmp_path):
    subgraph = workflow(tmp_path, node(2, "uuid"), definitions={"subgraphs": [{"id": "uuid"}]})
    with pytest.raises(InputError, match=r"has subgraphs.*Workflow > Export \(API\)"):
        load_graph(subgraph, INFOS)
    endless = '{"nodes": [], "links": [[1, 1, 1e999, 2, 0]]}'
    for spoilt in ('{"nodes": [1]}', '{"nodes": [{"id": 1}]}', '{"nodes": []}', '{"nodes": [], "links": [5]}', endless):
        (tmp_path / "w.json").write_text(spoilt)
        with pytest.raises(InputError, match=r"Workflow > Export \(API\)"):
            load_graph(tmp_path / "w.json", INFOS)
