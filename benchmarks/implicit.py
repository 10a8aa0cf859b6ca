"""IF-MDM at full size, with weights made of keys: FLOPs, rates, memory, frames a second, the first frame of speech.

`python benchmarks/implicit.py --json implicit.json`; on a CPU add `--frames 4 --dtypes float32`.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from measuring import HEAD, Bench, apart, count_flops, key_weights
from torch import Tensor, nn

from mimaface.mimaface_core import host
from mimaface.mimaface_core.implicit.encoder import Source
from mimaface.mimaface_core.implicit.generator import Generator
from mimaface.mimaface_core.implicit.motion import ImplicitMotion
from mimaface.mimaface_core.implicit.render import encode_source, refined, render_motion
from mimaface.mimaface_core.implicit.speech import SpeakSettings, speak
from mimaface.mimaface_core.implicit.transformer import MotionTransformer
from mimaface.mimaface_core.tensors import to_uint8

SAMPLERS = (("ddim", 10), ("ddim", 25), ("ddim", 50), ("ancestral", 50))
TARGETS = {"with the refine block": 45, "without": 120}  # frames a second on an H100; the first frame within 400 ms


def generator_of(options: argparse.Namespace, device: torch.device) -> Generator:
    """Stage 1 with weights made of keys, in float32."""
    with device:
        generator = Generator(options.size, width=options.width, style=options.style, refine=options.refine)
    key_weights(generator, 1.0)
    for key, value in generator.named_parameters():
        if key.endswith("bias") or ("to_flows" in key and key.endswith(".conv.weight")):
            value.mul_(0.1 if value.ndim > 1 else 1.0)  # flows of a few pixels
    if generator.dec.refine_block is not None:
        key_weights(generator.dec.refine_block)
    return generator


def pictures(generator: Generator, device: torch.device) -> Tensor:
    """A smooth picture [1, 3, S, S] in ±1."""
    cells = torch.randn(1, 3, generator.size // 16, generator.size // 16, generator=torch.Generator().manual_seed(1))
    picture = nn.functional.interpolate(cells, scale_factor=16, mode="bilinear", align_corners=False)
    return picture.clamp(-1, 1).to(device)


def motion_of(count: int, dimensions: int) -> ImplicitMotion:
    """A smooth motion of `count` frames."""
    time_axis = torch.arange(count)[:, None] / 25
    return ImplicitMotion(0.3 * torch.sin(time_axis * torch.arange(1, dimensions + 1)))


def stage_1(bench: Bench, options: argparse.Namespace, dtype: torch.dtype, reference: Tensor | None) -> Tensor:
    """Encoder, coarse image, refine block and whole frames in one number type; the CPU's frames to compare with."""
    generator = generator_of(options, bench.device)
    if reference is None:
        reference = unrefined(copy.deepcopy(generator).cpu())
    generator.to(dtype)
    picture = pictures(generator, bench.device)
    bench.measure("encode a source", lambda: encode_source(generator, picture), dtype)
    source = encode_source(generator, picture)
    motion = motion_of(options.frames, generator.dimensions)
    one = next(render_motion(generator, source, motion[:1], refine=False, batch=1))
    coarse = count_flops(lambda: next(render_motion(generator, source, motion[:1], refine=False, batch=1)))
    refine = count_flops(lambda: refined(generator, one))
    bench.measure("refine block", lambda: refined(generator, one), dtype, flops=refine)

    def rendered(block: bool, batch: int) -> Callable[[], list[Tensor]]:
        """Frames as a user gets them: 8 bits, in main memory."""
        return lambda: [
            to_uint8((frames.permute(0, 2, 3, 1) + 1) / 2).cpu()
            for frames in render_motion(generator, source, motion, refine=block, batch=batch)
        ]

    count = len(motion)
    for batch in options.batches:
        what = f"frames without the refine block, batch {batch}"
        bench.measure(what, rendered(False, batch), dtype, count, count * coarse)
    if generator.dec.refine_block is not None:
        what = f"frames with the refine block, batch {options.batches[-1]}"
        bench.measure(what, rendered(True, options.batches[-1]), dtype, count, count * (coarse + refine))
    if bench.device.type == "cuda":
        with bench.attempt(f"faster ways, {str(dtype)[6:]}"):
            faster(bench, generator, source, dtype, options, (coarse, refine))
    quality = apart(unrefined(generator), reference)
    bench.notes[f"PSNR of {str(dtype)[6:]} against the CPU's float32, dB"] = round(quality, 1)
    return reference


def unrefined(generator: Generator) -> Tensor:
    """Four frames without the refine block."""
    source = encode_source(generator, pictures(generator, generator.dec.direction.weight.device))
    return torch.cat(list(render_motion(generator, source, motion_of(4, generator.dimensions), refine=False)))


