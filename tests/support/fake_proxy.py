"""A stand-in for a proxy that speaks the Comfy API v2 in front of `FakeQueue`, as comfy-api-proxy 0.1.6 does."""

import json
import uuid
from urllib.parse import parse_qs, unquote

from support.fake_queue import FakeQueue, Handler


class FakeProxy(FakeQueue):
    """Jobs, assets and idempotency keys; the routes of ComfyUI are not there."""

    def __init__(self, **options):
        self.jobs: dict[str, str] = {}  # label by id
        self.keys: set[str] = set()
        self.assets: dict[str, str] = {}  # path of an input by id
        super().__init__(handler=_ProxyHandler, **options)

    def job(self, name):
        status, outputs, error = "expired", [], None
        if name in self.history:
            entry = self.history[name]
            status = "succeeded"
            for _, details in entry["status"]["messages"]:
                status, error = "failed", {"code": "node_execution_error", "message": details["exception_message"]}
                error["class_type"] = details["node_type"]
            for node, shown in entry["outputs"].items():
                for image in shown["images"]:
                    path = f"{image['subfolder']}/{image['filename']}"
                    outputs.append({"node_id": node, "name": image["filename"], "id": path.replace("/", "!")})
        elif self.running and self.running[0] == name:
            status = "running"
        elif name in [key for key, _ in self.queue]:
            status = "queued"
        return {"id": name, "status": status, "outputs": outputs, "error": error, "metadata": self.jobs[name]}


class _ProxyHandler(Handler):
    def _effect(self, where, body):
        server, parts = self.server, where.path.split("/")[1:]
        if parts[:2] != ["api", "v2"]:
            return b"not found", 404
        if parts[2:] == ["health"]:
            return {"status": "healthy"}, 200
        if parts[2:] == ["jobs"]:
            if body:
                return self._submit(json.loads(body))
            limit = int(parse_qs(where.query)["limit"][0])
            if limit > 100:
                return error("invalid_request", "'limit' must be between 1 and 100."), 400
            return {"jobs": [server.job(name) for name in list(server.jobs)[::-1][:limit]], "truncated": False}, 200
        if parts[2] == "jobs" and parts[4:] == ["cancel"]:
            server.queue = [entry for entry in server.queue if entry[0] != parts[3]]
            server.running = None
            return server.job(parts[3]), 200
        if parts[2] == "jobs":
            return (server.job(parts[3]), 200) if parts[3] in server.jobs else (error("not_found"), 404)
        if parts[2:] == ["assets"]:
            fields = self._parts(body)
            name = uuid.uuid4().hex
            server.assets[name] = fields["file_path"][1].decode()
            server.uploads.append(server.assets[name])
            return {"id": name, "hash": "blake3:0", "file_path": server.assets[name]}, 201
        content = server.files.get(unquote(parts[3]).replace("!", "/"))
        return (error("output_unavailable"), 404) if content is None else (content, 200)

    def _submit(self, told):
        server, key = self.server, self.headers["Idempotency-Key"]
        prompt = told["workflow"]
        for node in prompt.values():
            for value in node["inputs"].values():
                if isinstance(value, dict) and value["info"]["id"] not in server.assets:
                    return error("missing_asset"), 422
        lacking = {node["class_type"] for node in prompt.values()} - server.infos.keys()
        if lacking:
            return error("invalid_workflow", f"Cannot execute because node {min(lacking)} does not exist."), 422
        if key in server.keys:
            return error("idempotency_key_reuse"), 422
        server.keys.add(key)
        name = str(uuid.uuid4())
        server.jobs[name] = told["metadata"]
        server.posted.append(key)
        server.queue.append((name, prompt))
        return server.job(name), 201


def error(code, message="no"):
    return {"error": {"code": code, "message": message, "details": None}}
