"""Feeds of `mimaface live`: addresses, files and WebRTC; what is wrong with them is told, the newest frame is taken."""

import asyncio
import json
import socket
import subprocess
import time
from contextlib import contextmanager

import imageio_ffmpeg
import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from support.machine import slower
from support.scenes import clip, moved, needs_faces, noise
from support.tiny_implicit import source_of, write_tiny_implicit

from mimaface.cli import main as command
from mimaface.live import feeds
from mimaface.live.feeds import AddressFeed, Feed, FileFeed, pixels_of
from mimaface.live.server import LiveServer
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media import feed as module
from mimaface.mimaface_core.media.feed import check_address, read_feed

VIDEO = ("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "10", "-pix_fmt", "yuv420p", "-an")
FACES = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=25")


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def sending(scheme, *options, inputs=FACES):
    """A sender that waits for one reader, on this machine only; its process and address."""
    address = f"{scheme}://127.0.0.1:{free_port()}/live/face"
    call = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", "-re", *inputs, *options, "-listen", "1", address]
    process = subprocess.Popen(call, stdin=subprocess.DEVNULL)
    try:
        yield process, address
    finally:
        process.kill()
        process.wait(10)


def frames_of(address, count):
    """The first frames of a feed, once its sender is there."""
    for _ in range(50):
        feed = read_feed(address)
        try:
            return [next(feed)] + [next(feed) for _ in range(count - 1)], feed
        except InputError as refused:
            if "does not answer" not in str(refused):
                raise
            time.sleep(0.2)
    raise AssertionError("the sender did not begin")


def test_frames_of_rtmp_are_read_until_it_breaks_off():
    with sending("rtmp", *VIDEO, "-f", "flv") as (process, address):
        frames, feed = frames_of(address, 3)
        assert pixels_of(frames[0]).shape == (120, 160, 3)
        process.kill()
        with pytest.raises(InputError, match="has broken off; check the connection"):
            list(feed)


def test_a_feed_of_audio_alone_is_refused():
    sound = ("-f", "lavfi", "-i", "sine")
    with sending("http", "-f", "mpegts", inputs=sound) as (_, address), pytest.raises(InputError, match="has no video"):
        frames_of(address, 1)


@pytest.mark.parametrize("scheme", ["rtsp", "rtmp", "http"])
def test_an_address_that_nobody_serves_is_refused(scheme):
    with pytest.raises(InputError, match="does not answer with a video; check the address"):
        next(read_feed(f"{scheme}://127.0.0.1:{free_port()}/face"))


def test_one_who_never_answers_is_waited_for_only_so_long(monkeypatch):
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.5)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        began = time.monotonic()
        with pytest.raises(InputError, match="does not answer"):
            next(read_feed(f"rtsp://127.0.0.1:{mute.getsockname()[1]}/face"))
        assert time.monotonic() - began < 5 * slower()


@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "concat:a|b", "/etc/passwd", "rtsp://", "http://[", "http://a b/", "data:,x", ""]
)
def test_what_is_no_address_of_a_feed_is_refused(address):
    with pytest.raises(InputError, match="is no address of a feed"):
        check_address(address)


def test_a_slow_reader_gets_the_newest_frame_alone():
    async def work():
        feed = Feed()
        assert await feed.newer(0, 0.01) is None and feed.said == feeds.WAITING
        for number in range(100):
            feed.put(lambda number=number: np.full((2, 2, 3), number))
        newest = await feed.newer(0)
        assert newest.number == 100 and newest.pixels()[0, 0, 0] == 99 and feed.said == ""
        waiting = asyncio.create_task(feed.newer(100))
        await asyncio.sleep(0)
        feed.put(lambda: None)
        assert (await waiting).number == 101
        feed.say("It has gone.")
        assert await feed.newer(0, 0.01) is None and feed.said == "It has gone."

    asyncio.run(work())


