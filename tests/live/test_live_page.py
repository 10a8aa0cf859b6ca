"""`mimaface live`: frames in, marked frames out; who may ask; and the page with a file as its camera."""

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from aiohttp import ClientConnectionError, ClientSession, WSMsgType, web
from PIL import Image
from support.machine import slower
from support.page import CHROMIUM, FOLDER, NEEDED
from support.scenes import moved, needs_faces, nodding, nodding_camera, noise, portrait_source
from support.tiny_implicit import source_of, write_tiny_implicit
from support.tiny_pack import write_tiny_pack

from mimaface import cli
from mimaface.live import server as module
from mimaface.live.server import LiveServer
from mimaface.mimaface_core import live
from mimaface.mimaface_core.implicit_pipeline import encode_implicit, load_implicit
from mimaface.mimaface_core.packs import find

ASSETS = Path(__file__).parents[2] / "assets"


def jpeg(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=95)
    return file.getvalue()


def pixels(data):
    return np.asarray(Image.open(io.BytesIO(data))).astype(float)


@contextmanager
def serving(pack, source, **options):
    """A server in a thread; its address."""
    loop, started, address = asyncio.new_event_loop(), threading.Event(), []

    async def start():
        runner = web.AppRunner(LiveServer(pack, source, **options).application())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        address.append(f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}")
        started.set()

    def run():
        asyncio.set_event_loop(loop)
        loop.create_task(start())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(20 * slower())
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    pack = write_tiny_implicit(tmp_path_factory.mktemp("tiny"))
    return pack, source_of(pack)


def talk(address, messages):
    """What the server says to messages over one connection: for each a note, and a frame where there is one."""

    async def work():
        async with ClientSession() as session, session.ws_connect(f"{address}/frames") as socket:
            told = []
            for message in messages:
                await (socket.send_str if isinstance(message, str) else socket.send_bytes)(message)
                if isinstance(message, str):
                    continue
                note = json.loads((await socket.receive(60)).data)
                told.append((note, None if "error" in note else (await socket.receive(60)).data))
            return told

    return asyncio.run(work())


def ask(address, path, **options):
    async def work():
        async with ClientSession() as session:
            method = "POST" if "data" in options else "GET"
            async with session.request(method, f"{address}{path}", **options) as answer:
                return answer.status, await answer.read()

    return asyncio.run(work())


@needs_faces
def test_frames_come_back_moved_and_marked():
    pack = load_implicit()
    with serving(pack, encode_implicit(pack, ASSETS / "portrait.jpg")) as address:
        faces = [jpeg(frame) for frame in nodding(6)]
        told = talk(address, [*faces[:5], jpeg(noise()), "rest", faces[5]])
        assert [note["found"] for note, _ in told] == [True] * 5 + [False, True]
        frames = [pixels(data) for _, data in told]
        still = pixels(ask(address, "/source")[1])
        assert np.abs(frames[0] - still).mean() < 3 < np.abs(frames[4] - still).mean() + 2
        assert np.abs(frames[4] - still).mean() > np.abs(frames[0] - still).mean() + 0.5
        assert np.array_equal(frames[5], frames[4])  # nobody was seen
        assert np.abs(frames[6] - still).mean() < 3  # that pose is now at rest
        assert (frames[0] - still)[..., 2].std() > 1.2 * (frames[0] - still)[..., 1].std()  # the mark, in the blue


def test_what_is_no_frame_is_refused_and_the_next_one_drawn(tiny):
    with serving(*tiny) as address:
        (bad, none), (good, frame) = talk(address, [b"no image", jpeg(moved(0, 1, (0, 0)))])
    assert none is None and "is not a readable image" in bad["error"]
    assert "milliseconds" in good and pixels(frame).shape == (128, 128, 3)


def test_frames_of_another_size_begin_anew(tiny):
    with serving(*tiny) as address:
        sizes = [(256, 256), (320, 300), (256, 256)]
        told = talk(address, [jpeg(np.array(Image.fromarray(moved(0, 1, (0, 0))).resize(size))) for size in sizes])
    assert all(frame is not None for _, frame in told)


def test_another_photograph_can_be_chosen_and_one_without_a_face_not(tiny, monkeypatch):
    chosen = []
    monkeypatch.setattr(module, "_encoded", lambda pack, data: chosen.append(data) or source_of(pack, seed=5))
    with serving(*tiny) as address:
        before = ask(address, "/source")[1]
        assert ask(address, "/source", data=b"photograph")[0] == 204 and chosen == [b"photograph"]
        assert ask(address, "/source")[1] != before
    monkeypatch.undo()
    with serving(*tiny) as address:
        status, told = ask(address, "/source", data=jpeg(noise()))
        assert status == 400 and "No face was found" in json.loads(told)["error"]


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Sec-Fetch-Site": "cross-site"}], ids=str
)
def test_pages_of_other_sites_get_nothing(tiny, headers):
    with serving(*tiny) as address:
        for path in ("/source", "/frames"):
            assert ask(address, path, headers=headers)[0] == 403


