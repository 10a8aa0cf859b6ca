"""A fake ComfyUI server, HTTP and websocket, whose runs are played by the tests."""

import base64
import hashlib
import json
import queue
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from mimaface.headless.node_classes import object_info
from support.toys import CLASSES

PROMPT = "7"
BLOCK = 1 << 16


class FakeComfyUI(ThreadingHTTPServer):
    """A server with one prompt, of the id PROMPT.

    `on_prompt` is called in a thread of its own when the prompt is posted; it plays the run with `send`, `pending`,
    `running` and `end`. Of large bodies only the size is kept.
    """

    def __init__(self, infos=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.infos = infos or object_info(CLASSES)
        self.posted: list[tuple[str, bytes]] = []
        self.sizes: list[int] = []
        self.viewed: list[str] = []
        self.upload_status = 200
        self.verdict = ({"prompt_id": PROMPT, "node_errors": {}}, 200)
        self.on_prompt = lambda: None
        self.running: list[str] = []
        self.pending: list[str] = []
        self.history: dict | None = None
        self.watched = threading.Event()
        self.polled = threading.Event()
        self.cut_short = 0
        self.outbox: queue.Queue = queue.Queue()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def send(self, kind, **data):
        """A message over the websocket."""
        self.outbox.put(json.dumps({"type": kind, "data": {"prompt_id": PROMPT, **data}}))

    def end(self, outputs=None, status="success", messages=()):
        """The run is over."""
        self.history = {"outputs": outputs or {}, "status": {"status_str": status, "messages": list(messages)}}
        self.running, self.pending = [], []
        self.send("executing", node=None)

    def handle_error(self, request, client_address):
        """A client that hangs up is no fault of the server."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def stop(self):
        """As a process that ends."""
        self.outbox.put(None)
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        where, server = urlsplit(self.path), self.server
        if where.path == "/ws":
            self._watch()
        elif where.path == "/object_info":
            self._send(server.infos)
        elif where.path == f"/history/{PROMPT}":
            self._send({PROMPT: server.history} if server.history else {})
        elif where.path == "/queue":
            entries = {
                "queue_running": [[0, key] for key in server.running],
                "queue_pending": [[number, key] for number, key in enumerate(server.pending)][::-1],
            }
            server.polled.set()
            self._send(entries)
        elif where.path == "/view":
            name = parse_qs(where.query)["filename"][0]
            server.viewed.append(name)
            self._send(name.encode(), more=server.cut_short)
        else:
            self._send(b"not found", 404)

    def do_POST(self):
        server, size = self.server, int(self.headers["Content-Length"])
        body = self.rfile.read(min(size, BLOCK))
        for start in range(len(body), size, BLOCK):
            self.rfile.read(min(BLOCK, size - start))
        server.posted.append((self.path, body))
        server.sizes.append(size)
        if self.path == "/prompt":
            self._send(*server.verdict)
            threading.Thread(target=server.on_prompt, daemon=True).start()
        elif self.path == "/upload/image":
            self._send({"name": "face (1).png", "subfolder": "", "type": "input"}, server.upload_status)
        else:
            self._send(b"")

    def _send(self, content, status=200, more=0):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) + more))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.close_connection or bool(more)

    def _watch(self):
        """The websocket: what is in the outbox, None ends it."""
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key.encode()).digest()).decode())
        self.end_headers()
        self.server.watched.set()
        while (message := self.server.outbox.get()) is not None:
            data = message if isinstance(message, bytes) else message.encode()
            length = bytes([len(data)]) if len(data) < 126 else b"\x7e" + struct.pack("!H", len(data))
            self.wfile.write(bytes([0x82 if isinstance(message, bytes) else 0x81]) + length + data)
        self.close_connection = True

    def log_message(self, *arguments):
        pass
