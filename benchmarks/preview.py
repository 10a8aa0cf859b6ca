"""Latency of the editor's preview: a server with the route in one process, a page that drags in another.

`python benchmarks/preview.py [--size 256] [--requests 200]`, with the project importable as `mimaface`. Prints JSON:
milliseconds from a request to its picture, decoded, as median and 95th percentile.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 5  # requests


def serve(photograph: Path) -> None:
    """Measure a face and answer previews of it; the address and the key are printed."""
    from aiohttp import web

    from mimaface.mimaface_core import load_pack, measure
    from mimaface.nodes.comfyui.preview_route import add_editor_routes
    from mimaface.nodes.previews import STORE

    source, _ = measure(load_pack(), photograph)
    routes = web.RouteTableDef()
    add_editor_routes(routes, STORE)
    application = web.Application()
    application.add_routes(routes)

    async def say(_: web.Application) -> None:
        print(json.dumps({"key": STORE.offer(source)}), flush=True)

    application.on_startup.append(say)
    web.run_app(application, host="127.0.0.1", port=8977, print=None)


def drag(key: str, size: int, count: int) -> list[float]:
    """Milliseconds of each request, one after another: the head turns, the mouth opens, eyes and lids move."""
    import httpx
    from PIL import Image

    taken = []
    with httpx.Client() as client:
        for number in range(count + WARM_UP):
            wave = math.sin(number / 7)
            controls = {
                "yaw": 20 * wave,
                "pitch": 8 * math.cos(number / 5),
                "mouth_open": 0.4 + 0.4 * wave,
                "gaze_x": wave,
                "blink_right": max(0.0, math.cos(number / 3)),
                "mouth_smile_left": 0.5 * wave,
            }
            body = {"source": key, "size": size, "edit": {"version": 1, "controls": controls}}
            start = time.perf_counter()
            answer = client.post("http://127.0.0.1:8977/mimaface/preview", json=body, timeout=60)
            answer.raise_for_status()
            Image.open(BytesIO(answer.content)).load()
            taken.append(1e3 * (time.perf_counter() - start))
    return taken[WARM_UP:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--photograph", type=Path, default=ROOT / "assets" / "portrait.jpg")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.photograph)
        return
    command = [sys.executable, __file__, "--serve", "--photograph", str(arguments.photograph)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            key = json.loads(server.stdout.readline())["key"]
            taken = sorted(drag(key, arguments.size, arguments.requests))
        finally:
            server.terminate()
    p95 = taken[math.ceil(0.95 * len(taken)) - 1]
    median = statistics.median(taken)
    print(json.dumps({"size": arguments.size, "median_ms": round(median, 1), "p95_ms": round(p95, 1)}))


if __name__ == "__main__":
    main()
