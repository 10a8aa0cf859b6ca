"""What bad inputs are given to: each target writes one into a folder and runs what a user would run on it."""

import asyncio
import dataclasses
import json
import random
import threading
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image
from support.fake_comfyui import FakeComfyUI
from support.scenes import portrait_source
from support.toys import make, node

from campaigns import goods, mutate
from mimaface.cli.main import main as command
from mimaface.headless import follow, node_classes

ROOT = Path(__file__).resolve().parents[2]


class Unfit(Exception):
    """An answer of a target that is neither a result nor a sentence."""


def run(*arguments) -> None:
    """The command, as a user types it; its exit status is one of those that it has for results and refusals."""
    try:
        status = command([str(argument) for argument in arguments])
    except SystemExit as ended:  # argparse refuses
        status = ended.code
    if status not in (0, 1, 2):
        raise Unfit(f"exit status {status}")


def graph(folder: Path, content) -> Path:
    path = folder / "graph.json"
    path.write_text(json.dumps(content))
    return path


# --- targets


def image(dice: random.Random, folder: Path) -> None:
    name = dice.choice(sorted(goods.images()))
    data = goods.images()[name]
    ways = [mutate.scrambled, mutate.headed] + [mutate.png] * (2 * name.endswith(".png"))
    (folder / name).write_bytes(dice.choice(ways)(dice, data))
    content = {
        "1": node("LoadImage", "source", image=name),
        "2": node("SaveImage", images=["1", 0], filename_prefix="a"),
    }
    run("run", graph(folder, content), "--output-dir", "../out")


def video(dice: random.Random, folder: Path) -> None:
    name = dice.choice(sorted(goods.films()))
    (folder / name).write_bytes(dice.choice((mutate.scrambled, mutate.headed))(dice, goods.films()[name]))
    saved = node("SaveVideo", video=["1", 0], filename_prefix="a", format="auto", codec="auto")
    kind = dice.choice(("mp4", "webm", "gif", "png"))
    combined = node(
        "MIMAFaceCombineVideo", frames=["1", 0], filename_prefix="a", format=kind, fps=0.0, sound_of=["1", 0]
    )
    content = {"1": node("LoadVideo", "clip", file=name), "2": saved if dice.random() < 0.4 else combined}
    run("run", graph(folder, content), "--output-dir", "../out")


def audio(dice: random.Random, folder: Path) -> None:
    name = dice.choice(sorted(goods.sounds()))
    (folder / name).write_bytes(dice.choice((mutate.scrambled, mutate.headed))(dice, goods.sounds()[name]))
    if dice.random() < 0.5:
        from mimaface.mimaface_core.audio.speech import Speech

        speech = Speech.of(folder / name)
        for block in speech.blocks():
            assert block.isfinite().all()
        return
    Image.new("RGB", (32, 24)).save(folder / "a.png")
    content = {
        "1": node("LoadImage", image="a.png"),
        "2": node("LoadAudio", audio=name),
        "3": node(
            "MIMAFaceCombineVideo", frames=["1", 0], filename_prefix="a", format="webm", fps=25.0, audio=["2", 0]
        ),
    }
    run("run", graph(folder, content), "--output-dir", "../out")


def _played(name: str, implicit: bool) -> dict:
    content = {"1": node("MIMAFaceLoadMotion", "motion", motion=name)}
    if implicit:
        content["2"] = node("MIMAFaceMotionStatistics", motion=["1", 0], head=1.5, mouth=0.5, eyes=1.0, brows=1.0)
    else:
        content["2"] = node("MIMAFaceSmoothMotion", motion=["1", 0], pose=0.4, expression=0.3, gaze=0.3)
        content["3"] = node("MIMAFacePlotMotion", motion=["2", 0], width=320, height=320)
        content["4"] = node("PreviewImage", images=["3", 0])
        content["6"] = node("MIMAFaceMotionToKeyframes", motion=["1", 0], tolerance=0.01)
    content["5"] = node("MIMAFaceSaveMotion", motion=["2", 0], filename_prefix="m/motion")
    return content


def motion(dice: random.Random, folder: Path) -> None:
    kind = dice.choice(("explicit", "implicit"))
    (folder / "m.safetensors").write_bytes(mutate.safetensors(dice, goods.motions()[kind]))
    run("run", graph(folder, _played("m.safetensors", kind == "implicit")), "--output-dir", "../out")


def curves(dice: random.Random, folder: Path) -> None:
    (folder / "m.csv").write_bytes(mutate.table(dice, goods.arkit()))
    run("run", graph(folder, _played("m.csv", implicit=False)), "--output-dir", "../out")


