"""Serves ComfyUI's real front end with this extension, without a ComfyUI: serve.py BASE PORT.

BASE is a base folder of ComfyUI. Nothing is computed: a run gives the editors their sources and ends, and the faces of
the previews are drawn (support/fake_face.py).
"""

import json
import os
import sys
from pathlib import Path

import comfyui_frontend_package
from aiohttp import web

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from support import checkout  # noqa: F401 - makes the package importable
from support.fake_editor import FakeEditor

from mimaface.headless import node_classes

PACK = "ComfyUI-MIMAFace"
PAGE = Path(comfyui_frontend_package.__file__).parent / "static"
QUIET = {  # answers of a server that has just been started
    "users": {"storage": "server", "migrated": True},
    "system_stats": {"system": {"comfyui_version": "0.3.64", "argv": []}, "devices": []},
    "features": {},
    "extensions": [f"/extensions/{PACK}/{file.relative_to(ROOT / 'web')}" for file in (ROOT / "web").rglob("*.js")],
    "userdata": [],
    "queue": {"queue_running": [], "queue_pending": []},
    "history": {},
    "jobs": {"jobs": [], "pagination": {"offset": 0, "limit": 0, "total": 0, "has_more": False}},
}


def object_info(inputs: Path) -> dict:
    """All node definitions, with the files of the input folder to choose from."""
    infos = node_classes.object_info(node_classes.node_classes())
    files = sorted(path.name for path in inputs.iterdir())
    for name, info in infos.items():
        info["python_module"] = f"custom_nodes.{PACK}" if name.startswith("MIMAFace") else "nodes"
        for _, options in info["input"]["required"].values():
            if any(kind.endswith("_upload") for kind in options):
                options["options"] = files
    return infos


def translations() -> dict:
    """The texts of locales/ as {language: {file: …}}."""
    return {
        folder.name: {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("*.json")}
        for folder in (ROOT / "locales").iterdir()
    }


def blueprints(data: bool = False) -> dict:
    """The blueprints by their number, as ComfyUI lists them; with `data` also the graph of each."""
    files = sorted((ROOT / "subgraphs").glob("*.json"))
    return {
        str(number): {"source": "custom_node", "name": file.stem, "info": {"node_pack": f"custom_nodes.{PACK}"}}
        | ({"data": file.read_text(encoding="utf-8")} if data else {})
        for number, file in enumerate(files)
    }


def json_answer(content):
    """A handler that answers with JSON; where `content` is a function, it is called for each request."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(content() if callable(content) else content)

    return answer


def application(base: Path) -> web.Application:
    """The page, its files and this extension's, and the answers it needs before it shows a graph."""
    settings: dict = {}
    editor = FakeEditor()

    async def index(request):
        return web.FileResponse(PAGE / "index.html")

    async def keep(request):
        value = await request.json()
        settings.update({request.match_info["name"]: value} if "name" in request.match_info else value)
        return web.Response()

    async def view(request):
        file = base / request.query.get("type", "output") / request.query["filename"]
        return web.FileResponse(file) if file.is_file() else web.Response(status=404)

    async def upload(request):
        form = await request.post()
        answer = {"name": form["image"].filename, "subfolder": form["subfolder"], "type": form["type"]}
        return web.json_response(answer)

    async def blueprint(request):
        return web.json_response(blueprints(data=True)[request.match_info["number"]])

    async def listen(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        editor.sockets.append(socket)
        status = {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "test"}
        await socket.send_json({"type": "status", "data": status})
        async for _ in socket:
            pass
        return socket

    templates = {PACK: sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))}
    application = web.Application()
    application.add_routes(
        [
            web.get("/", index),
            web.get("/ws", listen),
            web.get("/api/object_info", json_answer(lambda: object_info(base / "input"))),
            web.get("/api/i18n", json_answer(translations)),
            web.get("/api/workflow_templates", json_answer(templates)),
            web.get("/api/global_subgraphs", json_answer(blueprints)),
            web.get("/api/global_subgraphs/{number}", blueprint),
            web.get("/api/settings", json_answer(settings)),
            web.post("/api/settings", keep),
            web.post("/api/settings/{name}", keep),
            *editor.routes(),
            web.get("/api/view", view),
            web.post("/api/upload/image", upload),
            web.get("/templates/{name}", json_answer([])),  # ComfyUI's own
            *(web.get(f"/api/{name}", json_answer(content)) for name, content in QUIET.items()),
            web.static(f"/api/workflow_templates/{PACK}", ROOT / "workflows"),
            web.static(f"/extensions/{PACK}", ROOT / "web"),
            web.static("/", PAGE),
        ]
    )
    return application


if __name__ == "__main__":
    base, port = Path(sys.argv[1]), int(sys.argv[2])
    os.environ["MIMAFACE_MODELS"] = str(base / "models" / "mimaface")
    web.run_app(application(base), host="127.0.0.1", port=port, access_log=None)
