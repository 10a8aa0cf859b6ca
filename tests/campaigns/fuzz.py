"""Fault campaign: `make fuzz`. Thousands of bad inputs; each ends in a result or in one sentence.

Never a traceback, a hang, a crash, more than 4 GB of memory, a half file under a final name, or a file outside the
output folder. An input is made again by its target and number: `--only image --first 17 --inputs 1`.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

if __name__ == "__main__":  # run as a program, from any folder
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.checkout import ROOT

from campaigns import targets, whole
from mimaface.mimaface_core.errors import Cancelled, InputError

HANG_SECONDS = 30
BUSY_SECONDS = 600  # where the process works, but others do, too
MOST_BYTES = 4 << 30
LONGEST_SENTENCE = 2000  # letters of one line


def cases(seed: int, first: int, count: int, only: str | None):
    """Names of targets and numbers of cases, in the order in which they run."""
    names = [name for name, target in targets.TARGETS.items() for _ in range(target.share) if only in (None, name)]
    for number in range(first, first + count):
        yield random.Random(f"{seed} {number}").choice(names), number


def one(name: str, number: int, seed: int, root: Path) -> str:
    """Run a case in a folder of its own; says what was wrong with how it ended, nothing where it ended well."""
    folder = root / "case"
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("in", "tmp"):
        (folder / part).mkdir(parents=True)
    os.chdir(folder / "in")
    tempfile.tempdir = str(folder / "tmp")
    said = ""
    log = root / "said.txt"
    with open(log, "w+b") as errors:
        kept = os.dup(2)
        os.dup2(errors.fileno(), 2)
        try:
            targets.TARGETS[name].give(random.Random(f"{seed} {name} {number}"), folder / "in")
        except InputError as refused:
            said = str(refused)
        except Cancelled:
            return "cancelled by nobody"
        except (Exception, SystemExit) as error:  # noqa: BLE001 - any of them is what is looked for
            return _kind(error)
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    printed = log.read_text("utf-8", "replace")
    if "Traceback (most recent call last)" in printed:
        return "traceback printed: " + printed[printed.index("Traceback") :][-300:]
    return _unclear(said) or _strays(folder)


def _kind(error: BaseException) -> str:
    """The kind of an error: its class and the last line of ours that it went through."""
    ours = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if f.filename.startswith(str(ROOT)) and "/tests/" not in f.filename
    ]
    last = f"{Path(ours[-1].filename).relative_to(ROOT)}:{ours[-1].lineno} {ours[-1].name}" if ours else "?"
    return f"{type(error).__name__} at {last}: {str(error)[:120]!r}"


def _unclear(said: str) -> str:
    """What is wrong with a refusal."""
    for line in said.splitlines():
        if len(line) > LONGEST_SENTENCE:
            return f"a sentence of {len(line)} letters: {line[:120]}"
    if said and not said.rstrip().endswith((".", "?", "`")):
        return f"no sentence: {said[-120:]!r}"
    return ""


def _strays(folder: Path) -> str:
    """Files that lie where none should, or are not whole."""
    left = [path.name for path in folder.iterdir() if path.name not in ("in", "out", "tmp")] + whole.leftovers(folder)
    return f"files left: {left[:3]}" if left else "; ".join(whole.faults(folder / "out"))


def _work(pipe, seed: int, root: str) -> None:
    """A worker: runs the cases that it is told, and says how each ended."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as this process lives
    with contextlib.suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (2 * MOST_BYTES, 2 * MOST_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    targets.prepare()
    pipe.send("ready")
    while True:
        name, number = pipe.recv()
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
        fault = one(name, number, seed, Path(root))
        peak = _peak()
        pipe.send(fault or (f"{peak / 1e9:.1f} GB of memory" if peak > MOST_BYTES else ""))


def _peak() -> int:
    """Most bytes in memory since the case began; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) << 10
    return 0


class Worker:
    """A process that runs cases."""

    def __init__(self, seed: int) -> None:
        self.folder = tempfile.mkdtemp(prefix="mimaface-fuzz-", dir=START_TEMP)
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, seed, self.folder), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.recv()  # it is ready

    def run(self, name: str, number: int) -> str:
        """Run a case; a worker that hung or died is over afterwards."""
        self.pipe.send((name, number))
        began, spent = time.monotonic(), self._spent()
        try:
            while not self.pipe.poll(1):
                waited, worked = time.monotonic() - began, self._spent() - spent
                if worked > HANG_SECONDS or waited > (BUSY_SECONDS if worked else HANG_SECONDS):
                    self.process.kill()
                    return f"no end after {waited:.0f} s ({worked:.0f} s of work)"
            return self.pipe.recv()
        except EOFError:
            self.process.join()
            return f"the process died ({signal.strsignal(-(self.process.exitcode or 0)) or self.process.exitcode})"

    def _spent(self) -> float:
        """Seconds of work of the process; on a busy machine they count, not the time. 0 where it is not told."""
        with contextlib.suppress(OSError, ValueError):
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return 0.0

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        shutil.rmtree(self.folder, ignore_errors=True)


START_TEMP = tempfile.gettempdir()


def campaign(count: int, seed: int = 0, minutes: float = 1e9, first: int = 0, only: str | None = None, say=None):
    """Run cases until they or the time are over; the faults as (target, number, what), and how many cases ran."""
    faults, ran, until = [], 0, time.monotonic() + 60 * minutes
    worker = Worker(seed)
    try:
        for name, number in cases(seed, first, count, only):
            if time.monotonic() > until:
                break
            fault = worker.run(name, number)
            ran += 1
            if fault:
                faults.append((name, number, fault))
                if say:
                    say(f"{name} {number}: {fault}")
            if not worker.process.is_alive() or fault.startswith(("no end", "the process died")):
                worker.stop()
                worker = Worker(seed)
            if say and ran % 100 == 0:
                say(f"{ran} inputs, {len(faults)} faults")
    finally:
        worker.stop()
    return faults, ran


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--only", choices=targets.TARGETS, help="one target")
    options = parser.parse_args()
    began = time.monotonic()
    faults, ran = campaign(
        options.inputs, options.seed, options.minutes, options.first, options.only, lambda line: print(line, flush=True)
    )
    kinds = Counter(re.sub(r"[0-9]+|'.*", "", what)[:100] for _, _, what in faults)
    print(
        json.dumps({"inputs": ran, "faults": len(faults), "kinds": kinds, "seconds": round(time.monotonic() - began)})
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
