"""Writes the blueprints in subgraphs/: some workflows as one node each, without loaders and notes.

`python tools/write_blueprints.py`, with any Python. ComfyUI lists the files of subgraphs/ among its nodes, by name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "subgraphs"
LOADERS = ("LoadImage", "LoadVideo", "LoadAudio")
NOTES = ("Note", "MarkdownNote")
INPUT_ID, OUTPUT_ID = -10, -20  # the front end's ids of a subgraph's own input and output node
ROW, MARGIN, WIDTH = 20, 24, 140  # of these two nodes, pixels
GAP = 100  # between them and the others, pixels


class Blueprint(NamedTuple):
    """A workflow as one node.

    Attributes:
        workflow: its name.
        description: text in ComfyUI's list of nodes.
        aliases: words that find it there.
        widgets: those that show on the node, as (title of the inner node, widget).
    """

    workflow: str
    description: str
    aliases: tuple[str, ...]
    widgets: tuple[tuple[str, str], ...]


BLUEPRINTS = {
    "MIMAFace Reenact": Blueprint(
        "reenact_video",
        "A video drives a photograph: head, expression and gaze, with the video's audio. Writes the face and the full"
        " image.",
        ("face reenactment", "portrait animation", "talking head"),
        tuple(("retarget", name) for name in ("mode", "neutral_frame", "pose", "expression", "gaze", "travel"))
        + (("sampler", "seed"), ("pack", "pack")),
    ),
    "MIMAFace Talk": Blueprint(
        "talk",
        "A photograph speaks with a voice: lips, nods, glances and blinks. Writes the face and the full image.",
        ("lip sync", "audio to video", "talking head"),
        tuple(("speech", name) for name in ("style", "lips", "pose", "blinks", "seed")) + (("pack", "pack"),),
    ),
    "MIMAFace Talk Realtime": Blueprint(
        "talk_realtime",
        "A photograph speaks with a voice, without diffusion: each part of the face can be calmer or livelier. Writes"
        " the face and the full image.",
        ("lip sync", "audio to video", "real time"),
        tuple(("speech", name) for name in ("head", "mouth", "eyes", "brows", "rest", "seed")) + (("pack", "pack"),),
    ),
    "MIMAFace Edit": Blueprint(
        "edit_face",
        "Head, expression and gaze of a photograph by hand. Writes the face and the full image.",
        ("expression editor", "face editing", "portrait"),
        tuple(
            ("edit", name)
            for name in ("yaw", "pitch", "roll", "mouth_open", "smile", "brows", "blink_right", "blink_left")
        )
        + (("edit", "gaze_x"), ("edit", "gaze_y"), ("sampler", "seed"), ("pack", "pack")),
    ),
    "MIMAFace Keyframes": Blueprint(
        "keyframes",
        "Head, expression and gaze of a photograph by keyframes. Writes the face and the full image.",
        ("timeline", "face animation", "portrait"),
        (("keyframes", "seconds"), ("sampler", "seed"), ("pack", "pack")),
    ),
    "MIMAFace Mix": Blueprint(
        "mix_driver_and_hand",
        "A video drives a photograph, and a change made by hand is laid over it. Writes the face and the full image.",
        ("expression editor", "face reenactment"),
        tuple(("mix", name) for name in ("driver_head", "driver_mouth", "hand_head", "hand_mouth", "start", "end"))
        + (("sampler", "seed"), ("pack", "pack")),
    ),
}
RESULTS = ("full", "video")  # titles of the inner nodes whose videos are the outputs


def blueprint_file(name: str, blueprint: Blueprint) -> dict:
    """The file of a blueprint, in the front end's format for published subgraphs."""
    ui, values = _read(blueprint.workflow)
    inner = {node["title"]: node for node in ui["nodes"] if node["type"] not in (*LOADERS, *NOTES)}
    links, inputs, outputs = _wire(blueprint, ui, inner)
    own_id = str(uuid5(NAMESPACE_URL, f"mimaface/{blueprint.workflow}"))
    about = {"BlueprintDescription": blueprint.description, "BlueprintSearchAliases": list(blueprint.aliases)}
    node = {
        "id": 1,
        "type": own_id,
        "pos": [0, 0],
        "size": [300, 26 * (len(inputs) + 1)],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": inputs,
        "outputs": outputs,
        "title": name,
        "properties": {"cnr_id": "mimaface"},
        "widgets_values": [values[title][widget] for title, widget in blueprint.widgets],
    }
    subgraph = {
        "id": own_id,
        "version": 1,
        "state": {
            "lastGroupId": max(group["id"] for group in ui["groups"]),
            "lastNodeId": ui["last_node_id"],
            "lastLinkId": len(links),
            "lastRerouteId": 0,
        },
        "revision": 0,
        "config": {},
        "name": name,
        "description": blueprint.description,
        "category": "MIMAFace",
        **_edges(own_id, list(inner.values()), links, inputs, outputs),
        "widgets": [],
        "nodes": list(inner.values()),
        "groups": [group for group in ui["groups"] if any(_inside(node, group) for node in inner.values())],
        "links": links,
        "extra": about,
    }
    return {
        "id": str(uuid5(NAMESPACE_URL, f"mimaface/{blueprint.workflow}/blueprint")),
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [node],
        "links": [],
        "groups": [],
        "definitions": {"subgraphs": [subgraph]},
        "config": {},
        "extra": about,
        "version": 0.4,
    }


