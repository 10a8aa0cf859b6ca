"""`mimaface batch --server` with stand-ins for ComfyUI: uploads, posts, lost answers, restarts, lies."""

import json
import threading
import time

import pytest
from PIL import Image
from support.fake_proxy import FakeProxy
from support.fake_queue import FakeQueue

from mimaface.scale import prompts
from mimaface.scale import servers as servers_module
from mimaface.scale.hashes import digest


@pytest.fixture
def servers(monkeypatch):
    """`servers(N)` starts stand-ins; the times that a batch waits for them are short."""
    for name, seconds in (("POLL", 0.02), ("SETTLING", 0.5), ("PATIENCE", 5.0)):
        monkeypatch.setattr(prompts, f"{name}_SECONDS", seconds)
    for name in ("ANSWER", "ABSENCE"):
        monkeypatch.setattr(servers_module, f"{name}_SECONDS", 1.0)
    running = []

    def begin(count=1, kind=FakeQueue, **options):
        running.extend(kind(**options) for _ in range(count))
        return running[-count:]

    yield begin
    for server in running:
        server.stop()


@pytest.fixture
def run(toys, pairs, batch):
    """`run(servers, *rows)` runs a batch on servers."""

    def run(used, *rows, options=()):
        addresses = [part for server in used for part in ("--server", server.address)]
        return batch(pairs(*rows), "--output-dir", "out", *addresses, *options)

    return run


def shades(folder, count):
    return [Image.open(folder / f"out/r{i}.png").getpixel((0, 0)) for i in range(count)]


def test_pairs_are_shared_by_servers_with_one_upload_a_file_and_one_post_a_pair(toys, servers, run):
    used = servers(2)
    rows = [(f"{'ab'[i % 2]}.png", f"r{i}", "pass") for i in range(8)]
    status, told, _ = run(used, *rows)
    assert status == 0 and told["done"] == 8
    assert [len(server.uploads) for server in used] <= [2, 2] and all(server.posted for server in used)
    assert len({key for server in used for key in server.posted}) == sum(len(server.posted) for server in used) == 8
    records = [json.loads((toys / f"out/r{i}.json").read_text()) for i in range(8)]
    assert {record["server"] for record in records} == {server.address for server in used}
    assert all(record["sha256"] == digest(toys / "out" / record["result"]) for record in records)
    assert shades(toys, 8) == [record["seeds"]["trap.seed"] % 256 for record in records]

    # a second batch finds the files there, and even the finished pairs
    for path in (toys / "out").glob("r*.*"):
        path.unlink()
    for server in used:
        server.uploads.clear()
    status, told, _ = run(used[:1], *rows)
    assert status == 0 and told["done"] == 8
    assert len(used[0].uploads) <= 1 and len(set(used[0].posted)) == len(used[0].posted) == 8


@pytest.mark.parametrize("fault", ["cut", "late 500", "500", "hang"])
def test_an_answer_that_is_lost_does_not_double_a_pair(servers, run, fault):
    (server,) = servers()
    server.faults = {"/prompt": [fault], "/history": [fault if fault != "late 500" else "500"] * 2}
    status, told, said = run([server], ("a.png", "r0", "pass"), ("b.png", "r1", "pass"))
    assert status == 0 and told["done"] == 2, said
    assert len(set(server.posted)) == len(server.posted) == 2


def test_a_server_that_restarts_loses_its_pair_and_gets_it_again(servers, run):
    (server,) = servers()
    server.seconds = 1.0

    def restart():
        while not server.running:
            time.sleep(0.01)
        server.forget()
        server.seconds = 0.05

    threading.Thread(target=restart, daemon=True).start()
    status, told, said = run([server], ("a.png", "r0", "pass"), ("b.png", "r1", "pass"))
    assert status == 0 and told["done"] == 2 and "forgot the pair: it was restarted or cleared" in said


def test_servers_come_and_go(servers, run, monkeypatch):
    first, second = servers(2)
    monkeypatch.setattr(servers_module, "ABSENCE_SECONDS", 60.0)
    port = second.server_port
    second.stop()
    first.seconds = 0.5

    def come_and_go():
        while len(first.posted) < 2:
            time.sleep(0.01)
        servers(port=port)[0].seconds = 0.05
        first.stop()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    status, told, said = run([first, second], *((f"{'ab'[i % 2]}.png", f"r{i}", "pass") for i in range(6)))
    thread.join()
    assert status == 0 and told["done"] == 6, said
    assert "does not answer" in said and "It is asked again." in said


def test_one_without_our_nodes_is_refused_and_the_others_work(servers, run):
    (good,) = servers()
    (bare,) = servers(infos={"LoadImage": {}})
    status, told, said = run([good, bare], ("a.png", "r0", "pass"), ("b.png", "r1", "pass"), ("b.png", "r2", "pass"))
    assert status == 0 and told["done"] == 3 and not bare.posted
    assert f"The ComfyUI server {bare.address} has no node SaveImage, ToyTrap; install this extension there." in said


