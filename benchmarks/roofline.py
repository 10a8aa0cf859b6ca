"""A roofline of the bundled packs' networks: FLOPs and bytes a frame, the machine's ceilings, and what limits each.

`python benchmarks/roofline.py --json roofline.json`. The calls of a run are kept and repeated alone. FLOPs are those of
convolutions and matrix products (attention as two of them). Bytes are counted twice: *once*, each weight, input and
result of a stage moved once, as if caches held all that lies between; and *every*, each operation reading its
operands and writing its result. The roof is the lower of the measured matrix product and copy times FLOPs per byte
(once); ceilings and stages are the fastest of their repetitions, which other work on the machine changes least.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from measuring import HEAD, Bench
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from mimaface.cli.demo import DRIVER, portrait
from mimaface.mimaface_core import drawing, host, implicit_pipeline, pipeline
from mimaface.mimaface_core.media.frames import Frames

FAR = 0.5  # of the roof: a stage that reaches less is limited by neither arithmetic nor memory


class Calls:
    """A function whose calls are kept, to be repeated."""

    def __init__(self, work: Callable) -> None:
        self.work, self.kept, self.results = work, [], []

    def __call__(self, *arguments, **named):
        self.kept.append((arguments, named))
        result = self.work(*arguments, **named)
        self.results.append(result)
        return result

    def repeat(self) -> None:
        """All calls again."""
        for arguments, named in self.kept:
            self.work(*arguments, **named)


class Traffic(TorchDispatchMode):
    """Operations, and the bytes that they read and write, by number type; views count for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: dict[torch.dtype, int] = defaultdict(int)
        self.operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        read, written = tensors((args, kwargs)), tensors(result)
        places = {tensor.untyped_storage().data_ptr() for tensor in read}
        alike = all(tensor.untyped_storage().data_ptr() in places for tensor in written)
        if not alike or func._schema.is_mutable:
            self.operations += 1
            for tensor in read + written:
                self.bytes[tensor.dtype] += size(tensor)
        return result


@dataclass(frozen=True)
class Stage:
    """Of one stage, a frame: FLOPs, bytes, operations, seconds at its fastest; and FLOP a second of its roof."""

    name: str
    dtype: str
    flops: float
    once: float
    every: float
    operations: float
    seconds: float
    roof: float
    by: str

    @property
    def share(self) -> float:
        """Achieved, of the roof."""
        return self.flops / self.seconds / self.roof

    @property
    def limit(self) -> str:
        """What limits it."""
        return self.by if self.share >= FAR else f"neither; {self.by} next"


def tensors(tree: object) -> list[Tensor]:
    """The tensors of nested values."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def size(tensor: Tensor) -> int:
    """Bytes of a tensor's own numbers: an expanded axis is stored once."""
    axes = zip(tensor.shape, tensor.stride(), strict=True)
    return tensor.element_size() * torch.Size([length for length, step in axes if step]).numel()


def calls_of(options: argparse.Namespace, source: Path) -> dict[str, tuple[Calls, list[nn.Module]]]:
    """The networks' calls while both packs animate a photograph, and whose weights they read."""
    film = Frames.open(options.driver)
    images = list(islice(film, options.frames))
    driver = Frames(images, len(images), film.fps)
    pack = pipeline.load_pack("bundled")
    person, _ = pipeline.measure(pack, source)
    _, driven = pipeline.measure(pack, driver)
    motion, latents, unet = pipeline.retarget(driven, person), pack.latents, pack.stage(len(images)).unet
    latents.encode, latents.to_frames, unet.forward = stages = (
        Calls(latents.encode),
        Calls(latents.to_frames),
        Calls(unet.forward),
    )
    for _ in drawing.animate(pack, person, motion):
        pass

    implicit = implicit_pipeline.load_implicit("bundled-implicit")
    face = implicit_pipeline.encode_implicit(implicit, source)
    flow = Calls(implicit.generator.dec.flow)
    implicit.generator.dec.flow = flow
    for _ in implicit_pipeline.render_implicit(implicit, face, implicit_pipeline.drive_implicit(implicit, driver)):
        pass
    encode, decode, denoise = stages
    return {
        "encode": (encode, [pack.vae.encoder]),
        "U-Net": (denoise, [unet]),
        "decode": (decode, [pack.vae.decoder]),
        "implicit generator": (flow, [implicit.generator.dec]),
    }


def stage(bench: Bench, name: str, calls: Calls, networks: list[nn.Module], frames: int, bandwidth: float) -> Stage:
    """Count and time one stage."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        calls.repeat()
    with Traffic() as traffic:
        calls.repeat()
    dtype = max(traffic.bytes, key=lambda kind: traffic.bytes[kind])
    flops, every = float(counter.get_total_flops()), float(sum(traffic.bytes.values()))
    weights = sum(weight.numel() for network in networks for weight in network.parameters()) * dtype.itemsize
    row = bench.measure(name, calls.repeat, dtype, frames, flops)
    once = len(calls.kept) * weights + sum(map(size, tensors((calls.kept, calls.results))))
    arithmetic, memory = bench.ceiling(dtype), flops / once * bandwidth
    roof, by = (arithmetic, "arithmetic") if arithmetic <= memory else (memory, "memory")
    each = (value / frames for value in (flops, once, every, traffic.operations, row.fastest))
    return Stage(name, str(dtype)[6:], *each, roof, by)


def report(stages: list[Stage], ceilings: dict[str, float], bandwidth: float) -> None:
    """Print the machine's ceilings and the table."""
    products = ", ".join(f"{kind[6:]} {rate / 1e9:.0f} GFLOP/s" for kind, rate in ceilings.items())
    print(f"\nmatrix product: {products}; copy: {bandwidth / 1e9:.1f} GB/s\n")
    print("| a frame | GFLOP | MB once, every | FLOP a byte | operations | ms | GFLOP/s | of the roof | limited by |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for row in stages:
        print(
            f"| {row.name}, {row.dtype} | {row.flops / 1e9:.2f} | {row.once / 1e6:.1f}, {row.every / 1e6:.0f}"
            f" | {row.flops / row.once:.0f}, {row.flops / row.every:.0f} | {row.operations:.0f}"
            f" | {1e3 * row.seconds:.1f} | {row.flops / row.seconds / 1e9:.0f} | {row.share:.0%} | {row.limit} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="A roofline of the bundled packs' networks.")
    parser.add_argument("--source", type=Path, help="a photograph (the NASA portrait)")
    parser.add_argument("--driver", type=Path, default=DRIVER, help="a clip (the demo's)")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each measurement")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of PyTorch")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    bench = Bench(host.current().device, options.seconds)
    with tempfile.TemporaryDirectory() as folder:
        calls = calls_of(options, options.source or portrait(Path(folder)))
    bandwidth = bench.bandwidth()
    print(HEAD)
    stages = [stage(bench, name, *found, options.frames, bandwidth) for name, found in calls.items()]
    report(stages, bench.ceilings, bandwidth)
    if options.json:
        machine = {"threads": options.threads, "ceilings": bench.ceilings, "copy": bandwidth}
        rows = [{**asdict(row), "share": row.share, "limit": row.limit} for row in stages]
        options.json.write_text(json.dumps({**machine, "stages": rows}, indent=1))


if __name__ == "__main__":
    main()
