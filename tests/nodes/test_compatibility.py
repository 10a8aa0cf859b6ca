"""Saved workflows go on working: no node may change in a way that would break one."""

import json
from copy import deepcopy
from pathlib import Path

import pytest
from support import compatibility
from support.compatibility import COMMAND, breaks, schemas

from mimaface.nodes import NODES
from mimaface.nodes.comfyui.schema import io

ROOT = Path(__file__).resolve().parents[2]


def test_no_saved_workflow_breaks():
    problems = breaks(compatibility.recorded(), schemas(NODES))
    assert not problems, "\n".join(["saved workflows would break; migrate them first:", *problems])


def test_the_record_is_up_to_date():
    assert compatibility.recorded() == schemas(NODES), f"nothing breaks, but run `{COMMAND}`"


def test_the_record_depends_on_no_files_of_the_machine():
    entries = {node: {i["name"]: i for i in entry["inputs"]} for node, entry in compatibility.recorded().items()}
    assert entries["MIMAFaceLoadPack"]["pack"]["options"] == ["bundled", "bundled-implicit"]
    assert entries["MIMAFaceLoadMotion"]["motion"]["options"] == []


def test_the_record_agrees_with_workflows_that_the_page_saves():
    """As many widget values, and the outputs, of every node in the shipped workflows."""
    seen = set()
    for path in (ROOT / "workflows").glob("*.json"):
        for node in json.loads(path.read_text(encoding="utf-8"))["nodes"]:
            if (entry := compatibility.recorded().get(node["type"])) is None:
                continue
            seen.add(node["type"])
            values = sum(i.get("widget_values", 0) for i in entry["inputs"])
            assert len(node.get("widgets_values", [])) == values, (path.name, node["type"])
            assert [output["type"] for output in node["outputs"]] == entry["outputs"], path.name
    assert len(seen) > 5


# --- the check itself, on a toy


