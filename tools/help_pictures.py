"""Draws the images of the help pages, each with the node that it explains.

The source is the NASA portrait, the driver the demo's video.
"""

import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from sheets import frames, labelled, save_plot, tiles
from torch import Tensor

from mimaface.cli.demo import DRIVER
from mimaface.mimaface_core.editing import keyframes_of
from mimaface.mimaface_core.face.crop import CROP_SIZE, PLANE
from mimaface.mimaface_core.media.image import read_image
from mimaface.mimaface_core.media.provenance import own_watermark
from mimaface.mimaface_core.media.read import Clip
from mimaface.mimaface_core.morphable.bundled.blendshapes import blendshape, blendshapes
from mimaface.mimaface_core.morphable.bundled.face import bundled_face
from mimaface.mimaface_core.motion.plot import plot
from mimaface.mimaface_core.motion.track import MotionTrack
from mimaface.mimaface_core.tensors import to_float, to_uint8
from mimaface.nodes import (
    DetectGaze,
    DriveImplicit,
    EncodeAppearance,
    EncodeImplicit,
    Evaluate,
    Extract3DMM,
    LoadPack,
    MotionStatistics,
    PasteBack,
    PlotMotion,
    RenderImplicit,
    RenderMotion,
    RetargetMotion,
    SampleClips,
    SmoothMotion,
)
from mimaface.nodes.comfyui.schema import VideoFromFile

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "web" / "docs"
THUMBNAILS = {
    "DriveByAudio": "talk.jpg",
    "EditMotion": "edit_face.jpg",
    "EditVideo": "edit_video.jpg",
    "KeyframeMotion": "keyframes.jpg",
    "MixMotion": "mix_driver_and_hand.jpg",
    "SampleClips": "reenact_video.jpg",
    "SpeakImplicit": "talk_realtime.jpg",
    "DriveImplicit": "reenact_realtime.jpg",
}
SIDE = 160  # of a tile, pixels
LOOKS, TALKS, TURNS, LAUGHS = (14, 26), 58, 70, 82  # frames of the demo's video
EYES = (slice(110, 340), slice(141, 371))  # rows and columns of the eyes in a crop, and in the video
SHOWN, COLUMNS = (
    "eyeBlinkLeft", "eyeWide", "eyeSquint", "browDown", "browInnerUp", "browOuterUpLeft", "noseSneer", "cheekPuff",
    "mouthSmile", "mouthSmileLeft", "mouthFrown", "mouthPucker", "mouthFunnel", "mouthLeft", "mouthUpperUp",
    "mouthLowerDown", "mouthRollLower", "mouthStretch", "mouthPress", "jawOpen", "jawForward",
), 7  # fmt: skip
KEY_TOLERANCE = 0.03  # more than usual, so that the lines differ
RESTING = 50  # frames at the start, in which the face hardly moves


class Scene:
    """The portrait, the driver, and the nodes' results for them."""

    def __init__(self, portrait: Path, photograph: Path, result: Path) -> None:
        self.pack = LoadPack.execute("bundled").args[0]
        self.result = VideoFromFile(str(result))
        self.portrait, self.photograph = read_image(portrait), read_image(photograph)
        self.source = self.measured(self.portrait)[0]
        self.driver = self.extract(VideoFromFile(str(DRIVER)))[1].whole()  # a stream, for its length
        self.motion = self.retarget(self.driver)

    def measured(self, image: Tensor) -> tuple:
        """Source and motion of one image [H, W, 3]."""
        return self.extract(to_float(image)[None])

    def extract(self, images) -> tuple:
        return Extract3DMM.execute(self.pack, images, -1, "interpolate").args

    def retarget(self, motion: MotionTrack, mode: str = "relative", pose: float = 1.0) -> MotionTrack:
        return RetargetMotion.execute(self.source, motion, mode, 0, pose, 1.0, 1.0).args[0]

    def render(self, motion: MotionTrack, mode: str = "projected", source=None) -> list[Tensor]:
        """Frames [H, W, 3], uint8, of the face model."""
        video = RenderMotion.execute(self.pack, source or self.source, motion, mode).args[0]
        return list(Clip.open(video.get_stream_source()))

    def sample(self, motion: MotionTrack, source=None) -> Tensor:
        """Frames [N, H, W, 3] in 0–1, drawn by diffusion."""
        source = source or self.source
        appearance = EncodeAppearance.execute(self.pack, source, motion).args[0]
        settings = {"seed": 0, "steps": 0, "guidance": 0.0, "scheduler": "pack's own"}
        return SampleClips.execute(self.pack, source, motion, appearance, **settings).args[0].get_components().images


def draw_help(portrait: Path, photograph: Path, result: Path) -> None:
    """Draw every image of the help pages.

    Args:
        portrait: the source of the demo.
        photograph: the same person, of whom it shows more.
        result: the demo's animated face.
    """
    for node, name in THUMBNAILS.items():
        shutil.copyfile(ROOT / "workflows" / name, page(node, name))
    scene = Scene(portrait, photograph, result)
    for draw in (
        tracked,
        rendered,
        retargeted,
        looked,
        modulated,
        packs,
        kept,
        pasted,
        marked,
        plotted,
        smoothed,
        calmed,
        keyed,
        scored,
        expressions,
        drawn_implicitly,
    ):
        draw(scene)


