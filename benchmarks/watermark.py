"""The watermark after what the web does to a video, its visibility, its cost, and its false alarms.

`python benchmarks/watermark.py survive a.jpg b.jpg c.jpg`, or `seen a.jpg`, or `unmarked FOLDER`; `--json FILE`.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import imageio_ffmpeg
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from mimaface.cli.demo import DRIVER
from mimaface.mimaface_core import load_pack, measure, retarget, smooth
from mimaface.mimaface_core.drawing import render
from mimaface.mimaface_core.media.frames import Frames
from mimaface.mimaface_core.media.image import read_image
from mimaface.mimaface_core.media.marks.find import Found, find_watermark
from mimaface.mimaface_core.media.marks.report import watermark_of
from mimaface.mimaface_core.media.provenance import own_watermark
from mimaface.mimaface_core.media.read import Clip
from mimaface.mimaface_core.media.write import VideoWriter
from mimaface.mimaface_core.tensors import to_uint8

SIDES = (256, 512, 1080)  # pixels at which a clip is marked; all else is done to the middle one
AMPLIFIED = 8


def x264(crf: int) -> list[str]:
    return ["-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), "-pix_fmt", "yuv420p"]


def filtered(how: str, crf: int = 23) -> list[str]:
    return ["-vf", how, *x264(crf)]


VP9 = ["-c:v", "libvpx-vp9", "-b:v", "0", "-crf", "35", "-deadline", "good", "-cpu-used", "8"]
# What is done, in ffmpeg's arguments, one list a generation. Of a clip of 512 pixels, as Combine Video wrote it.
READ = {
    "nothing": [],
    "x264 crf 23": [x264(23)],
    "x264 crf 28": [x264(28)],
    "VP9 crf 35": [VP9],
    **{f"scaled to {side}": [filtered(f"scale={side}:{side}")] for side in (256, 384, 720, 1080)},
    "cropped to 80 %": [filtered("crop=0.8*iw:0.8*ih")],
    "cropped to 60 %": [filtered("crop=0.6*iw:0.6*ih")],
    "cropped to 60 %, a corner": [filtered("crop=0.6*iw:0.6*ih:0:0")],
    "cropped to 60 %, scaled back": [filtered("crop=0.6*iw:0.6*ih,scale=512:512")],
    "mirrored": [filtered("hflip")],
    "turned by 5°": [filtered("rotate=5*PI/180")],
    "turned by −5°": [filtered("rotate=-5*PI/180")],
    "pasted at 384 into 1280×720, crf 26": [filtered("scale=384:384,pad=1280:720:300:200:gray", 26)],
    "two generations, crf 23 and 28": [x264(23), x264(28)],
    "first 2 s alone, crf 23": [["-t", "2", *x264(23)]],
    "one frame as PNG": [["-ss", "1", "-frames:v", "1"]],
}
FOUND = {
    "x264 crf 33": [x264(33)],
    "filmed off a screen": [
        filtered("scale=446:446:flags=bilinear,pad=1280:720:211:97:0x303030,noise=alls=3:allf=t,fps=30", 28)
    ],
    "brighter by 20 %": [filtered("lutrgb=r=val*1.2:g=val*1.2:b=val*1.2")],
    "darker by 20 %": [filtered("lutrgb=r=val*0.8:g=val*0.8:b=val*0.8")],
    "contrast + 20 %": [filtered("eq=contrast=1.2")],
    "contrast − 20 %": [filtered("eq=contrast=0.8")],
}


def rendered(photograph: Path, driver: Path, seconds: float) -> Iterator[Tensor]:
    """Frames, uint8 [512, 512, 3], of a photograph that moves like the driver, forwards and backwards."""
    pack = load_pack("bundled")
    source, _ = measure(pack, photograph)
    _, motion = measure(pack, driver)
    motion = smooth(retarget(motion, source))
    once = [to_uint8((frame[:3].permute(1, 2, 0) + 1) / 2) for frame in render(pack, source, motion)]
    endless = chain.from_iterable(iter(lambda: once + once[-2:0:-1], None))
    return islice(endless, round(seconds * motion.fps))


def write(path: Path, frames: Iterable[Tensor], fps: float, kind: str = "mp4", marked: bool = True) -> Path:
    with VideoWriter(path, fps, kind, watermark=own_watermark() if marked else None) as writer:
        for frame in frames:
            writer.write(frame)
    return writer.path


def resized(frame: Tensor, side: int) -> Tensor:
    image = frame.permute(2, 0, 1)[None].float()
    return F.interpolate(image, (side, side), mode="bicubic", antialias=True)[0].permute(1, 2, 0).clamp(0, 255).byte()


def changed(file: Path, generations: list[list[str]], folder: Path) -> Path:
    """The file after so many runs of ffmpeg."""
    for number, arguments in enumerate(generations):
        kind = ".png" if "-frames:v" in arguments else ".webm" if "libvpx-vp9" in arguments else ".mp4"
        file, before = folder / f"{number}{kind}", file
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-i", before, *arguments]
        subprocess.run([*command, file], check=True)
    return file


def row(what: str, found: list[Found], needed: bool) -> dict:
    """A line of the table: worst of all clips."""
    told = {
        "what": what,
        "coherence": [round(one.coherence, 3) for one in found],
        "coded bits right": [round(one.agreement, 3) for one in found],
        "payload right": sum(one.payload == own_watermark().payload for one in found),
        "found": sum(one.certain for one in found),
        "of": len(found),
        "asked": "payload" if needed else "found",
    }
    print(
        f"| {what} | {told['asked']} | {told['payload right']} of {len(found)} | {told['found']} of {len(found)}"
        f" | {min(told['coherence']):.2f} | {min(told['coded bits right']):.2f} |",
        flush=True,
    )
    return told


def survive(photographs: list[Path], driver: Path, seconds: float) -> list[dict]:
    """Every change, of a clip of each photograph."""
    print("| change | asked | payload right | found | coherence, worst | coded bits right, worst |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    fps, rows = Clip.open(driver).fps, []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain = [
            write(folder / f"{number}", rendered(photograph, driver, seconds), fps, "lossless", marked=False)
            for number, photograph in enumerate(photographs)
        ]
        for side in SIDES:
            clips = [
                write(folder / f"{file.stem}-{side}", (resized(frame, side) for frame in Clip.open(file)), fps)
                for file in plain
            ]
            changes = READ | FOUND if side == 512 else {f"marked at {side}, crf 23": READ["x264 crf 23"]}
            for what, generations in changes.items():
                found = [watermark_of(Frames.open(changed(file, generations, folder))) for file in clips]
                rows.append(row(what, found, what not in FOUND))
        stills = [write(file.with_suffix(".png"), [next(iter(Clip.open(file)))], fps, "png") for file in plain]
        rows.append(row("a still, written as PNG", [watermark_of(Frames.open(file)) for file in stills], True))
    return rows


def sharpness(frames: Iterable[Tensor]) -> float:
    """Mean variance of the Laplacian of the luma at 256 pixels."""
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])[None, None]
    luma = (resized(frame, 256).float() @ torch.tensor([0.299, 0.587, 0.114]) for frame in frames)
    return statistics.mean(float(F.conv2d(image[None, None], kernel).var()) for image in luma)


def milliseconds(frame: Tensor, height: int, width: int) -> float:
    """The fastest of many: other work on the machine is not the mark's."""
    image = frame.permute(2, 0, 1)[None].float()
    frame = F.interpolate(image, (height, width))[0].permute(1, 2, 0).byte().contiguous()
    mark, times = own_watermark(), []
    for _ in range(60):
        start = time.perf_counter()
        mark(frame)
        times.append(time.perf_counter() - start)
    return 1e3 * min(times[1:])