EDIT = {"version": 1, "controls": {"yaw": 15, "mouth_open": 0.8, "gaze_x": 0.2, "zoom": 1.1}}
KEYS = {
    "version": 1,
    "fps": 25,
    "length": 1.0,
    "loop": "repeat",
    "curves": {"yaw": [[0, 0, "linear"], [0.5, 20, "smooth"]], "mouth_open": [[0, 0.2, "hold"], [1, 0.8]]},
}


def editor(dice: random.Random, folder: Path) -> None:
    """The values of the editor and of the timeline."""
    (folder / "m.safetensors").write_bytes(goods.motions()["explicit"])
    zeros = dict.fromkeys(_widgets("MIMAFaceEditMotion") - {"edit"}, 0.0)
    edit = mutate.text(dice, EDIT).decode("utf-8", "replace")
    keys = mutate.text(dice, KEYS).decode("utf-8", "replace")
    content = {
        "1": node("MIMAFaceLoadMotion", motion="m.safetensors"),
        "2": node("MIMAFaceEditMotion", face=["1", 0], **{**_defaults("MIMAFaceEditMotion"), **zeros, "edit": edit}),
        "3": node(
            "MIMAFaceKeyframeMotion", face=["1", 0], **{**_defaults("MIMAFaceKeyframeMotion"), "keyframes": keys}
        ),
        "4": node("MIMAFaceSaveMotion", motion=[dice.choice("23"), 0], filename_prefix="motion"),
    }
    run("run", graph(folder, content), "--output-dir", "../out")


@lru_cache
def _infos() -> dict:
    return node_classes.object_info(node_classes.node_classes())


def _defaults(kind: str) -> dict:
    schema = node_classes.node_classes()[kind].GET_SCHEMA()
    return {one.id: one.default for one in schema.inputs if getattr(one, "default", None) is not None}


def _widgets(kind: str) -> set[str]:
    return {name for name, value in _defaults(kind).items() if isinstance(value, float)}


def graphs(dice: random.Random, folder: Path) -> None:
    """Graphs that run at once, of both formats, and options that change them."""
    Image.new("RGB", (32, 24)).save(folder / "a.png")
    content = {
        "1": node("LoadImage", "source", image="a.png"),
        "2": node("CreateVideo", images=["1", 0], fps=25.0),
        "3": node("MIMAFaceCombineVideo", "full", frames=["2", 0], filename_prefix="x/a", format="mp4", fps=0.0),
        "4": node("SaveImage", "save", images=["1", 0], filename_prefix="%date:yyyy%/%source.image%"),
        "5": node("GetVideoComponents", video=["3", 0]),
        "6": node("PreviewImage", images=["5", 0]),
    }
    (folder / "graph.json").write_bytes(mutate.text(dice, content))
    options = []
    if dice.random() < 0.3:
        target = dice.choice(("save.filename_prefix", "full.format", "full.fps", "1.image", "full", "x.y", ".", ""))
        options += ["--set", f"{target}={dice.choice(mutate.ODD)}".replace("\ud800", "?")]
    if dice.random() < 0.2:
        options += ["--input", f"source={dice.choice(mutate.ODD)}".replace("\ud800", "?")]
    run("run", folder / "graph.json", "--output-dir", "../out", *options)


def workflows(dice: random.Random, folder: Path) -> None:
    """The shipped workflows of the page, changed, as far as they are checked before anything runs."""
    from mimaface.headless.graph import load_graph
    from mimaface.headless.prefixes import fill_prefixes
    from mimaface.headless.validate import validate

    path = dice.choice(
        sorted((ROOT / "workflows").glob("*.json")) + sorted((ROOT / "workflows" / "api").glob("*.json"))
    )
    (folder / "graph.json").write_bytes(mutate.text(dice, json.loads(path.read_text(encoding="utf-8"))))
    nodes = load_graph(folder / "graph.json", _infos())
    fill_prefixes(nodes)
    validate(nodes, _infos(), folders=[folder], classes=node_classes.node_classes())


def route(dice: random.Random, folder: Path) -> None:
    """Requests of the editor's page."""
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

    from mimaface.nodes.comfyui.preview_route import add_editor_routes
    from mimaface.nodes.previews import PreviewStore

    store = PreviewStore()
    store.active = True
    body = {"source": store.offer(portrait_source()), "edit": EDIT, "size": 256, "client": "page"}
    where = dice.choice(("/mimaface/preview", "/mimaface/controls", "/mimaface/presets", "/mimaface/x", "/mimaface/"))
    headers = {"Content-Type": dice.choice(("application/json", "text/plain", "", "application/json; charset=x"))}
    if dice.random() < 0.3:
        headers["Origin"] = dice.choice(("null", "http://x", "x", "http://["))
    if dice.random() < 0.2:
        headers["Host"] = dice.choice(("", "[", "x:y", "a" * 300))

    async def talk() -> tuple[int, bytes]:
        application, routes = web.Application(), web.RouteTableDef()
        add_editor_routes(routes, store)
        application.add_routes(routes)
        async with TestClient(TestServer(application)) as client:
            method = dice.choice(("POST", "POST", "POST", "GET"))
            answer = await client.request(method, where, data=mutate.text(dice, body), headers=headers)
            return answer.status, await answer.read()

    status, answer = asyncio.run(talk())
    if status >= 500 or b"Traceback" in answer:
        raise Unfit(f"{where} answers {status}: {answer[:200]!r}")