def test_a_feed_that_ends_is_opened_again(monkeypatch):
    tries, told = [], []
    say = Feed.say

    def read(address):
        tries.append(address)
        if len(tries) == 1:
            raise InputError(f"{address} does not answer.")
        yield from iter([None])

    monkeypatch.setattr(feeds, "read_feed", read)
    monkeypatch.setattr(feeds, "RETRY_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(Feed, "say", lambda feed, sentence: (told.append(sentence), say(feed, sentence)))

    async def work():
        feed, until = AddressFeed("rtsp://camera/x"), time.monotonic() + 10 * slower()
        while len(tries) <= 3 and time.monotonic() < until:
            await asyncio.sleep(0.002)
        feed.close()

    asyncio.run(work())
    assert len(tries) > 3
    assert {"rtsp://camera/x does not answer. It is tried again.", "The feed has ended. It is tried again."} <= {*told}


def test_a_file_comes_at_its_own_pace_again_and_again(tmp_path):
    path = clip(tmp_path / "clip.mp4", [np.full((64, 64, 3), 20 * number, np.uint8) for number in range(6)], fps=30)

    async def work():
        feed, began = FileFeed(path), time.perf_counter()
        while (arrived := await feed.newer(0)) is None or arrived.number < 13:
            await asyncio.sleep(0.01)
        feed.close()
        return time.perf_counter() - began

    assert asyncio.run(work()) > 0.38


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    pack = write_tiny_implicit(tmp_path_factory.mktemp("tiny"))
    return pack, source_of(pack)


async def shown(messages, stop):
    """Notes that a connection gets for `next`, until `stop` says so."""
    for _ in range(200):
        await messages.send_str("next")
        note = json.loads((await messages.receive(60)).data)
        if "found" in note:
            await messages.receive(60)
        if stop(note):
            return note
    raise AssertionError(note)


@needs_faces
def test_a_page_shows_the_feed_of_the_command_line_and_opens_no_file_of_its_own(tiny, tmp_path):
    path = clip(tmp_path / "clip.mp4", [moved(3 * number, 1, (0, 0)) for number in range(3)] + [noise()])

    async def work():
        async with TestClient(TestServer(LiveServer(*tiny, str(path)).application())) as client:
            assert (await (await client.get("/feeds")).json())["feed"] == str(path)
            messages = await client.ws_connect("/frames")
            await messages.send_str(f"feed {path}")
            seen = await shown(messages, lambda note: note.get("found"))
            await shown(messages, lambda note: note.get("found") is False)
            await messages.send_str("feed /etc/passwd")
            refused = json.loads((await messages.receive(60)).data)
            waiting = await shown(messages, lambda note: "waiting" in note)
            return seen, refused, waiting

    seen, refused, waiting = asyncio.run(work())
    assert seen["milliseconds"] > 0
    assert "is no address of a feed" in refused["error"] and waiting["waiting"] == feeds.WAITING


@needs_faces
def test_a_program_sends_by_whip(tiny):
    aiortc = pytest.importorskip("aiortc")
    import av

    class Camera(aiortc.VideoStreamTrack):
        async def recv(self):
            frame = av.VideoFrame.from_ndarray(moved(0, 1, (0, 0)), format="rgb24")
            frame.pts, frame.time_base = await self.next_timestamp()
            return frame

    async def work():
        async with TestClient(TestServer(LiveServer(*tiny).application())) as client:
            messages = await client.ws_connect("/frames")
            await messages.send_str("feed whip")
            nobody = await shown(messages, lambda note: "waiting" in note)
            sender = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
            sender.addTrack(Camera())
            await sender.setLocalDescription(await sender.createOffer())
            offer = {"data": sender.localDescription.sdp, "headers": {"Content-Type": "application/sdp"}}
            answer = await client.post("/whip", **offer)
            await sender.setRemoteDescription(aiortc.RTCSessionDescription(await answer.text(), "answer"))
            await shown(messages, lambda note: note.get("found"))
            place = answer.headers["Location"]
            ended = [(await client.delete(path)).status for path in ("/whip/other", place, place)]
            gone = await shown(messages, lambda note: "waiting" in note)
            await sender.close()
            return answer.status, nobody, ended, gone

    status, nobody, ended, gone = asyncio.run(work())
    assert status == 201 and ended == [404, 200, 404]
    assert nobody == gone and nobody["waiting"].startswith("Nobody sends by WebRTC")


def test_what_is_no_offer_and_pages_of_other_sites_are_refused(tiny):
    pytest.importorskip("aiortc")

    async def work():
        async with TestClient(TestServer(LiveServer(*tiny).application())) as client:
            answers = [
                await client.post("/whip", data="v=0\r\nm=audio 9 RTP/AVP 0\r\n"),
                await client.post("/whip", data="m=video nonsense"),
                await client.post("/whip", data="m=video", headers={"Origin": "http://evil.example"}),
            ]
            return [(answer.status, (await answer.json())["error"]) for answer in answers]

    (no_video, first), (nonsense, second), (foreign, _) = asyncio.run(work())
    assert (no_video, nonsense, foreign) == (400, 400, 403)
    assert "has no video" in first and "is no session description" in second


@pytest.mark.parametrize(("feed", "told"), [("none.mp4", "was not found"), ("ftp://a/b", "is no address of a feed")])
def test_the_command_refuses_what_is_no_feed(feed, told, capsys):
    assert command.main(["live", "a.jpg", "--feed", feed]) == 2
    assert told in capsys.readouterr().err