def toy(inputs=None, outputs=None, output_node=True, node_id="Toy"):
    """The schema of a small node, as it is recorded."""

    class Node(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema(
                node_id=node_id,
                display_name="Toy",
                category="toys",
                inputs=list((USUAL if inputs is None else inputs).values()),
                outputs=[io.Video.Output(), io.Mask.Output()] if outputs is None else outputs,
                is_output_node=output_node,
            )

        @classmethod
        def execute(cls, **values):
            return io.NodeOutput()

    return schemas([Node])


USUAL = {
    "frames": io.MultiType.Input("frames", types=[io.Video, io.Image]),
    "steps": io.Int.Input("steps", default=20, min=1, max=100),
    "mode": io.Combo.Input("mode", options=["slow", "fast"], default="slow"),
    "name": io.String.Input("name", default="a"),
    "strength": io.Float.Input("strength", default=1.0, min=0.0, max=2.0, optional=True),
}
EXTRA = {
    "needed": io.Int.Input("needed", min=0, max=9),
    "given": io.Int.Input("given", default=3, min=0, max=9),
    "mask": io.Mask.Input("mask"),
}
OPTIONAL = {
    "late": io.Int.Input("late", default=3, min=0, max=9, optional=True),
    "sound": io.Audio.Input("sound", optional=True),
}


def without(*names):
    return {name: slot for name, slot in USUAL.items() if name not in names}


def order(*names):
    return {name: ({**USUAL, **EXTRA, **OPTIONAL})[name] for name in names}


BREAKING = {
    "renamed": (
        toy(without("strength") | {"power": io.Float.Input("power", optional=True)}),
        [
            "Toy.strength: the input is gone or has another name",
            "Toy.strength: the order of the widgets changed: power",
        ],
    ),
    "removed": (toy(without("name")), ["Toy.name: the input is gone", "Toy.name: the order"]),
    "retyped": (
        toy(USUAL | {"steps": io.Float.Input("steps", default=20, min=1, max=100)}),
        ["Toy.steps: no longer takes INT"],
    ),
    "fewer types": (toy(USUAL | {"frames": io.Video.Input("frames")}), ["Toy.frames: no longer takes IMAGE"]),
    "a socket more": (toy(USUAL | order("mask")), ["Toy.mask: a new required input without a default"]),
    "needed": (
        toy(order(*without("strength"), "needed", "strength")),
        ["Toy.needed: a new required input without", "Toy.strength: the order"],
    ),
    "given": (
        toy(order(*without("strength"), "given", "strength")),
        ["Toy.given: a new required input, which", "Toy.strength: the order"],
    ),
    "between": (
        toy(order(*without("strength"), "late", "strength")),
        ["Toy.strength: the order of the widgets changed: late"],
    ),
    "order": (
        toy(order("frames", "mode", "steps", "name", "strength")),
        ["Toy.steps: the order of the widgets changed: mode"],
    ),
    "control": (
        toy(USUAL | {"steps": io.Int.Input("steps", default=20, min=1, max=100, control_after_generate=True)}),
        ["Toy.mode: the order of the widgets changed: steps"],
    ),
    "option": (
        toy(USUAL | {"mode": io.Combo.Input("mode", options=["slow"])}),
        ["Toy.mode: options are gone: fast"],
    ),
    "required": (
        toy(USUAL | {"strength": io.Float.Input("strength", default=1.0, min=0.0, max=2.0)}),
        ["Toy.strength: was optional and is required now"],
    ),
    "below the default": (
        toy(USUAL | {"steps": io.Int.Input("steps", default=5, min=1, max=10)}),
        ["Toy.steps: the range is narrower: max was 100 and is 10, beyond the recorded default 20"],
    ),
    "range": (
        toy(USUAL | {"steps": io.Int.Input("steps", default=20, min=2, max=100)}),
        ["Toy.steps: the range is narrower: min was 1 and is 2"],
    ),
    "an output gone": (toy(outputs=[io.Video.Output()]), ["Toy: output 1 was MASK and is nothing now"]),
    "outputs in another order": (
        toy(outputs=[io.Mask.Output(), io.Video.Output()]),
        ["Toy: output 0 was VIDEO and is MASK now", "Toy: output 1 was MASK and is VIDEO now"],
    ),
    "no output node": (toy(output_node=False), ["Toy: is no output node any more"]),
    "another id": (toy(node_id="Toy2"), ["Toy: the node is gone"]),
}  # fmt: skip
HARMLESS = {
    "the same": toy(),
    "an option": toy(USUAL | {"mode": io.Combo.Input("mode", options=["fast", "fastest", "slow"], default="slow")}),
    "a wider range": toy(USUAL | {"steps": io.Int.Input("steps", default=30, max=200)}),
    "another type": toy(USUAL | {"frames": io.MultiType.Input("frames", types=[io.Image, io.Video, io.Mask])}),
    "an optional widget at the end": toy(USUAL | order("late")),
    "an optional socket anywhere": toy(order(*without("strength"), "sound", "strength")),
    "an output at the end": toy(outputs=[io.Video.Output(), io.Mask.Output(), io.Image.Output()]),
    "a node": toy() | toy(node_id="Other"),
}  # fmt: skip


@pytest.mark.parametrize("change", BREAKING)
def test_a_change_that_breaks_is_named(change):
    now, expected = BREAKING[change]
    problems = breaks(toy(), now)
    assert len(problems) == len(expected), problems
    assert all(line.startswith(start) for line, start in zip(problems, expected, strict=True)), problems


@pytest.mark.parametrize("change", HARMLESS)
def test_a_change_that_breaks_nothing_is_let_through(change):
    assert breaks(toy(), HARMLESS[change]) == []


def test_the_record_is_refreshed_only_where_nothing_breaks(tmp_path, monkeypatch, capsys):
    now = schemas(NODES)
    monkeypatch.setattr(compatibility, "RECORD", tmp_path / "record.json")
    older = deepcopy(now)
    del older["MIMAFaceSampleClips"]
    compatibility.RECORD.write_text(json.dumps(older))
    assert compatibility.main([]) == 0 and compatibility.recorded() == now
    older["MIMAFaceGone"] = now["MIMAFaceSampleClips"]
    compatibility.RECORD.write_text(json.dumps(older))
    assert compatibility.main([]) == 1 and compatibility.recorded() == older
    assert "MIMAFaceGone: the node is gone" in capsys.readouterr().out
    assert compatibility.main(["--break"]) == 0 and compatibility.recorded() == now
