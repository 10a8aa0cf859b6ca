"""What the benchmarks of networks share: weights made of keys, times, memory, FLOPs, ceilings, tables."""

from __future__ import annotations

import json
import platform
import resource
import statistics
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

MATRIX = {"cuda": 8192, "cpu": 2048}  # side of the product that shows a device's ceiling
COPY = {"cuda": 1 << 30, "cpu": 1 << 27}  # bytes of the copy that shows its bandwidth


@dataclass(frozen=True)
class Row:
    """One measurement: median and spread in seconds of one call, which makes `count` frames."""

    what: str
    dtype: str
    count: float
    seconds: float
    fastest: float
    slowest: float
    megabytes: float
    flops: float = 0.0
    unit: str = "frame"

    def line(self, ceiling: float) -> str:
        """A line of the table; `ceiling` in FLOP a second."""
        rate = self.flops / self.seconds
        one, least, most = (1e3 * time / self.count for time in (self.seconds, self.fastest, self.slowest))
        return (
            f"| {self.what} | {self.dtype} | {one:.2f} ms | {1e3 / one:.1f} | {least:.2f}–{most:.2f}"
            f" | {self.flops / self.count / 1e9:.1f} | {rate / 1e12:.2f} | {rate / ceiling:.0%}"
            f" | {self.megabytes:.0f} |"
        )


HEAD = (
    "| what | type | median of one | a second | range, ms | GFLOP of one | TFLOP/s | of ceiling | MB |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


class Bench:
    """Measures on one device, and writes all that is known to a file after every measurement.

    Args:
        device: where it runs.
        budget: seconds that one measurement may take, warm-up not counted.
        file: for the JSON, if there is one.
    """

    def __init__(self, device: torch.device, budget: float = 3.0, file: Path | None = None) -> None:
        self.device, self.budget, self.file = device, budget, file
        self.rows: list[Row] = []
        self.notes: dict[str, object] = {"device": name(device), "torch": torch.__version__, "python": sys.version[:6]}
        self.ceilings: dict[str, float] = {}

    def sync(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def times(self, work: Callable[[], object], least: int = 3, warm: bool = False) -> list[float]:
        """Seconds of at least so many calls, until the budget is spent; after one or two for nothing, if not `warm`."""
        for _ in range(0 if warm else 2 if self.device.type == "cuda" else least > 1):
            work()
        times, begin = [], time.perf_counter()
        while len(times) < least or (time.perf_counter() - begin < self.budget and len(times) < 50):
            self.sync()
            start = time.perf_counter()
            work()
            self.sync()
            times.append(time.perf_counter() - start)
        return times

    def measure(
        self,
        what: str,
        work: Callable[[], object],
        dtype: torch.dtype,
        count: float = 1,
        flops: float | None = None,
        least: int = 3,
        warm: bool = False,
    ) -> Row:
        """Measure work that makes `count` frames, as `times`; its FLOPs are counted where they are not given."""
        flops = count_flops(work) if flops is None else flops
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        times = self.times(work, least, warm)
        row = Row(what, str(dtype)[6:], count, statistics.median(times), min(times), max(times), peak(), flops)
        self.rows.append(row)
        print(row.line(self.ceiling(dtype)), flush=True)
        self.write()
        return row

    def ceiling(self, dtype: torch.dtype) -> float:
        """FLOP a second of a large matrix product at its fastest, in a number type (TF32 for float32 on a GPU)."""
        if str(dtype) not in self.ceilings:
            side = MATRIX[self.device.type]
            torch.backends.cuda.matmul.allow_tf32 = True
            a, b = (torch.randn(side, side, device=self.device, dtype=dtype) for _ in range(2))
            self.ceilings[str(dtype)] = 2 * side**3 / min(self.times(lambda: a @ b, 5))
            torch.backends.cuda.matmul.allow_tf32 = False
        return self.ceilings[str(dtype)]

    def bandwidth(self) -> float:
        """Bytes a second of a large copy at its fastest, read and written."""
        source = torch.empty(COPY[self.device.type], dtype=torch.uint8, device=self.device).random_(0, 255)
        target = torch.empty_like(source)
        return 2 * source.numel() / min(self.times(lambda: target.copy_(source), 5))

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """A measurement that may fail, which is noted: the others go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever a device or a compiler finds to say
            self.notes[f"{what} failed"] = f"{type(error).__name__}: {str(error)[:300]}"
            print(f"{what} failed: {type(error).__name__}: {str(error)[:300]}", flush=True)

    def finish(self, seconds: float) -> None:
        """Note how long all of it took, write the file, and print what was noted."""
        self.notes["seconds in all"] = round(seconds)
        self.write()
        print()
        for note, value in (self.notes | {f"ceiling {k}, TFLOP/s": v / 1e12 for k, v in self.ceilings.items()}).items():
            print(f"- {note}: {value}")

    def write(self) -> None:
        """Write what is known."""
        if self.file:
            content = {**self.notes, "ceilings": self.ceilings, "rows": [asdict(row) for row in self.rows]}
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(json.dumps(content, indent=1))


def name(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.get_num_threads()} threads"


def peak() -> float:
    """The most memory so far in MB: of the GPU where there is one, else of the process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


@torch.no_grad()
def count_flops(work: Callable[[], object]) -> float:
    """FLOPs of convolutions and matrix products, two for a multiplication with its addition."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


@torch.no_grad()
def key_weights(module: nn.Module, scale: float | None = None) -> nn.Module:
    """A network whose weights follow from their keys: speed does not depend on them.

    Args:
        module: on its device; those of one number, or of one axis, keep what they have.
        scale: of the numbers; that which keeps variances, 1/√fan-in, when None.
    """
    for key, value in module.named_parameters():
        if value.ndim > 1:
            generator = torch.Generator(value.device).manual_seed(zlib.crc32(key.encode()))
            fan_in = value[0].numel()
            value.normal_(0, fan_in**-0.5 if scale is None else scale, generator=generator)
    return module.eval().requires_grad_(False)


def apart(image: torch.Tensor, other: torch.Tensor) -> float:
    """PSNR in dB between images in ±1; infinite where they are equal."""
    error = (image.float().cpu() - other.float().cpu()).square().mean()
    return float(10 * torch.log10(4 / error)) if error > 0 else float("inf")
