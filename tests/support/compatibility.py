"""What saved workflows rely on, as tests/node_schemas.json records it, and which changes would break them.

A graph in API format holds inputs by name; one saved by the page holds widget values by position and links by the
number of the output. After a change that breaks neither, refresh the record with `python tests/compatibility.py`;
a change that does break one is not recorded without `--break`, after what it breaks has been migrated.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

RECORD = Path(__file__).with_name("node_schemas.json")
COMMAND = "python -m support.compatibility, in tests/,"
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
KEPT = ("default", "min", "max", "options", "control_after_generate", "multiselect")
# values that the page saves behind that of a widget: of the control below a seed, a button or a player
EXTRA = {"control_after_generate": 1, "image_upload": 1, "video_upload": 1, "audio_upload": 2}


def schema_of(info: dict) -> dict:
    """What a saved workflow can hold of a node, from its `object_info` entry."""
    inputs = []
    for group in ("required", "optional"):
        for name, (kind, *rest) in info["input"].get(group, {}).items():
            options = rest[0] if rest else {}
            entry = {"name": name, "types": sorted(kind.split(",")), "optional": group == "optional"}
            entry |= {key: options[key] for key in KEPT if options.get(key) not in (None, False)}
            if "default" in options:  # False is one, too
                entry["default"] = options["default"]
            behind = sum(count for key, count in EXTRA.items() if options.get(key))
            if set(entry["types"]) & set(WIDGETS) and not options.get("forceInput"):
                entry["widget_values"] = 1 + behind
            inputs.append(entry)
    return {"inputs": inputs, "outputs": list(info["output"]), "output_node": bool(info["output_node"])}


def schemas(nodes) -> dict[str, dict]:
    """The schemas of node classes by id, as on a machine without any models or files."""
    from mimaface.mimaface_core import host

    with tempfile.TemporaryDirectory() as name:
        empty = Path(name)
        with host.use(host.Host(models=[empty], inputs=empty, outputs=empty, temp=empty)):
            return {node.GET_SCHEMA().node_id: schema_of(node.GET_NODE_INFO_V1()) for node in nodes}


def breaks(recorded: dict[str, dict], now: dict[str, dict]) -> list[str]:
    """What would break in workflows saved with the recorded schemas: a line each, naming node and input."""
    found = []
    for node_id, old in recorded.items():
        if node_id not in now:
            found.append(f"{node_id}: the node is gone")
            continue
        new = now[node_id]
        lines = [*_inputs(old, new), *_positions(old, new), *_outputs(old, new)]
        found += [f"{node_id}{line}" for line in lines]
    return found


def _inputs(old: dict, new: dict) -> list[str]:
    before, after = _by_name(old), _by_name(new)
    found = []
    for name, entry in before.items():
        if name not in after:
            found.append(f".{name}: the input is gone or has another name")
        else:
            found += [f".{name}: {problem}" for problem in _values(entry, after[name])]
    for name, entry in after.items():
        if not entry["optional"] and name not in before:
            word = "" if "default" in entry else " without a default"
            found.append(f".{name}: a new required input{word}, which saved graphs do not give; make it optional")
    return found


def _values(old: dict, new: dict) -> list[str]:
    """Why a value or a link that was saved for an input would be refused."""
    found = []
    lost = sorted(set(old["types"]) - set(new["types"]))
    if lost:
        found.append(f"no longer takes {', '.join(lost)}")
    if old.get("multiselect") != new.get("multiselect"):
        found.append("one option became several, or several one")
    if old["optional"] and not new["optional"]:
        found.append("was optional and is required now")
    gone = [option for option in old.get("options", []) if option not in new.get("options", [])]
    if gone and not lost:
        found.append(f"options are gone: {', '.join(map(str, gone))}")
    for end, narrower in (("min", float.__gt__), ("max", float.__lt__)):
        if end in new and (end not in old or narrower(float(new[end]), float(old[end]))):
            wide = old.get(end, "none")
            word = f"the range is narrower: {end} was {wide} and is {new[end]}"
            outside = "default" in old and narrower(float(new[end]), float(old["default"]))
            found.append(word + (f", beyond the recorded default {old['default']}" if outside else ""))
    return found


def _positions(old: dict, new: dict) -> list[str]:
    """Widget values are saved by position, so that new ones can come only behind all others."""
    before, after = _positioned(old), _positioned(new)
    for i, name in enumerate(before):
        if i >= len(after) or after[i] != name:
            there = after[i] if i < len(after) else "nothing"
            return [f".{name}: the order of the widgets changed: {there} stands at its place, {i}"]
    return []


def _positioned(schema: dict) -> list[str]:
    return [entry["name"] for entry in schema["inputs"] for _ in range(entry.get("widget_values", 0))]


def _outputs(old: dict, new: dict) -> list[str]:
    found = []
    for i, kind in enumerate(old["outputs"]):
        there = new["outputs"][i] if i < len(new["outputs"]) else "nothing"
        if not set(kind.split(",")) <= set(there.split(",")):
            found.append(f": output {i} was {kind} and is {there} now")
    if old["output_node"] and not new["output_node"]:
        found.append(": is no output node any more, so that graphs ending in it do not run")
    return found


def _by_name(schema: dict) -> dict[str, dict]:
    return {entry["name"]: entry for entry in schema["inputs"]}


def recorded() -> dict[str, dict]:
    return json.loads(RECORD.read_text(encoding="utf-8"))


def _laid_out(now: dict[str, dict]) -> str:
    """JSON with a line for each input, so that a change is seen as one."""

    def line(value) -> str:
        return json.dumps(value, ensure_ascii=False)

    nodes = []
    for node_id, entry in now.items():
        inputs = ",\n".join(f"   {line(slot)}" for slot in entry["inputs"])
        rest = "".join(f",\n  {line(key)}: {line(entry[key])}" for key in ("outputs", "output_node"))
        nodes.append(f' {line(node_id)}: {{\n  "inputs": [\n{inputs}\n  ]{rest}\n }}')
    return "{\n" + ",\n".join(nodes) + "\n}\n"


def main(arguments: list[str]) -> int:
    from mimaface.nodes import NODES
    from support import checkout  # noqa: F401  so that `mimaface` is this checkout

    now = schemas(NODES)
    problems = breaks(recorded(), now) if RECORD.is_file() else []
    print(*problems, sep="\n", end="\n" if problems else "")
    if problems and arguments != ["--break"]:
        print(f"The record stays as it is. When saved workflows have been migrated: {COMMAND} --break")
        return 1
    RECORD.write_text(_laid_out(now), encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
