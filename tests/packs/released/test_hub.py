"""Fetching the published files: resumed after an interruption, held against their hashes, cancelled."""

import hashlib
import os
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from support.published import (
    BFM,
    FUSE,
    IDENTITY,
    MOTION,
    REGRESSOR,
    UNET_2D,
    VIDEO,
)

from mimaface.cli import main as cli
from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.packs.released import hub

# -- checking


class Hub(BaseHTTPRequestHandler):
    """Serves `files` as the hub does: small ones at once, large ones from a store that it points to."""

    files: dict  # place → content
    asked: list
    cut: dict  # place → after how many bytes the connection breaks, as often as there are numbers
    tags: dict  # place → what the hub states instead of the truth

    def do_GET(self):
        place = unquote(urlsplit(self.path).path).lstrip("/")
        store = place.startswith("store/")
        place = place.removeprefix("store/").replace("/resolve/main/", "/")
        content = self.files.get(place)
        if content is None:
            return self.send_error(404)
        large = len(content) > 100
        digest = hashlib.sha256(content).hexdigest()
        if not large:
            digest = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        digest = self.tags.get(place, digest)
        if large and not store:
            self.send_response(302)
            self.send_header("Location", f"/store/{place}?signature=x")
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("X-Linked-Etag", f'"{digest}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.asked.append((place, begin))
        cuts = self.cut.get(place)
        end = begin + cuts.pop(0) if cuts else None
        if begin and begin >= len(content):
            return self.send_error(416)
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.send_header("ETag", '"elsewhere"' if large else f'W/"{digest}"')
        self.end_headers()
        with suppress(ConnectionError):  # who has it already hangs up
            self.wfile.write(content[begin:end])
        self.close_connection = True
        return None

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    """A hub of our own; its class holds what it serves."""
    served = type("Served", (Hub,), {"files": {}, "asked": [], "cut": {}, "tags": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), served)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


FILE = "MIMAFace/MIMAFace/a b.pth"
CONTENT = bytes(range(256)) * 9000  # 2.3 MB


def get(path, wait=0.0):
    return hub.fetch(f"{os.environ['HF_ENDPOINT']}MIMAFace/MIMAFace/resolve/main/a%20b.pth", path, wait)


def test_an_interrupted_download_is_gone_on_with(server, tmp_path):
    path = tmp_path / "new" / "a.pth"
    server.files[FILE] = CONTENT
    server.cut[FILE] = [1_500_000, 300_000]
    assert get(path) is True
    assert path.read_bytes() == CONTENT and [begin for _, begin in server.asked] == [0, 1_500_000, 1_800_000]
    assert get(path) is False and [file.name for file in path.parent.iterdir()] == ["a.pth"]

    # What the network never lets through is an error, and kept for another day.
    path.unlink()
    server.cut[FILE] = [1_000_000] + [0] * 20
    with pytest.raises(InputError, match="what has arrived is kept"):
        get(path)
    assert not path.exists() and (path.parent / "a.pth.part").stat().st_size == 1_000_000
    server.cut.clear()
    server.asked.clear()
    assert get(path) is True and path.read_bytes() == CONTENT and server.asked == [(FILE, 1_000_000)]

    # A file that another tool left half done is gone on with, too, and a stale half is fetched anew.
    server.asked.clear()
    path.write_bytes(CONTENT[:2_000_000])
    assert get(path) is True and path.read_bytes() == CONTENT and server.asked[-1] == (FILE, 2_000_000)
    path.unlink()
    (path.parent / "a.pth.part").write_bytes(b"x" * 5000)
    assert get(path) is True and path.read_bytes() == CONTENT
    path.unlink()
    (path.parent / "a.pth.part").write_bytes(CONTENT + b"more")
    assert get(path) is True and path.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT, b"{}"])
def test_what_has_another_hash_is_refused(server, tmp_path, content):
    server.files[FILE] = content
    server.tags[FILE] = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(InputError, match="not the file that the hub states"):
        get(tmp_path / "a.pth")
    assert list(tmp_path.iterdir()) == []
    server.tags.clear()
    assert get(tmp_path / "a.pth") and (tmp_path / "a.pth").read_bytes() == content


def test_a_download_can_be_cancelled(server, tmp_path):
    class Stopping(host.Host):
        def show(self, progress, preview=None):
            if progress.done:
                self.cancel()

    server.files[FILE] = CONTENT
    with host.use(Stopping()), pytest.raises(Cancelled):
        get(tmp_path / "a.pth")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth.part"]
    assert get(tmp_path / "a.pth") and (tmp_path / "a.pth").read_bytes() == CONTENT


def test_absent_files_and_hubs(server, tmp_path, monkeypatch):
    with pytest.raises(hub.Absent):
        get(tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"pretrained_unet/unet.pth is not there"):
        hub.download_released(tmp_path, wait=0)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9/")
    with pytest.raises(InputError, match="look after the connection"):
        get(tmp_path / "a.pth")


def test_the_published_files_are_fetched_to_their_places(server, tmp_path, capsys):
    places = [UNET_2D, MOTION, FUSE, f"{VIDEO}/vision_encoder/model.safetensors", REGRESSOR, IDENTITY, BFM]
    places.append(f"{VIDEO}/vision_encoder/config.json")
    server.files = {f"MIMAFace/MIMAFace/{place}": place.encode() * 9 for place in places}
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        server.files[f"stabilityai/sd-vae-ft-mse/{name}"] = name.encode()
    (tmp_path / "published").mkdir()
    fetched = hub.download_released(tmp_path / "published", wait=0)
    assert {path.relative_to(tmp_path / "published").as_posix() for path in fetched} == {
        *places,
        "sd-vae-ft-mse/config.json",
        "sd-vae-ft-mse/diffusion_pytorch_model.safetensors",
    }
    assert hub.download_released(tmp_path / "published", wait=0) == []
    # The command says so first, fetches, and then finds that these are no weights.
    assert cli.main(["pack", "convert", str(tmp_path / "published"), str(tmp_path / "out"), "--download"]) == 2
    said = capsys.readouterr().err
    assert "states no licence" in said.splitlines()[0] and "research only" in said.splitlines()[0]
    assert "3dunet.pth cannot be read" in said and not (tmp_path / "out").exists()
