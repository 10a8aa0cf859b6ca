"""The editor's routes: previews of a source in memory, and what hostile requests meet."""

import asyncio
import io
import json
import threading
from collections import Counter
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from support.machine import slower
from support.scenes import needs_faces, portrait_source

from mimaface.mimaface_core.morphable.bundled.controls import CONTROLS
from mimaface.mimaface_core.morphable.bundled.edit_value import EditValue
from mimaface.mimaface_core.preview import HANDLES, Preview
from mimaface.nodes.previews import MOST_SOURCES, PreviewStore

pytest.importorskip("aiohttp")
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from mimaface.nodes.comfyui import preview_route
from mimaface.nodes.comfyui.preview_route import HANDLES_HEADER, MOST_BYTES, NewestFirst, add_editor_routes

pytestmark = needs_faces

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def source():
    return portrait_source()


@pytest.fixture
def store():
    return PreviewStore()


def asked(store, conversation):
    """The result of a conversation with a server that has the routes."""

    async def talk():
        application = web.Application(client_max_size=1 << 30)
        routes = web.RouteTableDef()
        add_editor_routes(routes, store)
        application.add_routes(routes)
        async with TestClient(TestServer(application)) as client:
            return await conversation(client)

    return asyncio.run(talk())


def post(store, body=None, data=None, **headers):
    """Status, body and headers of one request."""

    async def one(client):
        sent = json.dumps(body) if data is None else data
        answer = await client.post("/mimaface/preview", data=sent, headers=JSON | headers)
        return answer.status, await answer.read(), answer.headers

    return asked(store, one)


def sentence(answer):
    return json.loads(answer[1])["error"]


def opened(store, source):
    store.active = True
    return store.offer(source)


def test_an_edit_is_drawn_and_says_where_its_handles_are(store, source):
    key = opened(store, source)
    edit = {"version": 1, "controls": {"yaw": 15, "mouth_open": 0.8}}
    status, body, headers = post(store, {"source": key, "edit": edit, "size": 256})
    assert status == 200 and headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(body)).size == (256, 256)
    handles = json.loads(headers[HANDLES_HEADER])
    assert set(handles) == {*HANDLES, "right_iris", "left_iris"}
    assert all(0 < x < 1 and 0 < y < 1 for x, y in handles.values())
    still = json.loads(post(store, {"source": key, "size": 256})[2][HANDLES_HEADER])
    assert handles["jaw"][1] > still["jaw"][1] + 0.01, "the jaw's handle follows the jaw"
    assert handles["head"][0] > still["head"][0] + 0.01, "the head's handle follows the head"


def test_every_control_is_listed_once_for_the_page(store):
    async def controls(client):
        return await (await client.get("/mimaface/controls")).json()

    page = asked(store, controls)
    listed, groups = page["controls"], [group["name"] for group in page["groups"]]
    assert len(listed) == len(CONTROLS) and {one["name"] for one in listed} == set(CONTROLS)
    assert [one["group"] for one in listed] == sorted((one["group"] for one in listed), key=groups.index)
    pairs = {one["name"]: one["pair"] for one in listed}
    assert all(pairs[other] == name for name, other in pairs.items() if other)
    assert all(one["low"] <= one["rest"] <= one["high"] and one["tooltip"].endswith(".") for one in listed)


def test_every_preset_can_be_read(store):
    async def presets(client):
        return await (await client.get("/mimaface/presets")).json()

    for preset in asked(store, presets)["presets"]:
        EditValue.read(preset["value"])