@pytest.mark.parametrize("lie", ["forgetful", "broken"])
def test_a_server_that_lies_leaves_nothing_behind(toys, servers, run, lie):
    (server,) = servers()
    setattr(server, lie, True)
    status, told, _ = run([server], ("a.png", "r0", "pass"))
    assert status == 1 and told["failed"] == 1 and not list((toys / "out").glob("r0*"))
    words = {"forgetful": "forgot the pair", "broken": "sent a file that cannot be read"}[lie]
    assert words in told["failures"][0]["reason"] and len(server.posted) <= 4


def test_what_is_refused_there_is_told_and_not_repeated(servers, run):
    (server,) = servers()
    status, told, _ = run([server], ("a.png", "r0", "refuse"), ("b.png", "r1", "pass"))
    assert status == 1 and told["done"] == 1 and len(server.posted) == 2
    reason = told["failures"][0]["reason"]
    assert reason == f"ToyTrap on {server.address}: There is no face in the image; choose another."


def test_a_pair_that_hangs_is_stopped_there(servers, run):
    (server,) = servers()
    server.seconds = 30
    status, told, _ = run([server], ("a.png", "r0", "pass"), options=("--timeout", "1"))
    assert status == 1 and "longer than 1 s" in told["failures"][0]["reason"]
    assert server.running is None and not server.queue


def test_ray_and_servers_exclude_each_other(servers, run):
    status, _, said = run(servers(), ("a.png", "r0", "pass"), options=("--ray", "auto"))
    assert status == 2 and "--ray and --server are both given" in said


# --- behind the Comfy API v2


def test_a_proxy_gets_each_input_once_and_each_pair_once(toys, servers, run):
    (proxy,), (plain,) = servers(kind=FakeProxy), servers()
    rows = [(f"{'ab'[i % 2]}.png", f"r{i}", "pass") for i in range(6)]
    status, told, said = run([proxy, plain], *rows)
    assert status == 0 and told["done"] == 6 and len(proxy.posted) + len(plain.posted) == 6, said
    assert len(set(proxy.uploads)) == len(proxy.uploads) <= 2 and proxy.posted
    records = [json.loads((toys / f"out/r{i}.json").read_text()) for i in range(6)]
    assert shades(toys, 6) == [record["seeds"]["trap.seed"] % 256 for record in records]
    for path in (toys / "out").glob("r*.*"):
        path.unlink()
    posted = list(proxy.posted)
    status, told, _ = run([proxy], *rows)  # finds its own by their labels
    assert status == 0 and told["done"] == 6 and len(set(proxy.posted)) == len(proxy.posted)
    assert proxy.posted[: len(posted)] == posted and len(proxy.posted) == 6


@pytest.mark.parametrize("fault", ["cut", "late 500", "500", "hang"])
def test_an_answer_of_a_proxy_that_is_lost_does_not_double_a_pair(servers, run, fault):
    (proxy,) = servers(kind=FakeProxy)
    proxy.faults = {"/api/v2/jobs": [fault]}
    status, told, said = run([proxy], ("a.png", "r0", "pass"), ("b.png", "r1", "pass"))
    assert status == 0 and told["done"] == 2, said
    assert len(set(proxy.posted)) == len(proxy.posted) == 2


def test_a_proxy_that_restarts_gets_inputs_and_pair_again(servers, run):
    (proxy,) = servers(kind=FakeProxy)
    proxy.seconds = 1.0

    def restart():
        while not proxy.running:
            time.sleep(0.01)
        proxy.forget()
        proxy.assets.clear()
        proxy.keys.clear()
        proxy.seconds = 0.05

    threading.Thread(target=restart, daemon=True).start()
    status, told, said = run([proxy], ("a.png", "r0", "pass"), ("a.png", "r1", "pass"))
    assert status == 0 and told["done"] == 2 and "forgot the pair: it was restarted or cleared" in said
    assert len(proxy.uploads) == 2


def test_a_proxy_without_our_nodes_is_refused_and_the_others_work(servers, run):
    (bare,), (good,) = servers(kind=FakeProxy, infos={"LoadImage": {}}), servers()
    good.seconds = 0.5
    status, told, said = run([bare, good], ("a.png", "r0", "pass"), ("b.png", "r1", "pass"), ("b.png", "r2", "pass"))
    assert status == 0 and told["done"] == 3 and not bare.posted, said
    assert "node SaveImage does not exist.); install this extension there." in said


def test_what_fails_or_hangs_behind_a_proxy_is_told_and_stopped(servers, run):
    (proxy,) = servers(kind=FakeProxy)
    status, told, _ = run([proxy], ("a.png", "r0", "refuse"), ("b.png", "r1", "pass"))
    assert status == 1 and told["done"] == 1
    assert told["failures"][0]["reason"].startswith(f"ToyTrap on {proxy.address}: There is no face in the image")
    proxy.seconds = 30
    status, told, _ = run([proxy], ("a.png", "r2", "pass"), options=("--timeout", "1"))
    assert status == 1 and "longer than 1 s" in told["failures"][0]["reason"] and proxy.running is None


def test_a_token_goes_with_every_request(servers, run, monkeypatch):
    monkeypatch.setenv("MIMAFACE_SERVER_TOKEN", "secret")
    (proxy,) = servers(kind=FakeProxy)
    assert run([proxy], ("a.png", "r0", "pass"))[0] == 0
    assert set(proxy.tokens) == {"Bearer secret"}