def seen(photographs: list[Path], driver: Path, seconds: float, sheet: Path | None) -> list[dict]:
    """What the mark changes in a clip of each photograph, and what it costs."""
    print("| photograph | PSNR, dB | sharpness, times | size of the mp4, times | ms a frame at 512² | at 1920×1080 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    fps, rows, tiles = Clip.open(driver).fps, [], []
    with tempfile.TemporaryDirectory() as name:
        for photograph in photographs:
            frames, mark = list(rendered(photograph, driver, seconds)), own_watermark()
            errors = [(mark(frame).float() - frame).square().mean() for frame in frames[::10]]
            files = [write(Path(name, str(marked)), frames, fps, marked=marked) for marked in (False, True)]
            sharp = [sharpness(islice(Clip.open(file), 0, None, 5)) for file in files]
            told = {
                "photograph": photograph.name,
                "PSNR": float(10 * torch.log10(255**2 / torch.stack(errors).mean())),
                "sharpness": sharp[1] / sharp[0],
                "size": files[1].stat().st_size / files[0].stat().st_size,
                "ms at 512²": milliseconds(frames[0], 512, 512),
                "ms at 1920×1080": milliseconds(frames[0], 1080, 1920),
            }
            print("|", " | ".join(x if isinstance(x, str) else f"{x:.3f}" for x in told.values()), "|", flush=True)
            rows.append(told)
            for plain in (frames[0], torch.full_like(frames[0], 190)):
                marked = mark(plain)
                amplified = (128 + AMPLIFIED * (marked.float() - plain)).clamp(0, 255).byte()
                tiles.append(torch.cat([plain, marked, amplified], 1))
    if sheet is not None:
        Image.fromarray(torch.cat(tiles).numpy()).save(sheet)
    return rows


def variants(image: Tensor, count: int, seed: int) -> Iterator[Tensor]:
    """The image, then random turns, crops, sizes and JPEGs of it, uint8 [H, W, 3]."""
    yield image
    chance = torch.Generator().manual_seed(seed)
    for _ in range(count - 1):
        size, left, top, turn, quality = torch.rand(5, generator=chance).tolist()
        picture = Image.fromarray(image.numpy()).rotate(10 * turn - 5, Image.Resampling.BILINEAR)
        width, height = (round(side * (0.6 + 0.4 * size)) for side in picture.size)
        left, top = round(left * (picture.width - width)), round(top * (picture.height - height))
        scale = 0.8 + turn
        picture = picture.crop((left, top, left + width, top + height))
        picture = picture.resize((round(width * scale), round(height * scale)))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=round(30 + 65 * quality))
        yield to_uint8(read_image(file))