def server(dice: random.Random, folder: Path) -> None:
    """Answers of a ComfyUI server that are wrong."""
    follow.POLL_SECONDS, follow.WATCHED_POLL_SECONDS, follow.PATIENCE_SECONDS = 0.05, 0.1, 0.5
    fake = FakeComfyUI()
    file = {"filename": "p.bin", "subfolder": "", "type": "output"}
    history = {"outputs": {"b": {"images": [file]}}, "status": {"status_str": "success", "messages": [["x", {}]]}}
    part = dice.choice(("infos", "verdict", "history", "messages", "queue"))
    if part == "infos":
        fake.infos = mutate.changed(dice, fake.infos, 12)
    elif part == "verdict":
        fake.verdict = (mutate.changed(dice, fake.verdict[0]), dice.choice((200, 200, 400, 500, 302, 204)))
    elif part == "queue":
        fake.running = fake.pending = mutate.changed(dice, ["7", "8"])
    wrong = mutate.changed(dice, history) if part == "history" else history
    messages = [mutate.text(dice, {"type": "executing", "data": {"prompt_id": "7", "node": "a"}}) for _ in range(4)]

    def play() -> None:
        if part == "messages":
            for message in messages:
                fake.outbox.put(message if dice.random() < 0.5 else message.decode("utf-8", "replace"))
        fake.history, fake.running, fake.pending = wrong, [], []
        fake.send("executing", node=None)

    fake.on_prompt = play
    giving_up = threading.Timer(8, fake.stop)  # a server that never says that it has ended is waited for
    giving_up.start()
    try:
        content = {"a": make(), "b": node("ToySave", "save", thing=["a", 0], name="x.txt")}
        run("run", graph(folder, content), "--server", fake.address, "--output-dir", "../out")
    finally:
        giving_up.cancel()
        fake.stop()


def pack(dice: random.Random, folder: Path) -> None:
    """Model packs with a wrong manifest or weights."""
    files = dict(goods.packs()[dice.choice(sorted(goods.packs()))])
    if dice.random() < 0.6:
        files["manifest.json"] = mutate.text(dice, json.loads(files["manifest.json"]))
    else:
        name = dice.choice(sorted(set(files) - {"manifest.json"}))
        files[name] = mutate.safetensors(dice, files[name])
        manifest = json.loads(files["manifest.json"])
        manifest.pop("files", None)  # its hashes would refuse before anything is read
        files["manifest.json"] = json.dumps(manifest).encode()
    (folder / "pack").mkdir()
    for name, data in files.items():
        (folder / "pack" / name).write_bytes(data)
    run("pack", "verify", folder / "pack")


def pairs(dice: random.Random, folder: Path) -> None:
    """Lists of pairs to be scored."""
    from mimaface.mimaface_core.evaluation.pairs import find_pairs

    Image.new("RGB", (32, 24)).save(folder / "a.png")
    rows = [{"output": "a.png", "source": "a.png", "driver": "a.png", "audio": ""} for _ in range(3)]
    name = dice.choice(("list.json", "list.csv"))
    cells = [list(rows[0]), *([*row.values()] for row in rows)]
    (folder / name).write_bytes(mutate.text(dice, rows) if name.endswith("json") else mutate.table(dice, cells))
    find_pairs(None, listed=folder / name)