def expressions(scene: Scene) -> None:
    """The portrait in full expressions of ARKit's, one alone in each tile."""
    at_rest = scene.source.track[[0] * len(SHOWN)]
    c = at_rest.coefficients
    change = torch.zeros(len(SHOWN), c.expression.shape[1])
    for row, name in zip(change, SHOWN, strict=True):
        row[blendshapes(name)] = 1
    images = scene.render(at_rest.replace(coefficients=c.replace(expression=c.expression + change)))
    named = [labelled(image, name) for image, name in zip(images, SHOWN, strict=True)]
    tiles([named[i : i + COLUMNS] for i in range(0, len(named), COLUMNS)], SIDE, ROOT / "docs" / "expressions.jpg")


def page(node: str, name: str) -> Path:
    """The path of a page's image."""
    return PAGES / f"MIMAFace{node}" / name


def tracked(scene: Scene) -> None:
    sources = [scene.measured(image)[0] for image in (scene.portrait, *frames(DRIVER, (TALKS, TURNS)))]
    captions = ("photograph", "clip", "clip")
    tiles([[mesh(source) for source in sources]], SIDE, page("Extract3DMM", "tracked.jpg"), captions)


def mesh(source) -> Tensor:
    """The crop with the edges of the fitted face model, uint8 [CROP_SIZE, CROP_SIZE, 3]."""
    face = bundled_face()
    points = face.model.project(face.model.vertices(source.track.coefficients))[0, :, :2] * (CROP_SIZE / PLANE)
    sheet = Image.fromarray(to_uint8((source.crop.permute(1, 2, 0) + 1) / 2).numpy())
    draw = ImageDraw.Draw(sheet, "RGBA")
    for corners in points[face.model.triangles[face.part_triangles["face"]]].tolist():
        (ax, ay), (bx, by), (cx, cy) = corners
        if (bx - ax) * (cy - ay) != (cx - ax) * (by - ay):
            draw.line([ax, ay, bx, by, cx, cy, ax, ay], (80, 220, 255, 110), 1)
    return torch.from_numpy(np.asarray(sheet).copy())


def rendered(scene: Scene) -> None:
    motion = scene.motion[[TURNS]]
    shown = [*frames(DRIVER, (TURNS,)), *scene.render(motion), *scene.render(motion, "albedo")]
    tiles([shown], SIDE, page("RenderMotion", "modes.jpg"), ("clip", "projected", "albedo"))


def retargeted(scene: Scene) -> None:
    driver = scene.driver
    moved = [scene.retarget(driver), scene.retarget(driver, "absolute"), scene.retarget(driver, pose=0.3)]
    shown = frames(DRIVER, (LAUGHS,)) + [scene.render(motion[[LAUGHS]])[0] for motion in moved]
    tiles([shown], SIDE, page("RetargetMotion", "modes.jpg"), ("clip", "relative", "absolute", "relative, pose 0.3"))


def looked(scene: Scene) -> None:
    still = scene.source.track.replace(fps=scene.driver.fps)
    shown = scene.render(still)
    for frame in frames(DRIVER, LOOKS):
        replaced = DetectGaze.execute(scene.pack, to_float(frame)[None], still).args[0]
        shown += [frame, *scene.render(replaced)]
    captions = ("photograph", "clip", "its gaze", "clip", "its gaze")
    tiles([[image[EYES] for image in shown]], SIDE, page("DetectGaze", "gaze.jpg"), captions)


def modulated(scene: Scene) -> None:
    """The context of two frames: the first three principal components of the patches' tokens, as colours."""
    encoder = scene.pack.stage(len(scene.motion)).appearance
    with torch.no_grad():
        tokens = encoder.encode_source(scene.source.crop[None])
        context = encoder.modulate(tokens, scene.motion[[0, TURNS]].motion)[:, 1:]
    flat = context.flatten(0, 1)
    components = (flat - flat.mean(0)) @ torch.linalg.svd(flat - flat.mean(0), full_matrices=False).Vh[:3].T
    side = round(context.shape[1] ** 0.5)
    colours = ((components / components.std(0) + 2) / 4).clamp(0, 1).reshape(2, side, side, 3)
    shown = [(scene.source.crop.permute(1, 2, 0) + 1) / 2, colours[0], *scene.render(scene.motion[[TURNS]]), colours[1]]
    captions = ("at rest", "its appearance", "turned", "its appearance")
    tiles([shown], SIDE, page("EncodeAppearance", "appearance.jpg"), captions)


def packs(scene: Scene) -> None:
    motion = scene.motion[TALKS - 11 : TALKS + 1]
    shown = [scene.portrait, scene.render(motion)[-1], scene.sample(motion)[-1]]
    tiles([shown], SIDE, page("LoadPack", "bundled.jpg"), ("photograph", "render", "drawn by bundled"))