def unmarked(folder: Path, count: int) -> list[dict]:
    """How many of so many unmarked images are taken for marked ones."""
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in (".jpg", ".png"))
    each, found = -(-count // len(files)), []
    for number, file in enumerate(files):
        found += [find_watermark([one]) for one in variants(to_uint8(read_image(file)), each, number)]
        if number % 50 == 0:
            print(f"{len(found)} images, highest coherence {max(one.coherence for one in found):.3f}", flush=True)
    coherences = [one.coherence for one in found]
    told = {"images": len(found), "false alarms": sum(one.certain for one in found), "highest": max(coherences)}
    told |= {"mean": statistics.mean(coherences), "deviation": statistics.pstdev(coherences)}
    print(told)
    return [told]


def main() -> None:
    parser = argparse.ArgumentParser(description="The watermark: what it survives, what is seen of it, false alarms.")
    parser.add_argument("what", choices=["survive", "seen", "unmarked"])
    parser.add_argument("paths", type=Path, nargs="+", help="photographs; of unmarked, a folder of images")
    parser.add_argument("--driver", type=Path, default=DRIVER, help="the clip that they move like (the demo's)")
    parser.add_argument("--seconds", type=float, default=16)
    parser.add_argument("--images", type=int, default=10_000, help="of unmarked: how many")
    parser.add_argument("--sheet", type=Path, help="of seen: a PNG of plain, marked, and the mark × 8")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.what == "survive":
        rows = survive(options.paths, options.driver, options.seconds)
    elif options.what == "seen":
        rows = seen(options.paths, options.driver, options.seconds, options.sheet)
    else:
        rows = unmarked(options.paths[0], options.images)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