def faster(
    bench: Bench,
    generator: Generator,
    source: Source,
    dtype: torch.dtype,
    options: argparse.Namespace,
    flops: tuple[float, float],
) -> None:
    """The same by a CUDA graph, by cuDNN's fused convolution and, where asked, by torch.compile."""
    features = [feature.float() for feature in source.features]
    for batch in sorted({1, options.batches[-1]}):
        style = source.style.expand(batch, -1).clone()
        shared = [feature.expand(batch, -1, -1, -1) for feature in features]
        draw = captured(partial(generator.dec.coarse, style, shared))
        bench.measure(f"coarse image, CUDA graph, batch {batch}", draw, dtype, batch, batch * flops[0])
        if options.compile:
            what = f"coarse image, torch.compile, batch {batch}"
            compiled = partial(torch.compile(generator.dec.coarse, dynamic=False), style, shared)
            bench.measure(what, compiled, dtype, batch, batch * flops[0])
    block = generator.dec.refine_block
    if block is None:
        return
    image = torch.rand(1, 3, options.size, options.size, device=bench.device)
    image = image.contiguous(memory_format=torch.channels_last)

    def fused() -> Tensor:
        x = image.to(dtype)
        for layer in block.convs[::2]:
            x = torch.cudnn_convolution_relu(x, layer.weight, layer.bias, (1, 1), (1, 1), (1, 1), 1)
        return image + block.final_conv(x)

    off = float((fused() - block(image)).abs().max())
    bench.notes[f"fused refine block against the plain one, {str(dtype)[6:]}"] = off
    bench.measure("refine block, cuDNN's fused convolutions", fused, dtype, flops=flops[1])
    if options.compile:
        compiled_block = torch.compile(block, dynamic=False)
        bench.measure("refine block, torch.compile", lambda: compiled_block(image), dtype, flops=flops[1])


def captured(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Work as a CUDA graph, whose inputs stay where they are."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = work()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def stage_2(bench: Bench, options: argparse.Namespace, dtype: torch.dtype) -> None:
    """Motion codes of ten seconds of voice, and the first frame after its first second."""
    network, generator = MotionTransformer(options.variant), generator_of(options, bench.device).to(dtype)
    positions = network.pos_embed.clone()
    key_weights(network).pos_embed.copy_(positions)
    network.to(bench.device)
    source = encode_source(generator, pictures(generator, bench.device))
    start, speech = source.motion[0].float().cpu(), torch.randn(500, network.speech_width)
    for sampler, steps in SAMPLERS[: options.samplers]:
        settings = SpeakSettings(steps=steps, sampler=sampler)
        what = f"{options.variant}, {steps} steps of {sampler}, 10 s of voice"

        def codes(settings: SpeakSettings = settings) -> list[Tensor]:
            return list(speak(network, start, [speech], settings))

        row = bench.measure(what, codes, torch.float32, 250)
        bench.notes[f"{what}: times real time"] = round(10 / row.seconds, 1)

    def first_frame() -> Tensor:
        settings = SpeakSettings(steps=SAMPLERS[1][1], sampler=SAMPLERS[1][0])
        codes = next(speak(network, start, [speech[:50]], settings))
        frames = next(render_motion(generator, source, ImplicitMotion(codes)[:1]))
        return to_uint8(frames).cpu()

    what = f"first frame after the first second of voice, {SAMPLERS[1][1]} steps of {SAMPLERS[1][0]}"
    bench.measure(what, first_frame, dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description="IF-MDM's networks with weights made of keys.")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--width", type=int, default=512, help="most channels of stage 1")
    parser.add_argument("--style", type=int, default=512, help="numbers of a style code")
    parser.add_argument("--refine", type=int, default=512, help="channels of the refine block, 0 for none")
    parser.add_argument("--variant", default="DiT-A0", help="of the transformer")
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16], help="the last one with the refine block")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "float16", "bfloat16"])
    parser.add_argument("--samplers", type=int, default=len(SAMPLERS), help="how many of stage 2's are measured")
    parser.add_argument("--compile", action="store_true", help="torch.compile, too, which takes a minute to begin")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of PyTorch")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    begin, bench = time.perf_counter(), Bench(host.current().device, options.seconds, options.json)
    print(f"{bench.notes['device']}, torch {torch.__version__}; targets on an H100: {TARGETS}\n\n{HEAD}")
    reference = None
    for dtype in (getattr(torch, name) for name in options.dtypes):
        with bench.attempt(f"stage 1, {str(dtype)[6:]}"):
            reference = stage_1(bench, options, dtype, reference)
    with bench.attempt("stage 2"):
        stage_2(bench, options, torch.float16 if bench.device.type == "cuda" else torch.float32)
    bench.notes["copy, GB/s"] = round(bench.bandwidth() / 1e9)
    bench.finish(time.perf_counter() - begin)


if __name__ == "__main__":
    main()
