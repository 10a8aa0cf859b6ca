"""A stand-in for a ComfyUI server with a queue, which fails in the ways that tests ask for."""

import email
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

from PIL import Image

from mimaface.headless.node_classes import object_info
from support.toys import CLASSES


class FakeQueue(ThreadingHTTPServer):
    """A server that runs posted prompts one after another; each makes a grey image of its seed.

    Attributes:
        faults: by the start of a path, faults of the next requests: `500` before or `late 500` after the effect,
            `hang` or `cut` after it.
        forgetful: whether it lists nothing in queue and history.
        broken: whether finished files hold no image.
        seconds: that a prompt takes.
    """

    daemon_threads = True

    def __init__(self, infos=None, port=0, handler=None):
        super().__init__(("127.0.0.1", port), handler or Handler)
        self.infos = infos or object_info(CLASSES)
        self.faults: dict[str, list[str]] = {}
        self.forgetful = self.broken = False
        self.seconds = 0.05
        self.uploads: list[str] = []
        self.posted: list[str] = []
        self.tokens: list[str | None] = []
        self.files: dict[str, bytes] = {}
        self.forget()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        threading.Thread(target=self._work, daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def forget(self):
        """As a restart does: queue and history are lost, files stay."""
        self.queue, self.running, self.history = [], None, {}

    def stop(self):
        self.forget()
        self.shutdown()
        self.server_close()

    def fault(self, path):
        for start, faults in self.faults.items():
            if path.startswith(start) and faults:
                return faults.pop(0)
        return ""

    def _work(self):
        while True:
            time.sleep(0.01)
            if not self.queue:
                continue
            self.running = prompt_id, prompt = self.queue.pop(0)
            time.sleep(self.seconds)
            if self.running != (prompt_id, prompt):
                continue  # forgotten or interrupted
            self.history[prompt_id] = self._run(prompt)
            self.running = None

    def _run(self, prompt):
        trap = next((node for node in prompt.values() if node["class_type"] == "ToyTrap"), {"inputs": {}})["inputs"]
        if trap.get("mode") == "refuse":
            error = {"node_type": "ToyTrap", "exception_type": "mimaface.errors.InputError"}
            error["exception_message"] = "There is no face in the image; choose another."
            return {"outputs": {}, "status": {"status_str": "error", "messages": [["execution_error", error]]}}
        key, save = next((key, node) for key, node in prompt.items() if node["class_type"] == "SaveImage")
        folder, _, name = save["inputs"]["filename_prefix"].rpartition("/")
        stream = BytesIO()
        Image.new("L", (8, 8), trap.get("seed", 0) % 256).save(stream, "PNG")
        self.files[f"{folder}/{name}_00001_.png"] = b"nothing" if self.broken else stream.getvalue()
        entry = {"filename": f"{name}_00001_.png", "subfolder": folder, "type": "output"}
        return {"outputs": {key: {"images": [entry]}}, "status": {"status_str": "success", "messages": []}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self._answer(b"")

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body):
        self.server.tokens.append(self.headers["Authorization"])
        fault = self.server.fault(self.path)
        if fault == "500":
            return self._send(b"out of luck", 500)
        content, status = self._effect(urlsplit(self.path), body)
        if fault == "hang":
            time.sleep(3)
        if fault == "cut":
            self.close_connection = True
        elif fault == "late 500":
            self._send(b"out of luck", 500)
        else:
            self._send(content if isinstance(content, bytes) else json.dumps(content).encode(), status)

    def _effect(self, where, body):
        server = self.server
        if where.path == "/object_info":
            return server.infos, 200
        if where.path.startswith("/history/"):
            key = where.path.rpartition("/")[2]
            return ({key: server.history[key]} if key in server.history and not server.forgetful else {}), 200
        if where.path == "/queue" and not body:
            return self._queue(), 200
        if where.path == "/view":
            query = {key: value[0] for key, value in parse_qs(where.query).items()}
            content = server.files.get(f"{query['subfolder']}/{query['filename']}")
            return (b"", 404) if content is None else (content, 200)
        if where.path == "/upload/image":
            return self._upload(body), 200
        if where.path.startswith("/api/"):
            return b"not found", 404
        told = json.loads(body)
        if where.path == "/prompt":
            server.posted.append(told["prompt_id"])
            server.queue.append((told["prompt_id"], told["prompt"]))
            return {"prompt_id": told["prompt_id"], "node_errors": {}}, 200
        if where.path == "/queue":
            server.queue = [entry for entry in server.queue if entry[0] not in told["delete"]]
        elif where.path == "/interrupt":
            server.running = None
        return b"", 200

    def _queue(self):
        server, listed = self.server, not self.server.forgetful
        running = [[0, server.running[0]]] if server.running and listed else []
        pending = [[number, key] for number, (key, _) in enumerate(server.queue)] if listed else []
        return {"queue_running": running, "queue_pending": pending}

    def _parts(self, body):
        """File name and content of each part of a form, by its name."""
        head = f"Content-Type: {self.headers['Content-Type']}\n\n".encode()
        parts = {}
        for part in email.message_from_bytes(head + body).get_payload():
            name = part.get_param("name", header="content-disposition")
            parts[name] = (part.get_filename(), part.get_payload(decode=True))
        return parts

    def _upload(self, body):
        parts = self._parts(body)
        name, folder = parts["image"][0], parts["subfolder"][1].decode()
        self.server.files[f"{folder}/{name}"] = parts["image"][1]
        self.server.uploads.append(name)
        return {"name": name, "subfolder": folder, "type": "input"}

    def _send(self, body, status):
        self.send_response(status)
        self.send_header("Content-Type", "image/png" if self.path.startswith("/view") else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass
