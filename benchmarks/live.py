"""The time from a driver's frame to the picture in `mimaface live`, while a video plays at its own pace.

`python benchmarks/live.py --json live.json`, with the project installed as by `make demo`, and aiohttp. A reader asks
the server for frame after frame over its websocket, as the page does. CPU time is of server and reader together.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path

import torch
from aiohttp.test_utils import TestClient, TestServer
from measuring import name

from mimaface.cli.demo import DRIVER
from mimaface.live.server import LiveServer
from mimaface.mimaface_core.allocator import hold_freed
from mimaface.mimaface_core.live import live_source
from mimaface.mimaface_core.packs.find import open_pack

PORTRAIT = Path(__file__).parents[1] / "assets" / "portrait.jpg"
TARGET = 250  # ms from frame to picture
RENDERS = ":renders"  # behind a pack's name: without diffusion
WARM_UP = 20  # frames, by which the driver is known


async def measured(server: LiveServer, count: int) -> dict[str, float]:
    """Milliseconds from frame to picture of `count` pictures, their rate, and the processor's time for one."""
    async with TestClient(TestServer(server.application())) as client:
        messages = await client.ws_connect("/frames")
        await messages.send_str(f"feed {server.feed}")
        latencies: list[float] = []
        while len(latencies) < WARM_UP + count:
            if len(latencies) == WARM_UP:
                began, used = time.perf_counter(), time.process_time()
            await messages.send_str("next")
            note = json.loads((await messages.receive()).data)
            if "milliseconds" in note:
                await messages.receive()
                latencies.append(note["milliseconds"])
        seconds, used = time.perf_counter() - began, time.process_time() - used
    latencies = sorted(latencies[WARM_UP:])
    return {
        "median": statistics.median(latencies),
        "95 of 100": latencies[int(0.95 * (len(latencies) - 1))],
        "a second": count / seconds,
        "CPU ms": 1000 * used / count,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packs", nargs="+", default=["bundled-implicit", "bundled", f"bundled{RENDERS}"])
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    hold_freed()  # as the command does
    rows = {}
    print(f"{name(torch.device('cpu'))}; at most {TARGET} ms are wanted\n")
    print("| pack | frame to picture, median | 95 of 100 | pictures a second | CPU time of one |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for each in options.packs:
        pack = open_pack(each.removesuffix(RENDERS))
        server = LiveServer(pack, live_source(pack, PORTRAIT), str(DRIVER), diffuse=not each.endswith(RENDERS))
        row = rows[each] = asyncio.run(measured(server, options.frames))
        print(
            f"| {each} | {row['median']:.0f} ms | {row['95 of 100']:.0f} ms | {row['a second']:.1f}"
            f" | {row['CPU ms']:.0f} ms |"
        )
    if options.json:
        options.json.write_text(json.dumps({"device": name(torch.device("cpu")), "packs": rows}, indent=1))


if __name__ == "__main__":
    main()