def kept(scene: Scene) -> None:
    numbers = [*LOOKS, TALKS, TURNS]
    shaded = scene.render(scene.driver[numbers], "albedo")
    tiles([frames(DRIVER, numbers), shaded], SIDE, page("SaveMotion", "kept.jpg"))
    tiles([shaded, scene.render(scene.motion[numbers])], SIDE, page("LoadMotion", "again.jpg"))


def pasted(scene: Scene) -> None:
    source = scene.measured(scene.photograph)[0]
    motion = RetargetMotion.execute(source, scene.driver, "relative", 0, 1.0, 1.0, 1.0).args[0]
    drawn = scene.sample(motion[TURNS - 11 : TURNS + 1], source)
    video, mask, _ = PasteBack.execute(source, drawn, 1920).args
    whole = list(Clip.open(video.get_stream_source()))
    shown = [drawn[-1], mask[0][..., None].expand(-1, -1, 3), whole[-1]]
    tiles([shown], SIDE, page("PasteBack", "whole.jpg"), ("frames", "mask", "video"))
    tiles([whole[2::3]], SIDE, page("CombineVideo", "film.jpg"))


def drawn_implicitly(scene: Scene) -> None:
    """The crop that is encoded, and the demo's driver drawn by implicit motion."""
    pack = LoadPack.execute("bundled-implicit").args[0]
    source = EncodeImplicit.execute(pack, to_float(scene.photograph)[None], -1).args[0]
    crop = (source.crop.permute(1, 2, 0) + 1) / 2
    tiles([[scene.photograph, crop]], SIDE, page("EncodeImplicit", "crop.jpg"), ("photograph", "crop"))
    motion = DriveImplicit.execute(pack, VideoFromFile(str(DRIVER)), -1).args[0]
    video = RenderImplicit.execute(pack, source, motion, "relative", True).args[0]
    shown = frames(Path(video.get_stream_source()), (*LOOKS[:1], TALKS, TURNS))
    tiles([[crop, *shown]], SIDE, page("RenderImplicit", "drawn.jpg"))


def marked(scene: Scene) -> None:
    plain = to_uint8(scene.portrait)
    shown = own_watermark()(plain)
    change = (0.5 + 8 * (to_float(shown) - to_float(plain))).clamp(0, 1)
    tiles(
        [[to_float(plain), change, to_float(shown)]],
        SIDE,
        page("Detect", "mark.jpg"),
        ("frame", "change, 8-fold", "marked"),
    )


def plotted(scene: Scene) -> None:
    save_plot(PlotMotion.execute(scene.driver, 720, 540).args[0][0], page("PlotMotion", "plot.png"))


def smoothed(scene: Scene) -> None:
    steady = [(f"expression {k:g}", SmoothMotion.execute(scene.driver, 0.4, k, 0.3).args[0]) for k in (0.3, 1.0)]
    lines = {name: corner(motion)[:RESTING] for name, motion in [("as tracked", scene.driver), *steady]}
    curve = curves("a corner of the mouth, coefficient", lines, scene.driver[:RESTING])
    save_plot(curve, page("SmoothMotion", "steady.png"))


def corner(motion: MotionTrack) -> Tensor:
    return motion.coefficients.expression[:, blendshape("mouthSmileRight")]


def calmed(scene: Scene) -> None:
    def head(factor: float) -> MotionTrack:
        return MotionStatistics.execute(scene.motion, factor, 1.0, 1.0, 1.0, 1.0).args[0]

    lines = {f"head {factor:g}": yaw(head(factor)) for factor in (0.5, 1.0, 1.5)}
    save_plot(curves("head, yaw, degrees", lines, scene.motion), page("MotionStatistics", "calmer.png"))


def keyed(scene: Scene) -> None:
    """The turn of a head, and that of few keys."""
    keys = keyframes_of(scene.motion, scene.source, KEY_TOLERANCE)
    times = torch.arange(len(scene.motion)) / float(scene.motion.fps)
    turned = yaw(scene.motion) - yaw(scene.source.track)
    lines = {"motion": turned, f"{len(keys.curves['yaw'])} keys": keys.at(times)["yaw"]}
    save_plot(curves("yaw, degrees", lines, scene.motion), page("MotionToKeyframes", "keys.png"))


def yaw(motion: MotionTrack) -> Tensor:
    return torch.rad2deg(motion.coefficients.angles[:, 1])


def curves(title: str, lines: dict[str, Tensor], motion: MotionTrack) -> Tensor:
    return plot([(title, lines)], float(motion.fps), motion.visible, 720, 270)


def scored(scene: Scene) -> None:
    table = Evaluate.execute(scene.result, False, to_float(scene.portrait)[None], VideoFromFile(str(DRIVER))).args[1][0]
    sheet = Image.fromarray(to_uint8(table).numpy())
    sheet.crop((0, 0, sheet.width, 720)).reduce(2).save(page("Evaluate", "table.jpg"), quality=60, optimize=True)