def batch(dice: random.Random, folder: Path) -> None:
    """Lists of a batch, and what an earlier batch has left."""
    for name in ("a.png", "b.png"):
        Image.new("RGB", (32, 24)).save(folder / name)
    rows = [{"source": "a.png", "driver": "b.png", "output": f"r{k}", "set.sampler.steps": "4"} for k in range(3)]
    name = dice.choice(("list.jsonl", "list.csv"))
    if name.endswith("csv"):
        data = mutate.table(dice, [list(rows[0]), *([*row.values()] for row in rows)], dice.choice(",;\t"))
    else:
        data = b"\n".join(mutate.text(dice, row) for row in rows)
    (folder / name).write_bytes(data)
    state = folder.parent / "out" / ".mimaface-batch"
    state.mkdir(parents=True)
    record = {
        "made_by": "mimaface batch",
        "pair": "r0",
        "result": "r0.png",
        "sha256": "0",
        "fingerprint": "x",
        "bytes": 1,
        "seconds": 1.0,
        "frames": 1,
        "threads": 1,
    }
    (folder.parent / "out" / "r0.json").write_bytes(mutate.text(dice, record))
    log = {"pair": "r0", "outcome": "failed", "reason": "", "time": 1.0}
    (state / "attempts.jsonl").write_bytes(mutate.text(dice, log))
    if dice.random() < 0.3:
        (state / "lock").write_bytes(mutate.text(dice, {"pid": 999999, "host": "x"}))
    more = dice.choice(((), ("--only-failed",), ("--limit", "1"), ("--set", "sampler.steps=x"), ("--result", "zz")))
    run("batch", folder / name, "--output-dir", "../out", "--dry-run", *more)


def training(dice: random.Random, folder: Path) -> None:
    """Configurations and checkpoints of training."""
    from mimaface.mimaface_core.training.config import load_config
    from mimaface.mimaface_core.training.engine.checkpoint import check_same, load_averaged
    from mimaface.mimaface_core.training.implicit_config import load_implicit_config
    from mimaface.mimaface_core.training.tracker_config import load_tracker_config

    shipped = ROOT / "mimaface_core" / "training" / "configs"
    kind = dice.choice(("", "implicit", "tracker", "checkpoint"))
    if kind == "checkpoint":
        from safetensors.torch import save_file

        module = torch.nn.Linear(4, 4)
        tensors = {f"weights/net.{key}": value for key, value in module.state_dict().items()}
        save_file(tensors, folder / "a.safetensors", {"step": "1", "config": "{}"})
        data = mutate.safetensors(dice, (folder / "a.safetensors").read_bytes())
        (folder / "a.safetensors").write_bytes(data)
        load_averaged(folder / "a.safetensors", {"net": module})
        check_same(folder / "a", json.dumps(mutate.changed(dice, {"a": 1})), {"a": 1}, set())
        return
    load = {"": load_config, "implicit": load_implicit_config, "tracker": load_tracker_config}[kind]
    path = dice.choice(sorted((shipped / kind).glob("*.json")))
    (folder / "config.json").write_bytes(mutate.text(dice, json.loads(path.read_text(encoding="utf-8"))))
    load(str(folder / "config.json"))


def words(dice: random.Random, folder: Path) -> None:
    """Command lines."""
    odd = [str(value).replace("\ud800", "?") for value in mutate.ODD] + [".", "..", "/", "~", "con", "-", "/dev/null"]
    first = dice.choice(("run", "batch", "evaluate", "detect", "pack", "sign", "x"))
    options = {
        "run": ["--input", "--set", "--output-dir", "--server"],
        "batch": ["--output-dir", "--sources", "--drivers", "--set", "--workers", "--limit", "--retries", "--result"],
        "evaluate": [
            "--output",
            "--source",
            "--driver",
            "--audio",
            "--pairs",
            "--frames",
            "--clip",
            "--json",
            "--report",
        ],
        "pack": ["verify", "list"],
    }.get(first, [])
    line = [first, *([dice.choice(odd)] if dice.random() < 0.6 else [])]
    for _ in range(dice.randint(0, 3)):
        line += ([dice.choice(options)] if options else []) + [dice.choice(odd)]
    if "--dry-run" not in line and first == "batch":
        line.append("--dry-run")
    run(*line)


def detect(dice: random.Random, folder: Path) -> None:
    """Files of which `detect` says where they come from."""
    good = goods.images() | goods.films()
    name = dice.choice(sorted(good))
    (folder / name).write_bytes(dice.choice((mutate.scrambled, mutate.headed))(dice, good[name]))
    run("detect", folder / name)


@dataclasses.dataclass(frozen=True)
class Target:
    """A target, and how often it is chosen."""

    give: object
    share: int


TARGETS = {
    "image": Target(image, 14),
    "video": Target(video, 12),
    "audio": Target(audio, 8),
    "motion": Target(motion, 12),
    "curves": Target(curves, 6),
    "editor": Target(editor, 8),
    "graphs": Target(graphs, 10),
    "workflows": Target(workflows, 5),
    "route": Target(route, 5),
    "server": Target(server, 4),
    "pack": Target(pack, 6),
    "pairs": Target(pairs, 4),
    "batch": Target(batch, 4),
    "training": Target(training, 4),
    "words": Target(words, 4),
    "detect": Target(detect, 3),
}


def prepare() -> None:
    """Make all good files, which are kept: the time of the first case is its own."""
    for files in (*goods.ALL, _infos, portrait_source):
        files()
