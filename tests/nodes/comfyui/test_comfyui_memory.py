"""In a real ComfyUI: memory is freed, cancel and previews work, other extensions and folders are respected.

Runs when COMFYUI_DIR names a ComfyUI folder (see test_comfyui.py).
"""

import io
import json
import shutil
import subprocess
import sys
import urllib.error

import pytest
from PIL import Image
from support.checkout import ROOT
from support.comfyui_process import running
from support.comfyui_server import COMFYUI, PYTHON, bare
from support.scenes import clip, moved, needs_faces, nodding
from support.tiny_pack import write_tiny_pack

pytest.importorskip("websocket")
pytestmark = [
    pytest.mark.skipif(not COMFYUI, reason="set COMFYUI_DIR to a ComfyUI folder to test inside it"),
    needs_faces,
]
# another extension with a model of its own under ComfyUI's memory management
OTHER = """
import comfy.model_management, comfy.model_patcher, torch

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.device, self.inner = None, torch.nn.Linear(4, 4)

class OtherModel:
    patcher = None
    INPUT_TYPES = classmethod(lambda cls: {"required": {"number": ("INT", {})}, "optional": {"after": ("*",)}})
    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = ("FLOAT",), "run", "other", True

    def run(self, number, after=None):
        cls, device = type(self), comfy.model_management.get_torch_device()
        if cls.patcher is None:
            cls.patcher = comfy.model_patcher.ModelPatcher(Model(), device, torch.device("cpu"))
        comfy.model_management.load_models_gpu([cls.patcher])
        value = float(cls.patcher.model.inner(torch.full((1, 4), float(number), device=device)).sum())
        models = [one.model for one in comfy.model_management.loaded_models()]
        loaded = [type(getattr(model, "module", model)).__name__ for model in models]
        return {"ui": {"loaded": loaded, "value": [value]}, "result": (value,)}

NODE_CLASS_MAPPINGS = {"OtherModel": OtherModel}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    base = bare(tmp_path_factory.mktemp("comfyui"))
    (base / "custom_nodes" / "other").mkdir()
    (base / "custom_nodes" / "other" / "__init__.py").write_text(OTHER)
    write_tiny_pack(base / "models" / "mimaface" / "tiny", picture_size=512)
    write_tiny_pack(base / "elsewhere" / "faces" / "far")
    (base / "paths.yaml").write_text(f"mine:\n  base_path: {base / 'elsewhere'}\n  mimaface: faces\n")
    Image.fromarray(moved(size=(320, 300))).save(base / "input" / "face.png")
    clip(base / "input" / "clip.mp4", nodding(6))
    with running(base, "--extra-model-paths-config", str(base / "paths.yaml")) as comfyui:
        yield comfyui


def reenact(pack="tiny", seed=0, **changes):
    """reenact_video with `sampler=dict(steps=2)` and the like."""
    graph = json.loads((ROOT / "workflows/api/reenact_video.json").read_text())
    titled = {entry["_meta"]["title"]: entry["inputs"] for entry in graph.values()}
    titled["source"]["image"], titled["driver"]["file"] = "face.png", "clip.mp4"
    titled["pack"]["pack"], titled["sampler"]["seed"] = pack, seed
    for title, inputs in changes.items():
        titled[title] |= inputs
    return graph


def packs(server):
    info = server.ask("/object_info/MIMAFaceLoadPack")["MIMAFaceLoadPack"]
    return info["input"]["required"]["pack"][1]["options"]


def at(node, step):
    """A condition for `cancel`: that node has made that many steps."""
    return lambda kind, data: kind == "progress" and data["node"] == node and data["value"] >= step


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_freed_after_runs_and_cancels(server):
    def bundled(seed, **options):
        return server.run(reenact("bundled", seed), **options)

    # libraries stay: a small run has loaded them all
    assert server.run(reenact("far")).status == "success"
    server.free()
    before = server.resident()
    server.forget_peak()
    assert bundled(0).status == "success"
    at_most = server.peak()
    assert bundled(1, cancel=at("9", 1)).stopped_at == "9"
    server.free()
    between = server.resident()
    assert bundled(2).status == "success"
    server.free()
    after = server.resident()
    print(f"resident MB: before {before:.0f}, run {at_most:.0f}, cancelled and freed {between:.0f}, again {after:.0f}")
    assert between < 1.1 * before and after < 1.1 * before < at_most


# tracking, drawing, pasting, writing
@pytest.mark.parametrize(("node", "step"), [("5", 3), ("9", 1), ("10", 4), ("12", 1)])
def test_a_cancel_stops_the_node_leaves_no_unfinished_file_and_the_next_run_works(server, node, step):
    seed = 10 * int(node)
    run = server.run(reenact(seed=seed, sampler={"steps": 3}, full={"format": "webm"}), cancel=at(node, step))
    print(f"cancelled at node {node} in {run.latency:.2f} s")
    assert run.stopped_at == node and run.latency < 20
    assert not list(server.base.rglob(".unfinished*"))
    server.free()
    assert not list((server.base / "temp").glob(".part-*"))
    assert server.run(reenact(seed=seed, sampler={"steps": 1})).status == "success"


def test_previews_reach_the_page_while_frames_are_drawn(server):
    run = server.run(reenact(seed=3, sampler={"steps": 3}))
    images = [Image.open(io.BytesIO(preview[8:])) for preview in run.previews]  # after two numbers
    assert len(images) == 4  # the first render, then one a step
    assert {(image.format, image.size) for image in images} == {("JPEG", (512, 512))}


def test_a_slider_reruns_only_the_nodes_behind_it(server):
    assert server.run(reenact(seed=4)).status == "success"
    run = server.run(reenact(seed=4, retarget={"pose": 0.5}))
    assert set(run.executed) == {"7", "8", "9", "10", "11", "12"}


def test_a_model_of_another_extension_works_before_and_after_ours(server):
    graph = reenact(seed=5)
    graph["90"] = {"class_type": "OtherModel", "inputs": {"number": 1}}
    graph["91"] = {"class_type": "OtherModel", "inputs": {"number": 1, "after": ["9", 0]}}
    shown = server.run(graph).history["outputs"]
    assert shown["90"]["value"] == shown["91"]["value"]
    assert {"Model", "UNetMotionModel", "AutoencoderTiny"} <= set(shown["91"]["loaded"])
    server.free()
    graph["91"]["inputs"]["number"] = graph["90"]["inputs"]["number"] = 2
    again = server.run(graph).history["outputs"]
    assert again["90"]["value"] == again["91"]["value"] != shown["90"]["value"]


def test_packs_are_found_in_both_folders_and_while_the_server_runs(server):
    assert {"bundled", "tiny", "far"} <= set(packs(server))
    fresh = server.base / "elsewhere" / "faces" / "fresh"
    shutil.copytree(server.base / "models" / "mimaface" / "tiny", fresh)
    assert "fresh" in packs(server)
    assert server.run(reenact("fresh", seed=6)).status == "success"
    (fresh / "unet.safetensors").unlink()
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.ask("/prompt", {"prompt": reenact("fresh", seed=7)})
    details = json.load(refused.value)["node_errors"]["3"]["errors"][0]["details"]
    assert (
        "unet.safetensors is not there; copy them from where the pack came from into" in details
        and str(fresh) in details
    )


FLAGS = """
import sys
sys.argv = ["main.py", "--cpu"]
import comfy.options; comfy.options.enable_args_parsing()
import comfy.model_management as management, torch
from comfy.cli_args import args
sys.path.insert(0, TESTS)
from support import checkout
from mimaface.nodes.comfyui.host import ComfyUIHost
host, State = ComfyUIHost(), management.VRAMState
assert host.device.type == "cpu" and host.dtype == torch.float32 and not host.low_memory
for state, low in ((State.LOW_VRAM, True), (State.NO_VRAM, True), (State.NORMAL_VRAM, False), (State.HIGH_VRAM, False)):
    management.vram_state = state
    assert host.low_memory == low, state
for flag, dtype in (("fp16_unet", torch.float16), ("bf16_unet", torch.bfloat16), ("fp32_unet", torch.float32),
                    ("fp8_e4m3fn_unet", torch.float32), ("fp64_unet", torch.float32)):
    setattr(args, flag, True)
    assert host.dtype == dtype, flag
    setattr(args, flag, False)
import folder_paths
folder_paths.add_model_folder_path("mimaface", "/first", is_default=True)
folders = [str(folder) for folder in ComfyUIHost().models_folders()]
assert folders[0] == "/first" and len(folders) == len(set(folders)) == 2, folders
"""


def test_comfyuis_flags_choose_number_type_memory_and_folders():
    code = f"TESTS = {str(ROOT / 'tests')!r}\n{FLAGS}"
    done = subprocess.run([PYTHON, "-c", code], cwd=COMFYUI, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
