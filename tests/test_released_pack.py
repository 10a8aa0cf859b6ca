"""The published weights: their folder checked, their conversion, the autoencoder's many forms, and the download."""

import hashlib
import json
import os
import pickle
import shutil
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
import torch
from published import (
    BFM,
    FUSE,
    IDENTITY,
    IMAGE,
    MOTION,
    PICTURE_FUSE,
    REGRESSOR,
    SMALL,
    UNET_2D,
    VIDEO,
    save,
    save_json,
    vae_state,
    write_bfm,
    write_published,
    write_vae,
    zeros,
)
from safetensors.torch import load_file

from mimaface.mimaface_core import cli, host, weights
from mimaface.mimaface_core.diffusion.released_unet import combine, to_diffusers
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.packs import hub
from mimaface.mimaface_core.packs.autoencoder import find_vae, read_vae
from mimaface.mimaface_core.packs.convert import STAGING, convert_released
from mimaface.mimaface_core.packs.layout import SOURCES, Sizes
from mimaface.mimaface_core.packs.pack import ModelPack
from mimaface.mimaface_core.packs.released import check_released
from mimaface.mimaface_core.packs.weights import verify_files

# -- checking


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A published folder, small; not to be changed."""
    folder = tmp_path_factory.mktemp("published")
    write_published(folder)
    return folder


@pytest.fixture
def published(whole, tmp_path):
    """A copy that may be changed."""
    return shutil.copytree(whole, tmp_path / "published")


def problems(folder, **options):
    return check_released(folder, sizes=SMALL, **options).problems()


def test_the_keys_and_shapes_of_the_published_folder(tmp_path):
    """At full size: pickles of zeros that take no room, under every published key."""
    for name, source in SOURCES.items():
        place = next(place for place in source.places if not place.endswith(("safetensors", "/unet.pth")))
        values = zeros(source.wanted(Sizes()))
        if name.endswith("fuse"):
            values["layer_norm.bias"] = torch.full((768,), float(source.image))  # the two stages differ
        if name.endswith("vision"):
            values = {f"vision_model.{key}": value for key, value in values.items()}
            save_json({"hidden_act": "quick_gelu"}, (tmp_path / place).with_name("config.json"))
        save(values, tmp_path / place)
    write_bfm(tmp_path / BFM, 35709)
    report = check_released(tmp_path)
    assert report.problems(with_vae=False) == [] and report.images
    assert report.files["motion"].config == {"motion_max_seq_length": 32}
    assert report.files["vision"].config["hidden_size"] == 1024
    assert len(report.problems()) == 1 and "sd-vae-ft-mse" in report.problems()[0]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 20e6


def test_a_whole_folder_is_good(whole):
    report = check_released(whole, sizes=SMALL)
    assert report.problems() == [] and report.notes == []
    assert all(line.startswith("good\t") for line in report.lines())


def test_the_image_stage_may_be_missing_but_not_half_of_it(published):
    shutil.rmtree(published / IMAGE / "vision_encoder")
    assert len(problems(published)) == 1 and "vision_encoder" in problems(published)[0]
    (published / PICTURE_FUSE).unlink()
    report = check_released(published, sizes=SMALL)
    assert report.problems() == [] and not report.images and "no image stage" in report.notes[0]


def test_missing_files_are_named_with_their_source_and_place(published):
    (published / MOTION).unlink()
    (published / BFM).unlink()
    shutil.rmtree(published / "sd-vae-ft-mse")
    motion, bfm, vae = problems(published)
    assert str(published / MOTION) in motion and "huggingface.co/MIMAFace/MIMAFace" in motion
    assert str(published / BFM) in bfm and "--vae" in vae and "stabilityai" in vae
    with pytest.raises(InputError, match="holds nothing"):
        check_released(published / "models" / "ArcFace")
    with pytest.raises(InputError, match="no folder"):
        check_released(published / "absent")


def test_every_wrong_key_is_listed(published):
    state = torch.load(published / MOTION)
    state["down_blocks.0.motion_modules.9.new"] = torch.zeros(2)
    state["conv_in.bias"] = torch.zeros(7)
    key = next(key for key in state if key.endswith("attention_blocks.0.to_q.weight"))
    del state[key], state["conv_out.bias"]  # the latter is not taken from this file
    save(state, published / MOTION)
    report = check_released(published, sizes=SMALL)
    misfit = report.files["motion"].misfit
    assert misfit.missing == (key,) and misfit.unexpected == ("down_blocks.0.motion_modules.9.new",)
    assert misfit.misshaped == (("conv_in.bias", (7,), (32,)),)
    lines = "\n".join(report.lines())
    assert f"'{key}' is missing" in lines and "'conv_in.bias' has shape [7] instead of [32]" in lines
    (sentence,) = report.problems()
    assert MOTION in sentence and sentence.endswith(".") and "and 2 more" in sentence


def test_counts_of_batches_may_be_missing(published):
    state = torch.load(published / REGRESSOR)
    save({key: value for key, value in state.items() if not key.endswith("tracked")}, published / REGRESSOR)
    assert problems(published) == []


def test_files_in_each_others_places(published):
    shutil.copy(published / PICTURE_FUSE, published / FUSE)
    (swapped,) = problems(published)
    assert f"{VIDEO}/mim.pth" in swapped and "same file as checkpoints/image/mim.pth" in swapped
    shutil.copy(published / IDENTITY, published / REGRESSOR)
    assert f"it is what belongs at {IDENTITY}" in problems(published)[1]


def test_another_models_unet(published):
    state = load_file(published / UNET_2D)
    save({**state, "add_embedding.linear_1.weight": torch.zeros(2)}, published / UNET_2D)
    assert all("Stable Diffusion XL" in sentence for sentence in problems(published))
    save({**state, "conv_in.weight": torch.zeros(32, 4, 3, 3)}, published / UNET_2D)
    assert "[32, 4, 3, 3] instead of [32, 13, 3, 3]" in problems(published)[0]


def test_the_flat_file_of_the_base_counts_first(published):
    state = {key: value + 1 for key, value in load_file(published / UNET_2D).items()}
    save(state, published / IMAGE / "pretrained_unet" / "unet.pth")
    report = check_released(published, sizes=SMALL)
    assert (
        report.files["base"].path.name == "unet.pth" and report.files["picture"].path.suffix == ".safetensors"
    )


def test_a_face_model_with_other_vertices(published):
    write_bfm(published / BFM, 53)
    assert "53 vertices; D3DFR's face model has 50" in problems(published)[0]
    content = (published / BFM).read_bytes()
    (published / BFM).write_bytes(content[: len(content) // 2])
    assert "BFM09_model_info.mat cannot be read" in problems(published)[0]


class Trap:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def test_damaged_files_and_code(published, tmp_path):
    content = (published / MOTION).read_bytes()
    (published / MOTION).write_bytes(content[: len(content) // 2])
    unet = (published / UNET_2D).read_bytes()
    (published / UNET_2D).write_bytes(unet[: len(unet) // 2])
    (published / FUSE).write_bytes(pickle.dumps({"a": Trap(tmp_path / "mark")}))
    (published / REGRESSOR).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    torch.save({"a": Trap(tmp_path / "mark")}, published / IDENTITY)
    (published / VIDEO / "vision_encoder" / "config.json").write_text("{")
    said = "\n".join(problems(published))
    for place, words in {
        MOTION: "cut short",
        UNET_2D: "cut short",
        FUSE: "weights alone",
        REGRESSOR: "git lfs pull",
        IDENTITY: "code to be run",
        "config.json": "cannot be read",
    }.items():
        assert any(place in line and words in line for line in said.splitlines()), place
    assert not (tmp_path / "mark").exists()


# -- converting


@pytest.fixture(scope="module")
def converted(whole, tmp_path_factory):
    """The whole folder as a pack in half precision (the two regressors have no small size)."""
    out = tmp_path_factory.mktemp("packs") / "released"
    convert_released(whole, out, half=True, sizes=SMALL)
    yield out
    shutil.rmtree(out)


def written(out):
    return {path.name: path.stat().st_mtime_ns for path in out.glob("*.safetensors")}


def test_the_pack_holds_the_published_weights(whole, converted):
    pack = ModelPack.load(converted)
    unet = combine(load_file(whole / UNET_2D), torch.load(whole / MOTION))
    expected = to_diffusers(unet)
    ours = pack.unet.state_dict()
    assert ours.keys() == expected.keys()
    for key, value in expected.items():
        assert torch.equal(ours[key], value.half().float() if value.ndim > 1 else value), key
    for name, place in {"fuse": FUSE, "picture_fuse": PICTURE_FUSE}.items():
        fuse = (pack.picture_appearance if "picture" in name else pack.appearance).fuse
        weight = torch.load(whole / place)["transform_dim_clip.weight"]
        assert torch.equal(fuse.transform_dim_clip.weight, weight.half().float())
    assert pack.appearance.vision.config.hidden_act == "gelu"  # as in the folder's config.json
    assert torch.equal(pack.picture_unet.conv_out.bias, load_file(whole / UNET_2D)["conv_out.bias"])
    assert len(pack.morphable.mean_shape) == 50 and pack.morphable.mean_shape.dtype == torch.float32
    assert torch.equal(pack.vae.quant_conv.bias, vae_state(SMALL.vae)["quant_conv.bias"])
    assert len(pack.verify()) >= 6


def test_the_manifest_says_what_it_was_made_from(whole, converted):
    manifest = json.loads((converted / "manifest.json").read_text())
    assert manifest["unet"]["config"]["motion_max_seq_length"] == 32
    assert manifest["sources"][MOTION] == {
        "sha256": hashlib.sha256((whole / MOTION).read_bytes()).hexdigest(),
        "bytes": (whole / MOTION).stat().st_size,
    }
    assert set(manifest["files"]) == {path.name for path in converted.glob("*.safetensors")}
    assert sorted(path.suffix for path in converted.iterdir()) == [".json"] + [".safetensors"] * 7
    verify_files(converted, manifest)
    manifest["files"]["vae.safetensors"]["sha256"] = "0" * 64
    with pytest.raises(InputError, match="vae.safetensors is missing, cut short or damaged"):
        verify_files(converted, manifest)


def test_converting_again_makes_only_what_has_changed(published, converted):
    before, manifest = written(converted), (converted / "manifest.json").read_bytes()
    convert_released(published, converted, half=True, sizes=SMALL)
    assert written(converted) == before and (converted / "manifest.json").read_bytes() == manifest

    # The disk fills up (files may grow to a megabyte), then the user stops it, then it goes through.
    resource = pytest.importorskip("resource")
    state = torch.load(published / FUSE)
    state["layer_norm.bias"] += 1
    save(state, published / FUSE)
    write_vae(published / "sd-vae-ft-mse", vae_state(SMALL.vae, 6))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(InputError, match="cannot be written.*what is finished is kept"):
            convert_released(published, converted, half=True, sizes=SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert written(converted) == before and (converted / "manifest.json").read_bytes() == manifest
    assert [path.name for path in (converted / STAGING).iterdir()] == ["vae.safetensors"]
    waiting = (converted / STAGING / "vae.safetensors").stat().st_mtime_ns

    class Stopping(host.Host):
        def show(self, progress, preview=None):
            if progress.label.startswith("appearance") and progress.done:
                self.cancel()

    with host.use(Stopping()), pytest.raises(Cancelled):
        convert_released(published, converted, half=True, sizes=SMALL)
    assert written(converted) == before

    convert_released(published, converted, half=True, sizes=SMALL)
    after = written(converted)
    assert after["vae.safetensors"] == waiting
    assert {name for name in after if after[name] != before[name]} == {
        "vae.safetensors",
        "appearance.safetensors",
    }
    assert not (converted / STAGING).exists()

    # Without the image stage its files go.
    for place in (PICTURE_FUSE, f"{IMAGE}/vision_encoder/model.safetensors"):
        (published / place).unlink()
    convert_released(published, converted, half=True, sizes=SMALL)
    assert len(written(converted)) == 5 and "picture_unet" not in ModelPack.load(converted).manifest


def test_nothing_is_written_where_something_else_is(whole, published, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    (tmp_path / "file").touch()
    for out, words in {"other": "holds something else", "file": "is a file", "published": "itself"}.items():
        with pytest.raises(InputError, match=words):
            convert_released(published, tmp_path / out, sizes=SMALL)
    (published / MOTION).unlink()
    with pytest.raises(InputError, match="3dunet.pth is missing"):
        convert_released(published, tmp_path / "new", sizes=SMALL)
    assert not (tmp_path / "new").exists()


def test_the_commands(published, tmp_path, capsys):
    assert cli.main(["pack", "verify", str(published)]) == 2
    captured = capsys.readouterr()
    assert "instead of [320, 13, 3, 3]" in captured.out and "is not the published file" in captured.err
    assert cli.main(["pack", "convert", str(tmp_path / "absent"), str(tmp_path / "out")]) == 2
    assert "There is no folder" in capsys.readouterr().err


def test_files_are_written_in_a_stream(tmp_path):
    values = {
        "odd": torch.arange(3, dtype=torch.uint8),
        "count": torch.tensor(7),
        "wide": torch.randn(4, 3).T,
        "none": torch.zeros(0, 2),
        "brain": torch.ones(2, dtype=torch.bfloat16),
        "flag": torch.tensor([True, False]),
    }
    path = tmp_path / "a.safetensors"
    done = weights.write(path, values, {"made": "here"})
    read = weights.read(path, "do it again")
    assert read.keys() == values.keys() and all(torch.equal(read[key], values[key]) for key in values)
    assert done == {"sha256": weights.sha256(path), "bytes": path.stat().st_size}
    weights.write(
        path, values, precision=lambda value: torch.float16 if value.is_floating_point() else value.dtype
    )
    assert weights.read(path, "")["wide"].dtype == torch.float16
    assert list(tmp_path.iterdir()) == [path]


# -- the autoencoder


def original(key: str, blocks: int = 4) -> str:
    """A key of diffusers' autoencoder as Stable Diffusion was first published."""
    half, _, rest = key.partition(".")
    if rest.startswith(("down_blocks.", "up_blocks.")):
        kind, number, what, index, *last = rest.split(".", 4)
        number = int(number) if kind == "down_blocks" else blocks - 1 - int(number)
        way = kind.removesuffix("_blocks")
        if what == "resnets":
            return f"{half}.{way}.{number}.block.{index}.{last[0].replace('conv_shortcut', 'nin_shortcut')}"
        return f"{half}.{way}.{number}.{way}sample.{last[0]}"
    if rest.startswith("mid_block.resnets."):
        _, _, index, last = rest.split(".", 3)
        return f"{half}.mid.block_{int(index) + 1}.{last}"
    if rest.startswith("mid_block.attentions.0."):
        names = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
        last = rest.removeprefix("mid_block.attentions.0.")
        name, _, kind = last.rpartition(".")
        return f"{half}.mid.attn_1.{names[name]}.{kind}"
    return key.replace("conv_norm_out", "norm_out")


