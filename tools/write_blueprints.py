"""Writes subgraphs/*.json: three workflows, each as one box without its loaders and notes.

`python tools/write_blueprints.py`, with any Python. ComfyUI lists the files of subgraphs/ among its nodes, by file name.
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
BEFORE, AFTER = -10, -20  # the front end's ids of a subgraph's own input and output node
ROW, MARGIN, WIDTH = 20, 24, 140  # of these two nodes, in pixels


class Box(NamedTuple):
    """A workflow to put in a box, what is said of it, and the widgets that show on it, as (node's title, widget)."""

    workflow: str
    description: str
    aliases: tuple[str, ...]
    widgets: tuple[tuple[str, str], ...]


BOXES = {
    "MIMAFace Reenact": Box(
        "reenact_video",
        "A clip moves a photograph: head, expression and gaze, with the clip's sound. Writes the face and the whole picture.",
        ("face reenactment", "portrait animation", "talking head"),
        tuple(("retarget", name) for name in ("mode", "neutral_frame", "pose", "expression", "gaze"))
        + (("sampler", "seed"), ("pack", "pack")),
    ),
    "MIMAFace Talk": Box(
        "talk",
        "A photograph speaks with a voice: lips, nods, glances and blinks. Writes the face and the whole picture.",
        ("lip sync", "audio to video", "talking head"),
        tuple(("speech", name) for name in ("style", "lips", "pose", "blinks", "seed")) + (("pack", "pack"),),
    ),
    "MIMAFace Edit": Box(
        "edit_face",
        "Head, expression and gaze of a photograph by sliders. Writes the face and the whole picture.",
        ("expression editor", "face editing", "portrait"),
        tuple(
            ("edit", name)
            for name in ("yaw", "pitch", "roll", "mouth_open", "smile", "brows", "blink_right", "blink_left")
        )
        + (("edit", "gaze_x"), ("edit", "gaze_y"), ("sampler", "seed"), ("pack", "pack")),
    ),
}
FILES = ("full", "video")  # titles of the nodes whose videos leave the box


def blueprint(name: str, box: Box) -> dict:
    """The file of a box, as the front end publishes subgraphs."""
    ui, values = _read(box.workflow)
    inner = {node["title"]: node for node in ui["nodes"] if node["type"] not in (*LOADERS, *NOTES)}
    links, inputs, outputs = _wire(box, ui, inner)
    own = str(uuid5(NAMESPACE_URL, f"mimaface/{box.workflow}"))
    about = {"BlueprintDescription": box.description, "BlueprintSearchAliases": list(box.aliases)}
    shown = {
        "id": 1,
        "type": own,
        "pos": [0, 0],
        "size": [300, 26 * (len(inputs) + 1)],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": inputs,
        "outputs": outputs,
        "title": name,
        "properties": {"cnr_id": "mimaface"},
        "widgets_values": [values[title][widget] for title, widget in box.widgets],
    }
    left = min(node["pos"][0] for node in inner.values()) - WIDTH - 100
    right = max(node["pos"][0] + node["size"][0] for node in inner.values()) + 100
    subgraph = {
        "id": own,
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
        "description": box.description,
        "category": "MIMAFace",
        "inputNode": {"id": BEFORE, "bounding": [left, 0, WIDTH, ROW * len(inputs) + 2 * MARGIN]},
        "outputNode": {"id": AFTER, "bounding": [right, 0, WIDTH, ROW * len(outputs) + 2 * MARGIN]},
        "inputs": _sockets(
            own, inputs, [(link["origin_id"], link["origin_slot"], link["id"]) for link in links], BEFORE
        ),
        "outputs": _sockets(
            own, outputs, [(link["target_id"], link["target_slot"], link["id"]) for link in links], AFTER
        ),
        "widgets": [],
        "nodes": list(inner.values()),
        "groups": [group for group in ui["groups"] if any(_inside(node, group) for node in inner.values())],
        "links": links,
        "extra": about,
    }
    return {
        "id": str(uuid5(NAMESPACE_URL, f"mimaface/{box.workflow}/blueprint")),
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [shown],
        "links": [],
        "groups": [],
        "definitions": {"subgraphs": [subgraph]},
        "config": {},
        "extra": about,
        "version": 0.4,
    }


def _read(workflow: str) -> tuple[dict, dict[str, dict]]:
    """A workflow as the front end has it, and its nodes' values by title."""
    ui, api = (
        json.loads((ROOT / "workflows" / folder / f"{workflow}.json").read_text(encoding="utf-8"))
        for folder in ("", "api")
    )
    return ui, {node["_meta"]["title"]: node["inputs"] for node in api.values()}


def _wire(box: Box, ui: dict, inner: dict[str, dict]) -> tuple[list[dict], list[dict], list[dict]]:
    """Links inside the box, its inputs and its outputs; what loaders gave comes from its inputs."""
    loaders = [node for node in ui["nodes"] if node["type"] in LOADERS]
    slots = {node["id"]: slot for slot, node in enumerate(loaders)}
    links = [
        _link(number, BEFORE if giver in slots else giver, slots.get(giver, out), taker, socket, kind)
        for number, giver, out, taker, socket, kind in ui["links"]
    ]
    inputs = [{"name": node["title"], "type": node["outputs"][0]["type"], "link": None} for node in loaders]
    for title, widget in box.widgets:
        node, number = inner[title], len(links) + 1
        socket = [entry["name"] for entry in node["inputs"]].index(widget)
        entry = node["inputs"][socket]
        entry["link"] = number
        links.append(_link(number, BEFORE, len(inputs), node["id"], socket, entry["type"]))
        inputs.append({"name": widget, "type": entry["type"], "widget": {"name": widget}, "link": None})
    outputs = []
    for title in FILES:
        number, given = len(links) + 1, inner[title]["outputs"][0]
        given["links"] = [number]
        links.append(_link(number, inner[title]["id"], 0, AFTER, len(outputs), given["type"]))
        outputs.append({"name": title, "type": given["type"], "links": []})
    return links, inputs, outputs


def _link(number: int, giver: int, out: int, taker: int, socket: int, kind: str) -> dict:
    return {
        "id": number,
        "origin_id": giver,
        "origin_slot": out,
        "target_id": taker,
        "target_slot": socket,
        "type": kind,
    }


def _sockets(box: str, shown: list[dict], ends: list[tuple[int, int, int]], own: int) -> list[dict]:
    """The subgraph's inputs or outputs, each with the links that end at it; `ends` are (node, slot, link)."""
    return [
        {
            "id": str(uuid5(NAMESPACE_URL, f"{box}/{own}/{entry['name']}")),
            "name": entry["name"],
            "type": entry["type"],
            "linkIds": [link for node, at, link in ends if (node, at) == (own, slot)],
        }
        for slot, entry in enumerate(shown)
    ]


def _inside(node: dict, group: dict) -> bool:
    x, y, width, height = group["bounding"]
    return x <= node["pos"][0] < x + width and y <= node["pos"][1] < y + height


def text(name: str) -> str:
    """A blueprint's file as it is written."""
    return json.dumps(blueprint(name, BOXES[name]), ensure_ascii=False, indent=2) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in BOXES:
        (FOLDER / f"{name}.json").write_text(text(name), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