def test_as_many_pages_as_one_machine_can_serve(tiny):
    async def work(address):
        async with ClientSession() as session:
            sockets = [await session.ws_connect(f"{address}/frames") for _ in range(module.MOST_CONNECTIONS)]
            refused = await session.ws_connect(f"{address}/frames")
            told = await refused.receive(20)
            await sockets[0].close()
            await asyncio.sleep(0.2)
            again = await session.ws_connect(f"{address}/frames")
            for socket in (*sockets[1:], again):
                await socket.close()
            return told

    with serving(*tiny) as address:
        told = asyncio.run(work(address))
    assert told.type == WSMsgType.CLOSE and "close one" in told.extra  # which a browser tells its page


def test_a_page_that_is_closed_while_its_frame_is_drawn_is_no_error(tiny, monkeypatch, caplog):
    drawing, drawn = threading.Event(), threading.Event()

    def draw(*_):
        drawing.set()
        drawn.wait(20)
        return b"frame", True

    async def work(address):
        async with ClientSession() as session:
            opened = await session.ws_connect(f"{address}/frames")
            await opened.send_bytes(b"frame")
            assert await asyncio.to_thread(drawing.wait, 20)
            opened._response.connection.transport.abort()  # as a tab that is closed
        await asyncio.sleep(0.3)
        drawn.set()
        await asyncio.sleep(0.5)

    monkeypatch.setattr(module._Shown, "next", draw)
    with serving(*tiny) as address:
        asyncio.run(work(address))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@needs_faces
def test_without_diffusion_each_frame_is_drawn_at_once(tmp_path):
    frames = [jpeg(moved(angle, 1, (0, 0))) for angle in (0, 8)]
    pack = write_tiny_pack(tmp_path)
    shown = {}
    for diffuse in (True, False):
        with serving(pack, portrait_source(), diffuse=diffuse) as address:
            shown[diffuse] = [pixels(data) for _, data in talk(address, frames)]
            still = pixels(ask(address, "/source")[1])
    assert np.abs(shown[True][1] - still).mean() < 2 < np.abs(shown[False][1] - still).mean()


def test_the_command_asks_for_frames_without_diffusion(tiny, monkeypatch):
    asked = []
    monkeypatch.setattr(find, "open_pack", lambda _: tiny[0])
    monkeypatch.setattr(live, "live_source", lambda *_: tiny[1])
    monkeypatch.setattr(module, "LiveServer", lambda *_, diffuse: asked.append(diffuse) or LiveServer(*tiny))
    monkeypatch.setattr(web, "run_app", lambda *_, **__: None)
    for options in ([], ["--without-diffusion"]):
        assert cli.main.main(["live", "a.jpg", *options]) == 0
    assert asked == [True, False]


def test_a_port_that_is_none_is_refused(capsys):
    assert cli.main.main(["live", "a.jpg", "--port", "0"]) == 2
    assert "--port 0 is out of range; use 1 to 65535." in capsys.readouterr().err


@needs_faces
@pytest.mark.skipif(
    not (CHROMIUM and NEEDED["node"] and NEEDED["playwright-core"]),
    reason="needs Chromium and Node.js: install them, then run `make browser`",
)
def test_the_page_moves_a_photograph_in_a_browser(tmp_path, tmp_path_factory):
    camera = nodding_camera(tmp_path / "camera.mjpeg")
    faceless = tmp_path / "faceless.png"
    Image.fromarray(noise()).save(faceless)
    pack = load_implicit()
    folder = Path(os.environ.get("BROWSER_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    with serving(pack, encode_implicit(pack, ASSETS / "portrait.jpg")) as address:
        files = [camera, ASSETS / "laugh.jpg", folder / "live.png", faceless]
        command = ["node", FOLDER / "live.mjs", CHROMIUM, address, *files]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300 * slower())
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["faults"] == [] and told["other"] and told["stopped"] == "Stopped."
    assert "frames a second" in told["said"] and told["moved"] > told["least"] + 1
    assert "No face was found" in told["refused"] and told["focused"] == "camera"
    assert told["feed"].endswith("It is tried again.")
    assert any("close one" in reason for reason in told["reasons"])


@pytest.mark.parametrize("signal_sent", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_ctrl_c_ends_a_server_whose_page_is_open(tmp_path, signal_sent):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mimaface", "live", ASSETS / "portrait.jpg", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)

    async def work():
        async with ClientSession() as session:
            for _ in range(int(300 * slower())):
                try:
                    opened = await session.ws_connect(f"http://127.0.0.1:{port}/frames")
                    break
                except ClientConnectionError:
                    await asyncio.sleep(0.2)
            process.send_signal(signal_sent)
            return await opened.receive(20 * slower())

    try:
        told = asyncio.run(work())
        assert told.type == WSMsgType.CLOSE and told.extra == "mimaface live was ended."
        assert process.wait(20 * slower()) == 0
    finally:
        process.kill()


def test_a_photograph_that_is_too_large_is_refused_in_a_sentence(tiny, monkeypatch):
    monkeypatch.setattr(module, "MOST_PHOTOGRAPH_BYTES", 1 << 20)
    with serving(*tiny) as address:
        status, told = ask(address, "/source", data=bytes(2 << 20))
    assert status == 413 and json.loads(told)["error"] == "The photograph has more than 1 MB; scale it down."