def _edges(own_id: str, nodes: list[dict], links: list[dict], inputs: list[dict], outputs: list[dict]) -> dict:
    """The subgraph's own input and output node, left and right of the others, and their sockets."""
    left = min(node["pos"][0] for node in nodes) - WIDTH - GAP
    right = max(node["pos"][0] + node["size"][0] for node in nodes) + GAP
    starts = [(link["origin_id"], link["origin_slot"], link["id"]) for link in links]
    ends = [(link["target_id"], link["target_slot"], link["id"]) for link in links]
    return {
        "inputNode": {"id": INPUT_ID, "bounding": [left, 0, WIDTH, ROW * len(inputs) + 2 * MARGIN]},
        "outputNode": {"id": OUTPUT_ID, "bounding": [right, 0, WIDTH, ROW * len(outputs) + 2 * MARGIN]},
        "inputs": _sockets(own_id, inputs, starts, INPUT_ID),
        "outputs": _sockets(own_id, outputs, ends, OUTPUT_ID),
    }


def _read(workflow: str) -> tuple[dict, dict[str, dict]]:
    """A workflow in the front end's format, and the values of its nodes by title."""
    ui, api = (
        json.loads((ROOT / "workflows" / folder / f"{workflow}.json").read_text(encoding="utf-8"))
        for folder in ("", "api")
    )
    return ui, {node["_meta"]["title"]: node["inputs"] for node in api.values()}


def _wire(blueprint: Blueprint, ui: dict, inner: dict[str, dict]) -> tuple[list[dict], list[dict], list[dict]]:
    """Links, inputs and outputs of a subgraph; its first inputs replace the loaders, its others are widgets."""
    loaders = [node for node in ui["nodes"] if node["type"] in LOADERS]
    slots = {node["id"]: slot for slot, node in enumerate(loaders)}
    links = [
        _link(number, INPUT_ID if origin in slots else origin, slots.get(origin, slot), target, socket, kind)
        for number, origin, slot, target, socket, kind in ui["links"]
    ]
    inputs = [{"name": node["title"], "type": node["outputs"][0]["type"], "link": None} for node in loaders]
    for title, widget in blueprint.widgets:
        node, number = inner[title], len(links) + 1
        socket = [entry["name"] for entry in node["inputs"]].index(widget)
        entry = node["inputs"][socket]
        entry["link"] = number
        links.append(_link(number, INPUT_ID, len(inputs), node["id"], socket, entry["type"]))
        inputs.append({"name": widget, "type": entry["type"], "widget": {"name": widget}, "link": None})
    outputs = []
    for title in RESULTS:
        number, output = len(links) + 1, inner[title]["outputs"][0]
        output["links"] = [number]
        links.append(_link(number, inner[title]["id"], 0, OUTPUT_ID, len(outputs), output["type"]))
        outputs.append({"name": title, "type": output["type"], "links": []})
    return links, inputs, outputs


def _link(number: int, origin: int, origin_slot: int, target: int, target_slot: int, kind: str) -> dict:
    return {
        "id": number,
        "origin_id": origin,
        "origin_slot": origin_slot,
        "target_id": target,
        "target_slot": target_slot,
        "type": kind,
    }


def _sockets(own_id: str, shown: list[dict], ends: list[tuple[int, int, int]], edge_id: int) -> list[dict]:
    """A subgraph's inputs or outputs, each with the links at it; `ends` are (node, slot, link)."""
    return [
        {
            "id": str(uuid5(NAMESPACE_URL, f"{own_id}/{edge_id}/{entry['name']}")),
            "name": entry["name"],
            "type": entry["type"],
            "linkIds": [link for node, at, link in ends if (node, at) == (edge_id, slot)],
        }
        for slot, entry in enumerate(shown)
    ]


def _inside(node: dict, group: dict) -> bool:
    x, y, width, height = group["bounding"]
    return x <= node["pos"][0] < x + width and y <= node["pos"][1] < y + height


def text(name: str) -> str:
    """The text of a blueprint's file."""
    return json.dumps(blueprint_file(name, BLUEPRINTS[name]), ensure_ascii=False, indent=2) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in BLUEPRINTS:
        (FOLDER / f"{name}.json").write_text(text(name), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