HOSTILE = {
    "another page's": ({}, {"Origin": "https://elsewhere.example"}, 403),
    "a page without an origin": ({}, {"Origin": "null"}, 403),
    "of a page whose origin is no address": ({}, {"Origin": "http://["}, 403),
    "from another site": ({}, {"Sec-Fetch-Site": "cross-site"}, 403),
    "a form": ({}, {"Content-Type": "application/x-www-form-urlencoded"}, 415),
    "plain text": ({}, {"Content-Type": "text/plain"}, 415),
    "a path as source": ({"source": "../../etc/passwd"}, {}, 404),
    "a number as source": ({"source": 7}, {}, 400),
    "a long source": ({"source": "x" * 65}, {}, 400),
    "an unknown entry": ({"path": "/etc/passwd"}, {}, 400),
    "a huge size": ({"size": 10**400}, {}, 400),
    "a size that is text": ({"size": "256"}, {}, 400),
    "40 megapixels": ({"size": 6400}, {}, 400),
    "an unknown control": ({"edit": {"controls": {"__class__": 1}}}, {}, 400),
    "a huge control": ({"edit": {"controls": {"yaw": 1e308}}}, {}, 400),
    "a control of text": ({"edit": {"controls": {"yaw": "1"}}}, {}, 400),
    "a control of true": ({"edit": {"controls": {"yaw": True}}}, {}, 400),
    "controls as a list": ({"edit": {"controls": [1]}}, {}, 400),
    "another version": ({"edit": {"version": 99}}, {}, 400),
    "an edit of text": ({"edit": "{"}, {}, 400),
    "a client that is no name": ({"client": {}}, {}, 400),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_request_is_refused_in_a_sentence(store, source, name):
    more, headers, status = HOSTILE[name]
    answer = post(store, {"source": opened(store, source)} | more, **headers)
    assert answer[0] == status, answer
    assert sentence(answer).endswith(".") and "Traceback" not in sentence(answer)


DAMAGED = {
    "no JSON": (b"{", 400),
    "NaN": (b'{"source": "x", "edit": {"controls": {"yaw": NaN}}}', 400),
    "infinite": (b'{"source": "x", "size": Infinity}', 400),
    "digits without end": (b'{"size": ' + b"9" * 20_000 + b"}", 400),
    "not UTF-8": (b'{"source": "\xff"}', 400),
    "deep": (b"[" * 60_000, 400),
    "a list": (b"[]", 400),
    "nothing": (b"", 400),
    "too large": (b" " * (MOST_BYTES + 1), 413),
    "megabytes": (b" " * (8 << 20), 413),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_request_is_refused_in_a_sentence(store, name):
    data, status = DAMAGED[name]
    answer = post(store, data=data)
    assert answer[0] == status and sentence(answer).endswith("."), answer


def test_the_own_page_is_answered(store, source):
    async def own(client):
        origin = f"http://{client.server.host}:{client.server.port}"
        headers = JSON | {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
        body = json.dumps({"source": opened(store, source), "size": 128})
        return (await client.post("/mimaface/preview", data=body, headers=headers)).status

    assert asked(store, own) == 200


def test_of_many_requests_the_newest_wins_and_none_piles_up(store, source, monkeypatch):
    key = opened(store, source)
    store.preview(key).renderer(128)
    came, all_came = count(1), threading.Event()
    draw = NewestFirst.draw

    async def counted(queue, editor, work):
        if next(came) == 40:
            all_came.set()
        return await draw(queue, editor, lambda: all_came.wait(60 * slower()) and work())

    monkeypatch.setattr(NewestFirst, "draw", counted)

    async def drag(client):
        def ask(yaw, page):
            body = {"source": key, "edit": {"controls": {"yaw": yaw}}, "size": 128, "client": page}
            return client.post("/mimaface/preview", data=json.dumps(body), headers=JSON)

        one, other = (asyncio.gather(*(ask(yaw, page) for yaw in range(20))) for page in ("one", "other"))
        return [answer.status for answer in await one], [answer.status for answer in await other]

    one, other = asked(store, drag)
    assert one[-1] == other[-1] == 200, "the last of each page is drawn, though both drag the same face"
    assert {*one, *other} == {200, 409} and one.count(200) + other.count(200) <= 4


def test_a_flood_is_slowed_down(store, monkeypatch):
    now = 0.0
    monkeypatch.setattr(preview_route, "time", SimpleNamespace(monotonic=lambda: now))

    async def flood(client):
        asks = (client.post("/mimaface/preview", data="{}", headers=JSON) for _ in range(400))
        return Counter([answer.status for answer in await asyncio.gather(*asks)])

    async def twice(client):
        nonlocal now
        first = await flood(client)
        now = 0.5
        return first, await flood(client)

    assert asked(store, twice) == ({400: 120, 429: 280}, {400: 30, 429: 370})


def test_a_page_that_leaves_does_not_stop_the_others(store, source):
    key = opened(store, source)

    async def leave(client):
        body = json.dumps({"source": key, "size": 512})
        gone = asyncio.ensure_future(client.post("/mimaface/preview", data=body, headers=JSON))
        await asyncio.sleep(0.05)
        gone.cancel()
        body = json.dumps({"source": key, "size": 128})
        return (await client.post("/mimaface/preview", data=body, headers=JSON)).status

    assert asked(store, leave) == 200


def test_a_source_keeps_its_key_and_an_old_one_asks_for_a_new_run(store, source):
    key = opened(store, source)
    again = replace(source, crop=source.crop.clone())
    assert store.offer(again) == key, "the page stays valid when the workflow runs again"
    assert PreviewStore()._key(source) != key, "another server's keys are others"
    kept = [replace(source, crop=source.crop + 0.001 * number) for number in range(1, MOST_SOURCES + 2)]
    others = [store.offer(one) for one in kept]
    assert len({key, *others}) == MOST_SOURCES + 2
    store.preview(key)  # its source lives, so its preview is made again
    del kept[0]
    answer = post(store, {"source": others[0], "size": 128})
    assert answer[0] == 404 and "queue the workflow again" in sentence(answer)


def test_a_photograph_of_40_megapixels_is_previewed_by_its_crop(store, source):
    large = replace(source, image=torch.zeros(1, 1, 1).expand(5000, 8000, 3))
    key = opened(store, large)
    assert post(store, {"source": key, "size": 128})[0] == 200
    assert all(of is not large.image for of in vars(store.preview(key)).values()), "the preview keeps the crop alone"


def test_no_source_is_kept_where_no_page_can_ask(source):
    assert PreviewStore().offer(source) is None


def test_an_edit_of_nothing_is_the_photograph(source):
    image, _ = Preview(source).draw(EditValue(), source.crop.shape[-1])
    expected = ((source.crop.permute(1, 2, 0) + 1) / 2 * 255).round().byte()
    assert torch.equal(image, expected)
