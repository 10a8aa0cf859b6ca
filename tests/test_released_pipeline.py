"""The pipeline as released, with tiny networks of the true classes: crops, blend, context, the image stage, and the graph."""

import json
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from parity import off, stored
from PIL import Image
from scenes import clip, moved, needs_faces, nodding, portrait
from test_released_networks import VISION

from mimaface.mimaface_core import cli, host
from mimaface.mimaface_core.appearance.identity import FEATURES, CurricularFace
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.five_points import (
    BOX_SIDE,
    TEMPLATE,
    box_crop,
    face_box,
    five_points,
    from_edge,
    similarity,
)
from mimaface.mimaface_core.face.measure import measure
from mimaface.mimaface_core.face.regressed import ASPECT, Regressed, cut, resized
from mimaface.mimaface_core.morphable.modes import modes_of
from mimaface.mimaface_core.morphable.procedural import procedural_face
from mimaface.mimaface_core.motion.edit import edit
from mimaface.mimaface_core.motion.retarget import RELEASED, retarget
from mimaface.mimaface_core.motion.smooth import smooth
from mimaface.mimaface_core.motion.track import BFM, FaceCoefficients, MotionTrack
from mimaface.mimaface_core.packs.pack import ModelPack
from mimaface.mimaface_core.packs.parts import build_part
from mimaface.mimaface_core.packs.weights import write_pack
from mimaface.nodes.edit_motion import EditMotion
from mimaface.nodes.encode_appearance import EncodeAppearance
from mimaface.nodes.extract_3dmm import Extract3DMM
from mimaface.nodes.motion_statistics import MotionStatistics
from mimaface.nodes.plot_motion import PlotMotion
from mimaface.nodes.render_motion import renders

