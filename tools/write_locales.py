"""Writes locales/en/nodeDefs.json from the nodes' schemas and lists what the translations lack.

`python tools/write_locales.py`, with the project installed as by `make demo`. Translations are written by hand: texts
that are missing, superfluous or outdated in them are listed, with exit status 1.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from mimaface.nodes import NODES

LOCALES = Path(__file__).resolve().parents[1] / "locales"
FILE = "nodeDefs.json"
CONTROL = "control_after_generate"  # the widget that the front end puts below a seed


def english(nodes=NODES) -> dict[str, dict]:
    """Every name and tooltip of the nodes, in the format of ComfyUI's front end."""
    return {node.GET_SCHEMA().node_id: _entry(node) for node in nodes}


def _entry(node) -> dict:
    info = node.GET_NODE_INFO_V1()
    inputs = {}
    for group in ("required", "optional"):
        for name, (_, options) in info["input"].get(group, {}).items():
            inputs[_key(name)] = _named(options.get("display_name") or name, options.get("tooltip"))
            if options.get(CONTROL):
                inputs[CONTROL] = {"name": CONTROL.replace("_", " ")}
    names, tips = info["output_name"], info["output_tooltips"]
    return {
        "display_name": info["display_name"],
        "description": info["description"],
        "inputs": inputs,
        "outputs": {str(i): _named(name, tip) for i, (name, tip) in enumerate(zip(names, tips, strict=True))},
    }


def _key(name: str) -> str:
    """The front end's key of an input."""
    return name.replace(".", "_")


def _named(name: str, tooltip: str | None) -> dict[str, str]:
    return {"name": name, "tooltip": tooltip} if tooltip else {"name": name}


def texts(entries: dict, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text with the path of its keys."""
    for key, value in entries.items():
        if isinstance(value, dict):
            yield from texts(value, (*path, key))
        else:
            yield (*path, key), value


def out_of_step(translated: dict, now: dict, before: dict) -> list[str]:
    """Faults of a translation, one line each; `before` is the English from which it was made."""
    own, current, old = dict(texts(translated)), dict(texts(now)), dict(texts(before))
    lines = [f"missing: {'.'.join(path)}: {text}" for path, text in current.items() if path not in own]
    lines += [f"too much: {'.'.join(path)}" for path in own if path not in current]
    lines += [
        f"translate again: {'.'.join(path)}: {text}"
        for path, text in current.items()
        if path in own and old.get(path, text) != text
    ]
    return lines


def read(language: str) -> dict:
    """The entries of a language; empty without a file."""
    path = LOCALES / language / FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def main() -> int:
    now, before = english(), read("en")
    (LOCALES / "en").mkdir(parents=True, exist_ok=True)
    text = json.dumps(now, ensure_ascii=False, indent=2) + "\n"
    (LOCALES / "en" / FILE).write_text(text, encoding="utf-8", newline="\n")
    languages = sorted(path.name for path in LOCALES.iterdir() if path.is_dir() and path.name != "en")
    faults = [f"{name}: {line}" for name in languages for line in out_of_step(read(name), now, before)]
    print(*faults, sep="\n", end="\n" if faults else "")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
