"""Records what a real ComfyUI reports of our nodes and of the built-in ones we stand in for.

`COMFYUI_DIR=… COMFYUI_PYTHON=… python tools/record_object_info.py` starts that ComfyUI on an empty folder with this
extension and writes tests/support/object_info.json, with which the tests compare the stand-in. COMFYUI_DIR is a ComfyUI
folder, COMFYUI_PYTHON the interpreter with its requirements and this extension's.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support import checkout  # noqa: F401 - makes the package importable
from support.comfyui_server import COMFYUI
from support.object_info import RECORD, differences, read_record, reported_by_comfyui, reported_here, write_record


def main() -> int:
    if not COMFYUI:
        print("COMFYUI_DIR is not set; name a ComfyUI folder with it.", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        version, nodes = reported_by_comfyui(Path(folder))
    if RECORD.is_file():
        changes = sorted(differences(read_record()[1], nodes))
        print(*changes, sep="\n", end="\n" if changes else "")
    write_record(version, nodes)
    print(f"{RECORD}: {len(nodes)} nodes of ComfyUI {version}")
    with tempfile.TemporaryDirectory() as empty:
        faults = sorted(differences(nodes, reported_here(Path(empty))))
    print(*faults, sep="\n", end="\n" if faults else "")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