UNET = {"block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4, "cross_attention_dim": 16}
VIDEO = {
    **UNET,
    "down_block_types": ["DownBlockMotion", "CrossAttnDownBlockMotion"],
    "up_block_types": ["CrossAttnUpBlockMotion", "UpBlockMotion"],
    "num_attention_heads": 2,
    "motion_num_attention_heads": 2,
}
PICTURE = {
    **UNET,
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "attention_head_dim": 2,
}
VAE = {
    "block_out_channels": [4, 4, 8, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "latent_channels": 4,
    "mid_block_add_attention": False,
}
LOOK = {"vision": VISION, "context_dim": 16, "layers": 1}
MANIFEST = {
    "name": "released",
    "version": "1",
    "picture_size": 512,
    "clip_frames": 4,
    "overlap": 1,
    "face": "regressor",
    "render": "albedo",
    "context": "clip",
    "morphable": {"kind": "file", "file": "bfm.safetensors"},
    "latents": {"target": "picture", "sampled": True},
    "regressor": {"config": {}, "file": "regressor.safetensors"},
    "vae": {"class": "AutoencoderKL", "config": VAE, "file": "vae.safetensors"},
    "appearance": {"class": "released", "config": LOOK, "file": "appearance.safetensors"},
    "unet": {"class": "video", "config": VIDEO, "file": "unet.safetensors"},
    # the same file twice: half of it is CurricularFace, which both stages share
    "picture_appearance": {"class": "released", "config": LOOK, "file": "appearance.safetensors"},
    "picture_unet": {"class": "picture", "config": PICTURE, "file": "picture_unet.safetensors"},
    "scheduler": {"prediction_type": "epsilon", "timestep_spacing": "linspace"},
    "sampling": {"scheduler": "euler", "steps": 25, "guidance": 5.0},
}
# The stand-in for BFM09 has few vertices; layout and way are the same.
WRITTEN = ("regressor", "vae", "appearance", "unet", "picture_unet")


def random_part(name, seed):
    """A network of the pack with random values that keep activations in bounds."""
    module, generator = build_part(name, MANIFEST[name]), torch.Generator().manual_seed(seed)
    values = {}
    for key, value in module.state_dict().items():
        if value.ndim > 1:
            drawn = torch.randn(value.shape, generator=generator) / value[0].numel() ** 0.5
        elif key.endswith("running_var") or (key.endswith("weight") and value.ndim == 1):
            drawn = torch.ones(value.shape)
        else:
            drawn = torch.zeros(value.shape)
        values[key] = drawn.to(value.dtype)
    module.load_state_dict(values, assign=True)
    return module


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A models folder with a tiny pack of the released layout, called released."""
    folder = tmp_path_factory.mktemp("models")
    write_pack(folder / "released", MANIFEST, {name: random_part(name, i) for i, name in enumerate(WRITTEN)})
    procedural_face().model.save(folder / "released" / "bfm.safetensors")
    return folder


@pytest.fixture
def pack(models):
    return ModelPack.load(models / "released")


@pytest.fixture(scope="module")
def tracker():
    from mimaface.mimaface_core.face.detect import face_tracker

    return face_tracker()


class Instead:
    """Stands in for D3DFR: the mean of each colour, so that what was cut out can be told from the numbers."""

    def __init__(self):
        self.backbone = torch.nn.Module()
        self.backbone.conv1 = torch.nn.Conv2d(1, 1, 1)
        self.seen = []

    def __call__(self, pixels):
        self.seen += pixels
        return torch.cat(
            [pixels.mean((2, 3)), torch.zeros(len(pixels), 254), pixels[:, :2, 0].mean(1)[:, :4]], 1
        )

    def to(self, device):
        return self


def track(count=1, seed=0, basis=BFM, alignment=None):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator) / 10

    if alignment is None:
        alignment = torch.tensor([[0.6, 0, -20], [0, 0.6, -30]]) + draw(count, 1, 1) * torch.tensor(
            [0.1, 0, 9]
        )
    coefficients, gaze = FaceCoefficients(draw(count, 257)), draw(count, 4)
    return MotionTrack(
        coefficients, gaze, alignment, torch.ones(count, dtype=torch.bool), Fraction(25), basis
    )


# -- crops


def test_parity_of_alignment_and_crop():
    theirs = stored("alignment")
    assert off(similarity(theirs["align.points"][None])[0], theirs["align.matrix"]) <= 1e-4
    assert off(box_crop(theirs["crop.box"]), theirs["crop.matrix"]) <= 1e-4


def test_a_similarity_is_found_exactly_and_nonsense_refused():
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=torch.float64) * 1.7
    points = TEMPLATE @ turn.T + torch.tensor([30.0, -12.0])
    found = similarity(points[None])[0]
    assert torch.allclose(points @ found[:, :2].T + found[:, 2], TEMPLATE)
    assert torch.allclose(found[:, :2] @ turn, torch.eye(2, dtype=torch.float64), atol=1e-9)
    for bad in (torch.ones(1, 5, 2), torch.full((1, 5, 2), torch.nan)):
        with pytest.raises(InputError, match="find the face again"):
            similarity(bad)


def test_the_box_lies_about_the_points_as_the_detector_draws_it():
    box = face_box(TEMPLATE * 2 + 7)
    assert (box[1] - box[0]).tolist() == pytest.approx([2 * BOX_SIDE] * 2)
    crop = box_crop(box)
    assert torch.allclose(box @ crop[:, :2].T + crop[:, 2], box.new_tensor([[80, 80], [432, 432]]))
    # a published detection: points and box of mtcnn's own example picture
    points = torch.tensor([[291.0, 117], [314, 114], [303, 131], [296, 143], [313, 141]])
    box = face_box(points)
    assert (box.mean(0) - torch.tensor([301.0, 121.5])).abs().max() < 6 and (
        box[1] - box[0] - 63
    ).abs().max() < 4


def test_landmarks_count_from_the_edge():
    landmarks = torch.zeros(1, 478, 3)
    landmarks[0, 4, :2] = torch.tensor([10.5, 20.5])  # the middle of pixel (10, 20)
    assert five_points(landmarks)[0, 2].tolist() == [10, 20]
    matrix = from_edge(torch.tensor([[2.0, 0, 5], [0, 2, 7]]))
    assert torch.allclose(matrix @ torch.tensor([10.5, 20.5, 1]), torch.tensor([25.5, 47.5]))


def test_a_crop_is_cut_as_opencv_cuts_it():
    cv2 = pytest.importorskip("cv2")
    picture = portrait()[:400, :300]
    matrix = torch.tensor([[1.31, 0, 44.2], [0, 1.31, -20.7]], dtype=torch.float64)
    theirs = cv2.warpAffine(picture, matrix.numpy(), (512, 512), flags=cv2.INTER_LINEAR)
    for given in (torch.from_numpy(picture.copy()), torch.from_numpy(picture / 255).float()):
        ours = ((cut(given, matrix) + 1) * 127.5).permute(1, 2, 0).numpy()
        apart = np.abs(ours - theirs)
        assert apart.mean() < 0.5 and np.quantile(apart, 0.999) <= 4
        assert np.abs(ours - ours.round()).max() < 1e-3 and (ours[:, 480:] == 0).all()


def test_a_driver_is_squeezed_as_released_or_keeps_its_shape():
    wide = torch.from_numpy(portrait()[:300].copy())  # 512 × 300
    assert resized(wide, False).shape == (512, 512, 3) and resized(wide, True).shape == (512, 874, 3)
    whole = torch.from_numpy(portrait().copy())
    assert resized(whole, False) is whole and resized(whole, True) is whole
    levels = np.asarray(Image.fromarray(portrait()[:300]).resize((512, 512)))
    assert np.array_equal(resized(wide.float() / 255, False).numpy(), levels)


@needs_faces
def test_the_source_is_cut_by_its_box_and_the_driver_by_its_first_frames(tracker):
    frames = [torch.from_numpy(moved(0, 1, (12 * i, 0), size=(400, 300)).copy()) for i in range(3)]
    network = Instead()
    source, motion = measure(frames, 3, Fraction(25), tracker, Regressed(network))
    assert motion.basis == source.track.basis == BFM and len(network.seen) == 5
    # in the source's crop the five points' box lies where it should; its shape is kept
    points = five_points(source.landmarks[None])[0]
    assert torch.allclose(
        face_box(points), torch.tensor([[80.0, 80], [432, 432]], dtype=torch.float64), atol=0.5
    )
    assert source.crop_matrix[0, 0] == source.crop_matrix[1, 1] and source.crop_matrix[0, 1] == 0
    assert source.crop.shape == (3, 512, 512)
    # the alignment carries the face onto the template, in whole pixel centres
    placed = points @ source.track.alignment[0, :, :2].double().T + source.track.alignment[0, :, 2]
    assert (placed - TEMPLATE).norm(dim=1).mean() < 12
    # the driver's crop stays while the face moves to the right
    back = [torch.linalg.solve(m[:, :2], torch.tensor([128.0, 140]) - m[:, 2]) for m in motion.alignment]
    step = 12 * 512 / 400 * 352 / 512  # as long as the box were the whole picture
    assert all(b[0] - a[0] > step for a, b in pairwise(back))
    # a face that was squeezed looks different, one that was not looks like the source
    measure(frames, 3, Fraction(25), tracker, Regressed(network, ASPECT))
    squeezed, itself, kept = (network.seen[i] for i in (0, 3, 5))
    assert (squeezed - itself).abs().mean() > 3 * (kept - itself).abs().mean()


@needs_faces
def test_a_single_picture_of_the_released_size_is_a_driver_as_a_whole(tracker):
    picture = torch.from_numpy(portrait().copy())
    network = Instead()
    source, motion = measure([picture], 1, Fraction(25), tracker, Regressed(network))
    inside = torch.cat([source.crop_matrix, torch.tensor([[0.0, 0, 1]])])
    both = torch.cat([from_edge(source.track.alignment[0]), torch.tensor([[0.0, 0, 1]])]) @ inside
    assert torch.allclose(from_edge(motion.alignment[0]), both[:2], atol=0.02)
    assert (network.seen[0] - network.seen[1]).abs().mean() < 0.05  # the same face, cut out twice
    _, cropped = measure([picture], 1, Fraction(25), tracker, Regressed(network, ASPECT))
    assert torch.allclose(cropped.alignment, source.track.alignment, atol=1e-4)
    _, other = measure([picture[:, :500]], 1, Fraction(25), tracker, Regressed(network))
    assert (other.alignment - motion.alignment).abs().max() > 5


@needs_faces
def test_frames_without_a_face_and_a_face_that_comes_late(tracker):
    empty = torch.full((256, 256, 3), 90, dtype=torch.uint8)
    frames = [torch.from_numpy(frame.copy()) for frame in nodding(3)]
    source, motion = measure([empty, *frames, empty], 5, Fraction(25), tracker, Regressed(Instead()))
    assert motion.visible.tolist() == [False, True, True, True, False] and motion.basis == BFM
    assert torch.equal(motion.coefficients.values[0], motion.coefficients.values[1])
    assert np.allclose(source.picture.numpy() * 255, nodding(1)[0], atol=0.6)
    with pytest.raises(InputError, match="any of the clip's 2 frames"):
        measure([empty, empty], 2, Fraction(25), tracker, Regressed(Instead()))


# -- blend


def test_the_blend_is_the_released_one():
    driver, source = track(3, 1), track(1, 2)
    made = retarget(driver, source, RELEASED)
    d, s, m = driver.coefficients, source.coefficients, made.coefficients
    for name in ("identity", "texture", "lighting"):
        assert torch.equal(getattr(m, name), getattr(s, name).expand(3, -1)), name
    for name in ("expression", "angles", "translation"):
        assert torch.equal(getattr(m, name), getattr(d, name)), name
    assert torch.equal(made.gaze, driver.gaze) and torch.equal(made.alignment, driver.alignment)
    assert made.basis == BFM and made.fps == driver.fps
    still = retarget(driver, source, RELEASED, 0, 0.0, 0.0, 0.0)
    assert torch.equal(still.coefficients.values, s.values.expand(3, -1))
    assert torch.equal(still.alignment, source.alignment.expand(3, -1, -1))


def test_relative_motion_moves_the_sources_alignment_like_the_drivers():
    source = track(1, 2)
    driver = track(3, 1)
    made = retarget(driver, source, "relative")
    assert torch.allclose(made.alignment[0], source.alignment[0], atol=1e-4)
    # a shift of the driver's face in its crop is the same shift in the source's
    shift = torch.tensor([[1.0, 0, 9], [0, 1, -4], [0, 0, 1]])
    whole = torch.cat([driver.alignment[0], torch.tensor([[0.0, 0, 1]])])
    moved_driver = replace(driver[:2], alignment=torch.stack([whole, whole @ shift.inverse()])[:, :2])
    made = retarget(moved_driver, source, "relative")
    back = [torch.linalg.solve(m[:, :2], torch.tensor([128.0, 140]) - m[:, 2]) for m in made.alignment]
    assert torch.allclose(back[1] - back[0], torch.tensor([9.0, -4]), atol=1e-3)


def test_motions_of_two_face_models_do_not_mix(tmp_path, pack):
    ours, theirs = track(2, basis="procedural"), track(1)
    for mode in ("relative", RELEASED):
        with pytest.raises(InputError, match="face model procedural, but bfm09.*one pack"):
            retarget(ours, theirs, mode)
    with pytest.raises(InputError, match="face model"):
        MotionTrack.concatenate([ours, theirs])
    with pytest.raises(InputError, match="face model procedural"):
        next(renders(pack, None, ours, "albedo"))
    theirs.save(tmp_path / "motion.safetensors")
    again = MotionTrack.load(tmp_path / "motion.safetensors")
    assert again.basis == BFM and again[:1].basis == again.resample(Fraction(50)).basis == BFM


def test_nodes_for_motions_work_where_expressions_have_no_names():
    motion = track(20, 3)
    assert PlotMotion.execute(motion, 400, 320).result[0].shape == (1, 320, 400, 3)
    calm = smooth(motion, 1, 1, 1, modes_of(BFM).quick)
    assert torch.isfinite(calm.coefficients.values).all() and calm.basis == BFM
    sliders = {
        name: 0.0 for name in ("yaw", "pitch", "roll", "shift_x", "shift_y", "gaze_x", "gaze_y", "smile")
    }
    turned = EditMotion.execute(motion, **{**sliders, "yaw": 10.0}, zoom=1.0).result[0]
    assert torch.equal(turned.coefficients.expression, motion.coefficients.expression)
    with pytest.raises(InputError, match="bundled face model only"):
        EditMotion.execute(motion, **{**sliders, "smile": 1.0}, zoom=1.0)
    # a tenth of the crop to the right, seen where the alignment puts the plane
    there = edit(motion[:1], shift=(0.1, 0))
    c = [t.coefficients.translation[0] for t in (motion, there)]
    x = [1160 * float(t[0]) / (10 - float(t[2])) / float(motion.alignment[0, 0, 0]) for t in c]
    assert x[1] - x[0] == pytest.approx(51.2, rel=1e-3)
    calm = MotionStatistics.execute(motion, head=0.5, mouth=1.0, brows=0.5, lids=1.0, gaze=1.0).result[0]
    assert calm.coefficients.expression.std(0).mean() < motion.coefficients.expression.std(0).mean()
    with pytest.raises(InputError, match="leave both at 1"):
        MotionStatistics.execute(motion, head=1.0, mouth=0.5, brows=1.0, lids=1.0, gaze=1.0)


# -- the pack


def test_only_what_is_used_is_read(pack):
    heavy = {
        "vae",
        "unet",
        "appearance",
        "regressor",
        "picture_unet",
        "picture_appearance",
        "morphable",
        "latents",
    }
    assert not heavy & vars(pack).keys() and pack.basis == BFM and pack.averaged
    assert pack.stage(2).unet is pack.unet and heavy & vars(pack).keys() == {"unet"}
    assert not any(value.is_meta for value in (*pack.unet.parameters(), *pack.unet.buffers()))
    with pytest.raises(InputError, match="without eyes, mouth"):
        _ = pack.face


def test_one_frame_is_drawn_by_the_image_stage(pack, models):
    assert pack.stage(1).unet is pack.picture_unet and pack.stage(1).appearance is pack.picture_appearance
    assert pack.stage(1).scheduler == pack.scheduler
    plain = {key: value for key, value in MANIFEST.items() if not key.startswith("picture_u")}
    with pytest.raises(InputError, match="only useful together"):
        ModelPack(models / "released", plain)
    plain.pop("picture_appearance")
    video_alone = ModelPack(models / "released", plain)
    assert video_alone.stage(1).unet is video_alone.unet


def test_large_parts_take_the_precision_of_the_surroundings(models):
    with host.use(host.Host(device="cpu", dtype=torch.bfloat16)):
        pack = ModelPack.load(models / "released")
        kinds = {name: next(getattr(pack, name).parameters()).dtype for name in WRITTEN}
    assert kinds == {
        "regressor": torch.float32,
        "appearance": torch.float32,
        "vae": torch.bfloat16,
        "unet": torch.bfloat16,
        "picture_unet": torch.bfloat16,
    }


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"face": "mesh"}, "face 'mesh'"),
        ({"context": "all"}, "context 'all'"),
        ({"morphable": {"kind": "procedural"}}, "needs the part 'regressor' and a face model"),
        ({"unet": {**MANIFEST["unet"], "class": "sdxl"}}, "unet.class 'sdxl' is not one of video, picture"),
        ({"appearance": {**MANIFEST["appearance"], "config": {}}}, "cross_attention_dim"),
        (
            {"picture_unet": {"class": "picture", "config": {}, "file": "picture_unet.safetensors"}},
            "picture_unet.config",
        ),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(models, changes, named):
    with pytest.raises(InputError, match=named):
        ModelPack(models / "released", {**MANIFEST, **changes})


def test_context_is_averaged_over_a_clip_or_of_each_frame(pack, monkeypatch):
    monkeypatch.setattr(CurricularFace, "forward", lambda self, pixels: torch.zeros(len(pixels), FEATURES))
    source = track(1, 5, alignment=torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]]))
    person = type("Person", (), {"crop": torch.zeros(3, 512, 512), "track": source})
    motion = track(6, 6)
    own = EncodeAppearance.execute(pack, person, motion).result[0]
    each = EncodeAppearance.execute(pack, person, motion, "per frame").result[0]
    assert own.context([0, 1, 1]).shape == (1, 12, 16) and each.context([0, 1, 1]).shape == (3, 12, 16)
    assert torch.allclose(own.context([0, 1, 1])[0], each.context([0, 1, 1]).mean(0), atol=1e-6)
    assert torch.equal(own.motion, torch.cat([motion.coefficients.values, motion.gaze], 1))
    one = EncodeAppearance.execute(pack, person, motion[:1]).result[0]
    assert one.encoder is pack.picture_appearance and own.encoder is pack.appearance


def test_the_render_lies_in_the_drivers_crop(pack):
    alignment = torch.tensor([[[1.0, 0, -192], [0, 1, 0]], [[1, 0, -64], [0, 1, 0]]])
    motion = replace(track(2, 7), coefficients=FaceCoefficients.zeros(2), alignment=alignment)
    person = type("Person", (), {"crop": torch.zeros(3, 512, 512)})
    pictures = list(renders(pack, person, motion, pack.render))
    columns = torch.arange(512.0)
    middle = [
        (columns * (picture > -1).any(0).any(0)).sum() / (picture > -1).any(0).any(0).sum()
        for picture in pictures
    ]
    assert all(picture.shape == (3, 512, 512) and picture.min() == -1 for picture in pictures)
    assert float(middle[0] - middle[1]) == pytest.approx(128, abs=2)


def test_latents_of_renders_are_sampled_or_their_mode(models):
    picture = torch.rand(1, 3, 64, 64) * 2 - 1
    drawn = {}
    for sampled in (True, False):
        pack = ModelPack(
            models / "released", {**MANIFEST, "latents": {"target": "picture", "sampled": sampled}}
        )
        generators = (torch.Generator().manual_seed(seed) for seed in (0, 0, 1))
        drawn[sampled] = [pack.latents.encode(picture, generator) for generator in generators]
        mode = pack.latents.encode(picture)
    assert torch.equal(drawn[True][0], drawn[True][1]) and not torch.equal(drawn[True][0], drawn[True][2])
    assert all(torch.equal(latents, mode) for latents in drawn[False])


# -- from end to end


def draw(models, count, dtype=torch.float32, low=False):
    """Frames drawn with the tiny pack from random renders: [count, 3, 128, 128]."""
    from mimaface.mimaface_core.diffusion.clips import sample_clips

    with host.use(host.Host(device="cpu", dtype=dtype, low_memory=low)):
        pack = ModelPack.load(models / "released")
        generator = torch.Generator().manual_seed(0)
        context = torch.randn(1, 12, 16, generator=generator)
        pictures = (torch.randn(count, 3, 128, 128, generator=generator) / 2).clamp(-1, 1)
        clips = sample_clips(
            pack.stage(count),
            iter(pictures),
            lambda frames: context,
            count,
            frames=min(count, 4),
            overlap=1 if count > 1 else 0,
            steps=1,
            guidance=5.0,
        )
        return torch.cat(list(clips))


def test_half_precision_draws_about_the_same(models):
    exact = draw(models, 2)
    assert exact.shape == (2, 3, 128, 128) and torch.isfinite(exact).all() and exact.std() > 0.01
    for dtype, apart in ((torch.bfloat16, 0.1), (torch.float16, 0.02)):
        close = draw(models, 2, dtype)
        assert torch.isfinite(close).all() and (close - exact).abs().mean() < apart * exact.abs().mean(), (
            dtype
        )


def test_low_memory_draws_the_same(models):
    for count in (1, 3):
        assert (draw(models, count, low=True) - draw(models, count)).abs().mean() < 1e-3


@needs_faces
@pytest.mark.parametrize("count", [1, 6])
def test_the_released_graph(models, tmp_path, monkeypatch, capsys, count):
    monkeypatch.setenv("MIMAFACE_MODELS", str(models))
    monkeypatch.chdir(tmp_path)
    Image.fromarray(portrait()).save("face.png")
    clip(Path("clip.mp4"), [moved(4 * np.sin(i / 3), 1, (i, 0), size=(320, 256)) for i in range(count)])
    given = ["--input", "source=face.png", "--input", "driver=clip.mp4", "--set", "sampler.steps=1"]
    status = cli.main(["run", "reenact_video_released", *given, "--output-dir", "out"])
    said = capsys.readouterr()
    assert status == 0, said.err
    result = json.loads(said.out.splitlines()[-1])
    files = [Path(file) for file in result["outputs"]]
    assert [file.suffix for file in files] == ([".png"] * 2 if count == 1 else [".mp4"] * 2)
    if count == 1:
        assert [Image.open(file).size for file in files] == [(512, 512), (512, 512)]
        assert np.asarray(Image.open(files[0])).std() > 1


@needs_faces
def test_a_motion_of_another_pack_is_refused_by_name(pack, models):
    picture = torch.from_numpy(portrait() / 255).float()[None]
    source, motion = Extract3DMM.execute(pack, picture, -1, "interpolate").result
    assert source.track.basis == motion.basis == BFM and torch.isfinite(motion.coefficients.values).all()
    with pytest.raises(InputError, match="Extract 3DMM with one pack"):
        EncodeAppearance.execute(pack, source, track(1, basis="procedural"))