def originally(state: dict) -> dict:
    """A whole autoencoder under the original names; the attention's matrices are kernels there."""
    convolved = {
        key: value[..., None, None] if ".attentions." in key and value.ndim == 2 else value
        for key, value in state.items()
    }
    return {original(key): value for key, value in convolved.items()}


@pytest.fixture(scope="module")
def autoencoder():
    return vae_state(SMALL.vae)


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_an_autoencoder_under_every_name(autoencoder, tmp_path):
    old = originally(autoencoder)
    assert len(old) == len(autoencoder) and "encoder.mid.attn_1.proj_out.weight" in old
    checkpoint = {f"first_stage_model.{key}": value for key, value in old.items()}
    checkpoint["model.diffusion_model.input_blocks.0.0.weight"] = torch.zeros(2)
    save(old, tmp_path / "alone.safetensors")
    save({"state_dict": {**old, "loss.logvar": torch.zeros(())}, "epoch": 1}, tmp_path / "alone.ckpt")
    save(checkpoint, tmp_path / "v1-5-pruned-emaonly.safetensors")
    save(autoencoder, tmp_path / "new.safetensors")
    write_vae(tmp_path / "folder", autoencoder)
    write_vae(tmp_path / "whole" / "vae", autoencoder, scaling_factor=0.18215)
    for place in ("alone.safetensors", "alone.ckpt", "v1-5-pruned-emaonly.safetensors", "new.safetensors"):
        assert same(read_vae(tmp_path / place), autoencoder), place
    assert same(read_vae(tmp_path / "folder"), autoencoder) and same(
        read_vae(tmp_path / "whole"), autoencoder
    )


