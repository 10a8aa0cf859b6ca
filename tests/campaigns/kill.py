"""Kill campaign: `make kill`. Long runs are killed at random moments, started again, and must lose nothing.

After a kill, there are whole files under final names or none. The run that resumes ends with the frames, bit for bit,
of one that was never killed, and leaves no temporary file.
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":  # run as a program, from any folder
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from campaigns import whole

SIDE = 64  # pixels of the crop


# --- what is killed: each job does its work in a folder, and goes on where it was


def draw(folder: Path) -> None:
    """Renders, draws, pastes back and writes a clip."""
    import torch

    from mimaface.mimaface_core import host
    from mimaface.mimaface_core.diffusion import kept
    from mimaface.mimaface_core.drawing import encode
    from mimaface.mimaface_core.packs.pack import ModelPack
    from mimaface.mimaface_core.terminal import TerminalHost
    from mimaface.nodes.combine_video import CombineVideo
    from mimaface.nodes.paste_back import PasteBack
    from mimaface.nodes.sample_clips import OWN, SampleClips

    kept.KEEP_SECONDS = 0.0
    source, motion = torch.load(folder.parent / "source.pt", weights_only=False)
    pack = ModelPack.load(folder.parent / "pack")
    runs = TerminalHost(outputs=folder / "out")
    with host.use(runs):
        run = {"seed": 3, "steps": 2, "guidance": 1.0, "scheduler": OWN, "clip_frames": 6}
        drawn = SampleClips.execute(pack, source, motion, encode(pack, source, motion), **run).result[0]
        pasted = PasteBack.execute(source, drawn, 128).result[0]
        write = CombineVideo.PREPARE_CLASS_CLONE({})
        for kind in ("mp4", "webm", "gif", "png"):
            if not list((folder / "out" / kind).glob("clip*")):
                write.EXECUTE_NORMALIZED(frames=pasted, filename_prefix=f"{kind}/clip", format=kind, fps=0.0)
        runs.ended_well()


def train(folder: Path) -> None:
    """Trains a toy, with a checkpoint after every step."""
    import torch

    from mimaface.mimaface_core.training.config import LoopConfig
    from mimaface.mimaface_core.training.engine.trainer import Trainer

    class Toy(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer = torch.nn.Linear(3, 2)

        def forward(self, x):
            return {"loss": self.layer(x).square().mean()}

    settings = LoopConfig(steps=150, minutes=60, rate=0.1, average=0.9, save_minutes=0, seed=5)
    trainer = Trainer("toy", folder / "out", Toy(), ("layer",), settings, "fp32")
    trainer.run(lambda generator: {"x": torch.randn(8, 3, generator=generator)})


def batch(folder: Path) -> None:
    """Runs a batch of six pairs in two worker processes."""
    from support.toys import CLASSES, START_WITH_TOYS

    from mimaface.cli.main import main
    from mimaface.headless import node_classes
    from mimaface.scale import local

    node_classes.node_classes, local.START = lambda: CLASSES, START_WITH_TOYS
    os.chdir(folder.parent)
    status = main(["batch", "pairs.jsonl", "--output-dir", str(folder / "out"), "--workers", "2"])
    sys.exit(status)


JOBS = {"draw": draw, "train": train, "batch": batch}
SHARES = {"draw": 10, "train": 6, "batch": 1}


def _run(job: str, folder: str) -> None:
    """What a killed process does; its temporary files lie in the folder, too."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1), os.dup2(nowhere.fileno(), 2)
    (Path(folder) / "tmp").mkdir(parents=True, exist_ok=True)
    tempfile.tempdir = str(Path(folder) / "tmp")
    JOBS[job](Path(folder))


def prepare(root: Path, frames: int) -> None:
    """Write what the jobs read: a small face and its motion, a tiny pack, images and a list of pairs."""
    import torch
    from PIL import Image
    from support.scenes import portrait_source
    from support.tiny_pack import write_tiny_pack
    from support.toys import node

    face, scale = portrait_source(), SIDE / 512
    crop = torch.nn.functional.interpolate(face.crop[None], (SIDE, SIDE), mode="area")[0]
    source = dataclasses.replace(
        face, crop=crop, landmarks=face.landmarks * scale, crop_matrix=face.crop_matrix * scale
    )
    turns = [0.2 * torch.tensor(number / 6.0).sin() for number in range(frames)]
    coefficients = face.track.coefficients[[0] * frames]
    angles = coefficients.angles + torch.tensor([[0.0, turn, 0.0] for turn in turns])
    motion = dataclasses.replace(face.track[[0] * frames], coefficients=coefficients.replace(angles=angles))
    torch.save((source, motion), root / "source.pt")
    write_tiny_pack(root / "pack", picture_size=SIDE, clip_frames=6, overlap=2)
    rows = []
    for number in range(6):
        Image.new("RGB", (64, 48), (40 * number, 80, 120)).save(root / f"{number}.png")
        rows.append({"source": f"{number}.png", "output": f"r{number}", "graph": "copy.json"})
    graph = {"1": node("LoadImage", "source", image="0.png"), "2": node("SaveImage", "full", images=["1", 0])}
    graph["2"]["inputs"]["filename_prefix"] = "x"
    (root / "copy.json").write_text(json.dumps(graph))
    (root / "pairs.jsonl").write_text("\n".join(json.dumps(row) for row in rows))


