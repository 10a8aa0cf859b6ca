"""Downloading the released files: resumed after an interruption, checked against their hashes, cancelled."""

import hashlib
import os
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from support.released import (
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


class Hub(BaseHTTPRequestHandler):
    """Serves `files` like the hub: small ones at once, large ones by a redirect to a store."""

    files: dict  # place → content
    asked: list  # (place, first byte) of each request
    cut: dict  # place → for each of the next requests the bytes after which the connection breaks
    tags: dict  # place → a wrong digest to state

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
        with suppress(ConnectionError):  # a client that has the file hangs up
            self.wfile.write(content[begin:end])
        self.close_connection = True
        return None

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    """A local hub; its class holds the files."""
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


def test_an_interrupted_download_is_resumed(server, tmp_path):
    path = tmp_path / "new" / "a.pth"
    server.files[FILE] = CONTENT
    server.cut[FILE] = [1_500_000, 300_000]
    assert get(path) is True
    assert path.read_bytes() == CONTENT and [begin for _, begin in server.asked] == [0, 1_500_000, 1_800_000]
    assert get(path) is False and [file.name for file in path.parent.iterdir()] == ["a.pth"]

    # A connection that stays broken is an error; the partial file is kept for the next run.
    path.unlink()
    server.cut[FILE] = [1_000_000] + [0] * 20
    with pytest.raises(InputError, match="what has arrived is kept"):
        get(path)
    assert not path.exists() and (path.parent / "a.pth.part").stat().st_size == 1_000_000
    server.cut.clear()
    server.asked.clear()
    assert get(path) is True and path.read_bytes() == CONTENT and server.asked == [(FILE, 1_000_000)]

    # A file cut short by another tool is resumed, too; a partial file with other content is downloaded anew.
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
def test_a_file_with_another_hash_is_refused(server, tmp_path, content):
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


def test_absent_files_and_unreachable_hubs_are_refused(server, tmp_path, monkeypatch):
    with pytest.raises(hub.Absent):
        get(tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"pretrained_unet/unet.pth is not there"):
        hub.download_released(tmp_path, wait=0)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9/")
    with pytest.raises(InputError, match="look after the connection"):
        get(tmp_path / "a.pth")


def test_the_released_files_are_downloaded_to_their_places(server, tmp_path, capsys):
    places = [UNET_2D, MOTION, FUSE, f"{VIDEO}/vision_encoder/model.safetensors", REGRESSOR, IDENTITY, BFM]
    places.append(f"{VIDEO}/vision_encoder/config.json")
    server.files = {f"MIMAFace/MIMAFace/{place}": place.encode() * 9 for place in places}
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        server.files[f"stabilityai/sd-vae-ft-mse/{name}"] = name.encode()
    (tmp_path / "released").mkdir()
    fetched = hub.download_released(tmp_path / "released", wait=0)
    assert {path.relative_to(tmp_path / "released").as_posix() for path in fetched} == {
        *places,
        "sd-vae-ft-mse/config.json",
        "sd-vae-ft-mse/diffusion_pytorch_model.safetensors",
    }
    assert hub.download_released(tmp_path / "released", wait=0) == []
    # The command prints the notice first, downloads, and then refuses the files, which are no weights.
    assert cli.main(["pack", "convert", str(tmp_path / "released"), str(tmp_path / "out"), "--download"]) == 2
    errors = capsys.readouterr().err
    assert "states no licence" in errors.splitlines()[0] and "research only" in errors.splitlines()[0]
    assert "3dunet.pth cannot be read" in errors and not (tmp_path / "out").exists()