def test_another_models_autoencoder_is_refused(autoencoder, tmp_path):
    old = {f"first_stage_model.{key}": value for key, value in originally(autoencoder).items()}
    save({**old, "conditioner.embedders.0.x": torch.zeros(1)}, tmp_path / "base.safetensors")
    save(old, tmp_path / "sdxl_vae.safetensors")
    for name in ("base", "sdxl_vae"):
        with pytest.raises(InputError, match="Stable Diffusion XL"):
            read_vae(tmp_path / f"{name}.safetensors")
    write_vae(tmp_path / "folder", autoencoder, scaling_factor=0.13025)
    with pytest.raises(InputError, match=r"0\.13025.*0\.18215"):
        read_vae(tmp_path / "folder")
    save({"model.weight": torch.zeros(1)}, tmp_path / "lora.safetensors")
    with pytest.raises(InputError, match="holds no autoencoder"):
        read_vae(tmp_path / "lora.safetensors")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no autoencoder in"):
        read_vae(tmp_path / "empty")


def test_the_autoencoder_is_found(autoencoder, tmp_path):
    folder, models = tmp_path / "published", tmp_path / "models"
    packs = [models / "mimaface"]
    assert find_vae(None, folder, packs) is None
    other, published = models / "vae" / "kl-f8.safetensors", models / "vae" / "vae-ft-mse-840000.safetensors"
    save(autoencoder, other)
    assert find_vae(None, folder, packs) is None
    save(autoencoder, published)
    save(autoencoder, models / "checkpoints" / "v1-5.safetensors")
    assert find_vae(None, folder, packs) == published
    assert find_vae("kl-f8.safetensors", folder, packs) == other
    assert find_vae("v1-5.safetensors", folder, packs).parent.name == "checkpoints"
    assert find_vae(str(other), folder, []) == other
    with pytest.raises(InputError, match="no autoencoder lost.*kl-f8.safetensors"):
        find_vae("lost", folder, packs)
    cached = folder / "hub" / "models--stabilityai--sd-vae-ft-mse" / "snapshots" / "31f26f"
    write_vae(cached, autoencoder)
    assert find_vae(None, folder, packs) == cached


# -- the download


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
    assert (
        cli.main(["pack", "convert", str(tmp_path / "published"), str(tmp_path / "out"), "--download"]) == 2
    )
    said = capsys.readouterr().err
    assert "states no licence" in said.splitlines()[0] and "research only" in said.splitlines()[0]
    assert "3dunet.pth cannot be read" in said and not (tmp_path / "out").exists()
