"""The editor's routes and runs, without a ComfyUI: what is asked is kept, and how the server fares can be set."""

import asyncio
import json
import uuid
from zlib import crc32

from aiohttp import web

from mimaface.mimaface_core.morphable.bundled.controls import controls_for_page
from mimaface.mimaface_core.morphable.bundled.presets import presets_for_page
from support import fake_face

EDITORS = ("MIMAFaceEditMotion", "MIMAFaceKeyframeMotion")
LINKED = {"yaw": 25.0}  # what a run finds at the other end of a slider's link
WAVEFORM = [abs(i % 50 - 25) / 25 for i in range(300)]
TIMELINE = {"fps": 25.0, "length": 3.0, "waveform_seconds": 3.0, "waveform": WAVEFORM}


def upstream(graph, link):
    """A key that is the same for the same nodes before a link."""
    before = [graph[link[0]]]
    for node in before:
        before += [graph[value[0]] for value in node["inputs"].values() if isinstance(value, list)]
    return f"{crc32(json.dumps([node['inputs'] for node in before], sort_keys=True).encode()):08x}"


class FakeEditor:
    """State of the fake server: `mode` is "well", "gone" where its sources are, "cached" where runs find all made."""

    def __init__(self):
        self.mode, self.delay = "well", 0.0
        self.asked, self.now, self.most, self.prompts, self.sockets = [], 0, 0, [], []
        self.history = {}

    def routes(self):
        return [
            web.get("/api/mimaface/controls", self.controls),
            web.get("/api/mimaface/presets", self.presets),
            web.post("/api/mimaface/preview", self.preview),
            web.post("/api/prompt", self.prompt),
            web.get("/api/history/{prompt}", self.ran),
            web.post("/fake", self.set),
            web.get("/fake", self.tell),
        ]

    async def controls(self, request):
        return web.json_response(controls_for_page())

    async def presets(self, request):
        return web.json_response(presets_for_page())

    async def preview(self, request):
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            given = await request.json()
            self.asked.append(given)
            await asyncio.sleep(self.delay)
            if self.mode == "gone":
                return web.json_response({"error": "The source is gone: queue the workflow again."}, status=404)
            picture, handles = fake_face.draw(given["source"], given["edit"], given["size"])
            headers = {"X-MIMAFace-Handles": json.dumps(handles)}
            return web.Response(body=picture, content_type="image/jpeg", headers=headers)
        finally:
            self.now -= 1

    async def prompt(self, request):
        """Runs nothing, but gives each editor in the graph the source it is connected to."""
        graph, number = (await request.json())["prompt"], str(uuid.uuid4())
        self.prompts.append(graph)

        async def run():
            await self.tell_all("execution_start", {"prompt_id": number})
            outputs = self.history.setdefault(number, {"outputs": {}})["outputs"]
            if self.mode == "cached":
                await self.tell_all("execution_cached", {"nodes": list(graph), "prompt_id": number})
            for key, node in graph.items():
                if node["class_type"] in EDITORS:
                    key_of_source = upstream(graph, node["inputs"]["face"])
                    shown = {"source": key_of_source, "size": [320, 300]} | (
                        TIMELINE if node["class_type"] == "MIMAFaceKeyframeMotion" else {}
                    )
                    if isinstance(node["inputs"].get("yaw"), list):
                        shown["sliders"] = LINKED
                    outputs[key] = {"mimaface_editor": [shown]}
                    told = {"node": key, "display_node": key, "output": outputs[key], "prompt_id": number}
                    if self.mode != "cached":
                        await self.tell_all("executed", told)
            await self.tell_all("execution_success", {"prompt_id": number})
            await self.tell_all("executing", {"node": None, "prompt_id": number})
            await self.tell_all("status", {"status": {"exec_info": {"queue_remaining": 0}}})

        self.running = asyncio.create_task(run())
        return web.json_response({"prompt_id": number, "number": len(self.prompts), "node_errors": {}})

    async def ran(self, request):
        prompt = request.match_info["prompt"]
        return web.json_response({prompt: self.history[prompt]})

    async def tell_all(self, kind, data):
        for socket in self.sockets:
            if not socket.closed:
                await socket.send_json({"type": kind, "data": data})

    async def set(self, request):
        for name, value in (await request.json()).items():
            setattr(self, name, value)
        return web.Response()

    async def tell(self, request):
        return web.json_response({"asked": self.asked, "most": self.most, "prompts": self.prompts})
