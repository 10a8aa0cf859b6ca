"""Load campaign: `make load`. A hundred jobs in one process, with cancels and failures among them.

Memory stays flat, and no thread, file handle or temporary file is left. Runs in the headless runner, and in a real
ComfyUI where COMFYUI_DIR names one.
"""

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path

if __name__ == "__main__":  # run as a program, from any folder
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PIL import Image
from support.checkout import ROOT
from support.comfyui_process import running
from support.comfyui_server import COMFYUI, bare
from support.scenes import moved, noise
from support.tiny_pack import write_tiny_pack
from support.toys import node
from support.tracks import track

from campaigns import whole
from mimaface.mimaface_core.errors import Cancelled, InputError

WARM = 10  # jobs after which nothing may grow
FLAT = 0.05  # of the memory
FINE, CANCELLED, FAILED = "fine", "cancelled", "failed"


def kind_of(number: int) -> str:
    """How a job shall end."""
    return {3: CANCELLED, 5: FAILED}.get(number % 7, FINE)


def files(folder: Path) -> None:
    """Write the input files."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(moved(size=(320, 300))).save(folder / "face.png")
    Image.fromarray(noise()).save(folder / "nobody.png")
    track(3).save(folder / "motion.safetensors")


def graph(number: int) -> dict:
    """The graph of a job: a photograph is animated, pasted back and written; that of a failing one shows nobody."""
    content = json.loads((ROOT / "workflows" / "api" / "reenact_video.json").read_text(encoding="utf-8"))
    for key in ("2", "5", "11"):  # the driver, and the crop that nobody looks at
        del content[key]
    content["6"] = node("MIMAFaceLoadMotion", motion="motion.safetensors")
    content["7"]["inputs"]["motion"] = ["6", 0]
    content["1"]["inputs"]["image"] = "nobody.png" if kind_of(number) == FAILED else "face.png"
    content["3"]["inputs"]["pack"] = "tiny"
    content["9"]["inputs"] |= {"seed": number, "steps": 1}
    content["10"]["inputs"]["longest_side"] = 256
    del content["12"]["inputs"]["sound_of"]
    return content


class Held:
    """What a process holds: memory in MB, threads, open files."""

    def __init__(self, pid: int | str = "self") -> None:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        self.memory, self.threads = int(status["VmRSS"].split()[0]) / 1024, int(status["Threads"])
        self.handles = len(os.listdir(f"/proc/{pid}/fd"))


def here(jobs: int, root: Path, say) -> list[Held]:
    """Run the jobs in this process, one after the other; what it holds after each."""
    from mimaface.headless import node_classes
    from mimaface.headless.execute import run_graph
    from mimaface.headless.graph import load_graph
    from mimaface.headless.kept import KeptOutputs
    from mimaface.headless.validate import validate
    from mimaface.mimaface_core.host import use
    from mimaface.mimaface_core.terminal import TerminalHost

    files(root / "input")
    write_tiny_pack(root / "models" / "tiny", picture_size=512)
    classes, kept, held = node_classes.node_classes(), KeptOutputs(), []
    infos = node_classes.object_info(classes)
    for number in range(jobs):
        host = TerminalHost(
            inputs=root / "input", outputs=root / "output", temp=root / "temp", models=[root / "models"], resumes=False
        )
        stop = _Cancelling(host) if kind_of(number) == CANCELLED else contextlib.nullcontext()
        (root / "graph.json").write_text(json.dumps(graph(number)))
        ended = FINE
        try:
            with use(host), stop:
                nodes = load_graph(root / "graph.json")
                problems = validate(nodes, infos, folders=[root / "input"], classes=classes)
                assert not problems, problems
                run_graph(nodes, classes, host, kept)
                host.ended_well()
        except Cancelled:
            ended = CANCELLED
        except InputError as refused:
            assert "face" in str(refused), refused
            ended = FAILED
        assert ended == kind_of(number), f"job {number} ended {ended}"
        held.append(Held())
        say(f"job {number} {ended}: {held[-1].memory:.0f} MB, {held[-1].threads} threads, {held[-1].handles} files")
    return held


class _Cancelling(threading.Thread):
    """Cancels a run a moment after it has begun."""

    def __init__(self, host) -> None:
        super().__init__()
        self._host, self._over = host, threading.Event()

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        self._over.wait(0.2)
        self._host.cancel()


def inside(jobs: int, root: Path, say) -> list[Held]:
    """Queue the jobs in a real ComfyUI; what its process holds after each."""
    base = bare(root / "comfyui")
    files(base / "input")
    write_tiny_pack(base / "models" / "mimaface" / "tiny", picture_size=512)
    held = []
    with running(base) as server:
        for number in range(jobs):
            cancel = None
            if kind_of(number) == CANCELLED:
                cancel = lambda kind, data: kind == "executing" and data["node"] == "9"  # which no cache holds
            run = server.run(graph(number), cancel)
            ended = CANCELLED if run.stopped_at else FINE if run.status == "success" else FAILED
            assert ended == kind_of(number), f"job {number} ended {ended}: {run.history['status']}"
            held.append(Held(server.process.pid))
            say(f"job {number} {ended}: {held[-1].memory:.0f} MB, {held[-1].threads} threads, {held[-1].handles} files")
        shutil.rmtree(root / "temp", ignore_errors=True)
    return held


def growth(held: list[Held]) -> dict[str, float]:
    """How much more is held at the end than after the warm jobs: a share of the memory, numbers of the others."""
    warm, last = held[WARM - 1 : WARM + 5], held[-5:]
    mean = lambda many, name: sum(getattr(one, name) for one in many) / len(many)
    return {
        "memory": round(mean(last, "memory") / mean(warm, "memory") - 1, 4),
        "threads": max(one.threads for one in last) - max(one.threads for one in warm),
        "handles": max(one.handles for one in last) - max(one.handles for one in warm),
    }


def campaign(jobs: int, say=lambda line: None) -> dict[str, dict]:
    """Run the jobs wherever they can; what has grown, and what was left, by place."""
    told = {}
    for name, run in (("headless", here), *([("ComfyUI", inside)] if COMFYUI else [])):
        with tempfile.TemporaryDirectory(prefix="mimaface-load-") as folder:
            root = Path(folder)
            held = run(jobs, root, say)
            told[name] = {**growth(held), "left": [left for left in whole.leftovers(root) if name == "headless"]}
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=100)
    told = campaign(parser.parse_args().jobs, lambda line: print(line, flush=True))
    print(json.dumps(told))
    grown = [
        one for one in told.values() if one["memory"] > FLAT or one["threads"] > 0 or one["handles"] > 0 or one["left"]
    ]
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
