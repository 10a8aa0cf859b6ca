"""The record of what a real ComfyUI reports in `/object_info`, and the comparison of the stand-in with it.

`tools/record_object_info.py` writes the record: this extension's nodes, the built-in nodes that `headless` stands in
for, and the toy nodes, which use all of the stand-in. Left out is what does not come from ComfyUI: the folder's name,
the files of the input folder, and our own texts, so that a tooltip can be reworded without a ComfyUI.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mimaface.headless.node_classes import node_classes, object_info
from mimaface.headless.object_info import UPLOAD_KINDS
from mimaface.mimaface_core import host
from support.checkout import ROOT
from support.comfyui_server import bare, comfyui, fetched
from support.toys import TOYS

RECORD = Path(__file__).with_name("object_info.json")
TEXT = "…"
# an extension of ComfyUI with the toy nodes; {!r}: the folder of the tests
TOY_EXTENSION = """
import sys
sys.path.insert(0, {!r})
from support import checkout, toys
from comfy_api.v0_0_2 import ComfyExtension

class Toys(ComfyExtension):
    async def get_node_list(self):
        return toys.TOYS

async def comfy_entrypoint():
    return Toys()
"""


def reported_here(empty: Path) -> dict[str, Any]:
    """The nodes as the stand-in reports them, on a machine without models and files: `empty` is an empty folder."""
    with host.use(host.Host(models=[empty], inputs=empty, outputs=empty, temp=empty)):
        infos = object_info(node_classes() | {cls.GET_SCHEMA().node_id: cls for cls in TOYS})
    return {name: comparable(info) for name, info in json.loads(json.dumps(infos)).items()}


def reported_by_comfyui(folder: Path) -> tuple[str, dict[str, Any]]:
    """The version of a ComfyUI that is started in a folder, and the nodes as it reports them."""
    base = bare(folder / "base")
    (base / "custom_nodes" / "toys").mkdir()
    (base / "custom_nodes" / "toys" / "__init__.py").write_text(TOY_EXTENSION.format(str(ROOT / "tests")))
    with comfyui(base) as (address, log):
        version = fetched(address, "/system_stats")["system"]["comfyui_version"]
        infos = fetched(address, "/object_info")
        names = [*node_classes(), *(cls.GET_SCHEMA().node_id for cls in TOYS)]
        missing = [name for name in names if name not in infos]
        assert not missing, f"{missing} did not load:\n{log.read_text()[-4000:]}"
    return version, {name: comparable(infos[name]) for name in names}


def comparable(info: dict[str, Any]) -> dict[str, Any]:
    """An `object_info` entry without what depends on the machine, and in the notation of V3 nodes.

    Nodes of ComfyUI's older notation (V1) write a list of options in the place of the type, leave out empty options,
    flags and tooltips, and name hidden inputs by their type alone.
    """
    groups = {group: dict(inputs) for group, inputs in info["input"].items()}
    for group in ("required", "optional"):
        if group in groups:
            groups[group] = {name: _input(*spec) for name, spec in groups[group].items()}
    if "hidden" in groups:
        groups["hidden"] = {name: [spec] if isinstance(spec, str) else spec for name, spec in groups["hidden"].items()}
    flags = {"deprecated": False, "experimental": False, "api_node": False}
    tooltips = info.get("output_tooltips") or [None] * len(info["output"])
    entry = flags | info | {"input": groups}
    entry |= {"description": info["description"] and TEXT, "output_tooltips": [tip and TEXT for tip in tooltips]}
    del entry["python_module"]
    return entry


def _input(kind: str | list, options: dict[str, Any] | None = None) -> list:
    options = dict(options or {})
    if isinstance(kind, list):
        kind, options = "COMBO", {"multiselect": False, **options, "options": kind}
    if kind == "STRING":
        options.setdefault("multiline", False)
    if "tooltip" in options:
        options["tooltip"] = TEXT
    if any(options.get(f"{name}_upload") for name in UPLOAD_KINDS):
        options["options"] = []
    return [kind, options]


def differences(recorded: Any, reported: Any, path: str = "") -> Iterator[str]:
    """A line for each value that is not as recorded."""
    if isinstance(recorded, dict) and isinstance(reported, dict):
        for key in recorded.keys() | reported.keys():
            place = f"{path}.{key}" if path else key
            if key not in reported:
                yield f"{place} is missing, recorded as {recorded[key]!r}"
            elif key not in recorded:
                yield f"{place} is not recorded, but is {reported[key]!r}"
            else:
                yield from differences(recorded[key], reported[key], place)
    elif recorded != reported:
        yield f"{path} is recorded as {recorded!r}, but is {reported!r}"


def read_record() -> tuple[str, dict[str, Any]]:
    """ComfyUI's version and the nodes by id."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    return record["comfyui"], record["nodes"]


def write_record(version: str, nodes: dict[str, Any]) -> None:
    """Write the record with a line for each input, so that a change is seen as one."""

    def line(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, sort_keys=True)

    entries = []
    for name, info in sorted(nodes.items()):
        groups = [
            f"   {line(group)}: {{\n"
            + ",\n".join(f"    {line(key)}: {line(spec)}" for key, spec in specs.items())
            + "\n   }"
            for group, specs in info["input"].items()
        ]
        rest = [f"  {line(key)}: {line(info[key])}" for key in sorted(info) if key != "input"]
        entries.append(
            f' {line(name)}: {{\n  "input": {{\n' + ",\n".join(groups) + "\n  },\n" + ",\n".join(rest) + "\n }"
        )
    text = f'{{\n"comfyui": {line(version)},\n"nodes": {{\n' + ",\n".join(entries) + "\n}\n}\n"
    RECORD.write_text(text, encoding="utf-8", newline="\n")