def contents(folder: Path) -> dict[str, str]:
    """What a run has made: name and hash of each file, without what tells the time of the run."""
    told = {}
    for path in sorted((folder / "out").rglob("*")):
        name = path.relative_to(folder / "out").as_posix()
        if path.is_file() and path.suffix not in (".json", ".jsonl", ".log") and "loss" not in name:
            told[name] = whole.content(path)
    return told


class Killer:
    """Kills runs of the jobs.

    Args:
        root: an empty folder.
        seed: of the moments.
        frames: of the clip that is drawn.
    """

    def __init__(self, root: Path, seed: int, frames: int) -> None:
        self.root, self.dice = root, random.Random(seed)
        os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).resolve().parents[1])])
        self._processes = multiprocessing.get_context("forkserver" if hasattr(os, "fork") else "spawn")
        self._processes.set_forkserver_preload(["campaigns.loaded"])
        self._wanted: dict[str, dict[str, str]] = {}
        self._seconds: dict[str, float] = {}
        prepare(root, frames)

    def reference(self, job: str) -> None:
        """Run a job unbroken, once."""
        began = time.monotonic()
        folder = self.root / f"{job}-unbroken"
        process = self._start(job, folder)
        process.join()
        assert process.exitcode == 0, f"{job} fails by itself"
        self._seconds[job], self._wanted[job] = time.monotonic() - began, contents(folder)

    def _start(self, job: str, folder: Path):
        process = self._processes.Process(target=_run, args=(job, str(folder)))
        process.start()
        return process

    def kill(self, job: str, times: int) -> tuple[int, list[str]]:
        """Kill a run at random moments, then let it end; the kills that hit it alive, and what was lost."""
        if job not in self._wanted:
            self.reference(job)
        folder = self.root / job
        shutil.rmtree(folder, ignore_errors=True)
        hits, lost = 0, []
        for _ in range(times):
            process = self._start(job, folder)
            process.join(self.dice.uniform(0, 1.05 * self._seconds[job]))
            if process.exitcode is None:
                process.kill()
                hits += 1
            process.join()
            lost += [f"{job}: after a kill {fault}" for fault in whole.faults(folder / "out")]
        time.sleep(0.3 if job != "batch" else 3)  # until child processes have noticed
        process = self._start(job, folder)
        process.join()
        if process.exitcode:
            lost.append(f"{job}: does not resume, exit status {process.exitcode}")
        elif contents(folder) != self._wanted[job]:
            lost.append(f"{job}: ends with other files: {_difference(contents(folder), self._wanted[job])}")
        lost += [f"{job}: leaves {name}" for name in whole.leftovers(folder)]
        return hits, lost


def _difference(found: dict[str, str], wanted: dict[str, str]) -> str:
    return ", ".join(sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name)))


def campaign(
    kills: int, seed: int = 0, jobs=None, minutes: float = 1e9, frames: int = 40, say=None
) -> tuple[int, list[str]]:
    """Kill runs until so many kills have hit; how many did, and what was lost."""
    hits, lost, until = 0, [], time.monotonic() + 60 * minutes
    with tempfile.TemporaryDirectory(prefix="mimaface-kill-") as name:
        killer = Killer(Path(name), seed, frames)
        choice = [job for job in jobs or JOBS for _ in range(SHARES[job])]
        while hits < kills and time.monotonic() < until:
            job = killer.dice.choice(choice)
            hit, losses = killer.kill(job, min(killer.dice.randint(1, 3), kills - hits))
            hits, lost = hits + hit, lost + losses
            if say:
                say(f"{hits} kills, {len(lost)} losses; {job}: {losses or 'nothing lost'}")
    return hits, lost


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=JOBS, action="append")
    options = parser.parse_args()
    hits, lost = campaign(
        options.kills, options.seed, options.only, options.minutes, say=lambda line: print(line, flush=True)
    )
    print(json.dumps({"kills": hits, "losses": lost}))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
