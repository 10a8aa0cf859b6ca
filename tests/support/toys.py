"""Toy nodes for the tests of the runner, and graphs made of them."""

import json
import sys

from mimaface.headless.builtin_nodes import BUILTIN_NODES
from mimaface.headless.execute import run_graph
from mimaface.headless.node_classes import object_info
from mimaface.headless.validate import validate
from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.terminal import TerminalHost
from mimaface.nodes.comfyui.schema import io
from support.checkout import IMPORT

Thing = io.Custom("TOY_THING")
calls: list[str] = []


class ToyMake(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ToyMake",
            display_name="Toy make",
            category="toys",
            description="Makes a thing.",
            inputs=[
                io.Int.Input("steps", default=4, min=1, max=100, tooltip="More for a bigger thing."),
                io.Float.Input("scale", default=1.0, min=0.0, max=2.0, step=0.1, round=0.01),
                io.Combo.Input("mode", options=["relative", "absolute"], default="relative"),
                io.Boolean.Input("loud", default=False, optional=True),
                io.String.Input("note", default="", optional=True, multiline=True),
            ],
            outputs=[Thing.Output(display_name="thing"), io.Int.Output()],
        )

    @classmethod
    def execute(cls, steps, scale, mode, loud=False, note=""):
        calls.append(f"make {note}".strip())
        return io.NodeOutput({"steps": steps, "scale": scale, "mode": mode, "loud": loud}, steps)


class ToyJoin(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ToyJoin",
            category="toys",
            inputs=[
                io.MultiType.Input(io.Float.Input("either", default=1.0), types=[Thing, io.Int], tooltip="Any."),
                Thing.Input("other", optional=True),
            ],
            outputs=[Thing.Output()],
        )

    @classmethod
    def execute(cls, either, other=None):
        calls.append("join")
        return io.NodeOutput({"either": either, "other": other})


class ToySave(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ToySave",
            category="toys",
            inputs=[Thing.Input("thing"), io.String.Input("name", default="thing.txt")],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, name):
        return True if name.endswith(".txt") else f"'{name}' is no text file; end it with .txt."

    @classmethod
    def execute(cls, thing, name):
        folder = host.current().output_folder()
        folder.mkdir(parents=True, exist_ok=True)
        report = {"thing": thing, "id": cls.hidden.unique_id, "prompt": cls.hidden.prompt}
        (folder / name).write_text(json.dumps(report))
        shown = {"images": [{"filename": name, "subfolder": "", "type": "output"}], "text": ("saved",)}
        return io.NodeOutput(ui=shown)


class ToyFail(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="ToyFail", inputs=[], outputs=[Thing.Output()])

    @classmethod
    def execute(cls):
        raise InputError("There is no face in the image; choose another.")


class ToyWhole(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        widgets = [io.Int.Input(name, default=1, min=0, max=10) for name in ("first", "second", "third")]
        return io.Schema(node_id="ToyWhole", inputs=widgets, outputs=[Thing.Output()])

    @classmethod
    def validate_inputs(cls, first, second):
        return first + second <= 10 or f"{first} and {second} are more than 10; lower one."

    @classmethod
    def execute(cls, first, second, third):
        return io.NodeOutput({})


class ToySlow(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="ToySlow", inputs=[], outputs=[Thing.Output()])

    @classmethod
    def execute(cls):
        import time

        print("slow", file=sys.stdout, flush=True)
        with host.current().progress(1000, "slow") as progress:
            for _ in range(1000):
                time.sleep(0.05)
                progress.update()
        return io.NodeOutput({})


class ToyTrap(io.ComfyNode):
    """Hands an image on, or not: `kill` ends the process, `wait` never ends; `… once` does so until `mark` exists."""

    @classmethod
    def define_schema(cls):
        modes = ["pass", "kill", "kill once", "fail once", "wait once", "refuse"]
        return io.Schema(
            node_id="ToyTrap",
            inputs=[
                io.Image.Input("image"),
                io.Combo.Input("mode", options=modes, default="pass"),
                io.String.Input("mark", default=""),
                io.Int.Input("seed", default=0, min=0, max=2**64 - 1),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image, mode, mark, seed):
        import os
        import time
        from pathlib import Path

        first = not (mark and Path(mark).exists())
        if mark:
            Path(mark).write_text(str(os.getpid()))
        if mode == "refuse":
            raise InputError("There is no face in the image; choose another.")
        if mode == "kill" or (mode == "kill once" and first):
            os.kill(os.getpid(), 9)
        if mode == "fail once" and first:
            raise RuntimeError("out of luck")
        if mode == "wait once" and first:
            time.sleep(100)
        return io.NodeOutput(image * 0 + (seed % 256) / 255)


TOYS = [ToyMake, ToyJoin, ToySave, ToyFail, ToyWhole, ToySlow, ToyTrap]
# what a worker process runs, with the toy nodes
START_WITH_TOYS = f"""
{IMPORT}
from support.toys import CLASSES
from mimaface.headless import node_classes
from mimaface.scale.worker import main
node_classes.node_classes = lambda: CLASSES
main()
"""
CLASSES = {cls.GET_SCHEMA().node_id: cls for cls in [*BUILTIN_NODES, *TOYS]}


def node(kind, title=None, **inputs):
    """An entry of an API-format graph."""
    entry = {"class_type": kind, "inputs": inputs}
    return entry | ({"_meta": {"title": title}} if title else {})


def make(title="maker", **changes):
    """An entry of ToyMake."""
    return node("ToyMake", title, **({"steps": 4, "scale": 1.0, "mode": "relative"} | changes))


def check(graph, folders=()):
    """The problems of a graph, as text."""
    problems = validate(graph, object_info(CLASSES), folders=list(folders), classes=CLASSES)
    return [str(problem) for problem in problems]


def run(graph, tmp_path):
    """Run a sound graph, with files from and to `tmp_path`; gives the written files."""
    assert check(graph, [tmp_path]) == []
    host = TerminalHost(outputs=tmp_path / "out", temp=tmp_path / "temp", inputs=tmp_path)
    return run_graph(graph, CLASSES, host)
