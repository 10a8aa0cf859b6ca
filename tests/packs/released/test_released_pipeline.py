"""The released pipeline with tiny networks of its classes: blend, context, image model, precision, the graph."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.scenes import clip, moved, needs_faces, portrait
from support.tiny_released import MANIFEST, WRITTEN, write_tiny_released

from mimaface.cli import main as cli
from mimaface.mimaface_core import host
from mimaface.mimaface_core.appearance.identity import FEATURES, CurricularFace
from mimaface.mimaface_core.drawing import render
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.source import SourceFace
from mimaface.mimaface_core.morphable.bundled.groups import expression_groups
from mimaface.mimaface_core.motion.edit import edit
from mimaface.mimaface_core.motion.groups import ExpressionGroups
from mimaface.mimaface_core.motion.retarget import RELEASED, retarget
from mimaface.mimaface_core.motion.smooth import smooth
from mimaface.mimaface_core.motion.track import BFM, FaceCoefficients, MotionTrack
from mimaface.mimaface_core.packs.manifest import Manifest
from mimaface.mimaface_core.packs.pack import ModelPack
from mimaface.nodes.edit_motion import EditMotion
from mimaface.nodes.encode_appearance import EncodeAppearance
from mimaface.nodes.extract_3dmm import Extract3DMM
from mimaface.nodes.motion_statistics import MotionStatistics
from mimaface.nodes.plot_motion import PlotMotion


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A models folder with a tiny pack like the converted one, called released."""
    folder = tmp_path_factory.mktemp("models")
    write_tiny_released(folder / "released")
    return folder


@pytest.fixture
def pack(models):
    return ModelPack.load(models / "released")


def opened(models, manifest):
    """The pack's folder under another manifest."""
    folder = models / "released"
    return ModelPack(folder, Manifest.from_json(manifest, folder / "manifest.json"))


def track(count=1, seed=0, basis=BFM, alignment=None):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator) / 10

    if alignment is None:
        alignment = torch.tensor([[0.6, 0, -20], [0, 0.6, -30]]) + draw(count, 1, 1) * torch.tensor([0.1, 0, 9])
    coefficients, gaze = FaceCoefficients(draw(count, 257)), draw(count, 4)
    return MotionTrack(coefficients, gaze, alignment, torch.ones(count, dtype=torch.bool), Fraction(25), basis)


def person(own):
    """A source without a picture."""
    return SourceFace(torch.zeros(8, 8, 3), torch.zeros(3, 512, 512), torch.eye(2, 3), torch.zeros(478, 3), own)


# -- blend


def test_released_retargeting_blends_driver_and_source():
    driver, source = track(3, 1), track(1, 2)
    blend = retarget(driver, source, ExpressionGroups(), RELEASED)
    d, s, m = driver.coefficients, source.coefficients, blend.coefficients
    for name in ("identity", "texture", "lighting"):
        assert torch.equal(getattr(m, name), getattr(s, name).expand(3, -1)), name
    for name in ("expression", "angles", "translation"):
        assert torch.equal(getattr(m, name), getattr(d, name)), name
    assert torch.equal(blend.gaze, driver.gaze) and torch.equal(blend.alignment, driver.alignment)
    assert blend.basis == BFM and blend.fps == driver.fps
    still = retarget(driver, source, ExpressionGroups(), RELEASED, 0, 0.0, 0.0, 0.0)
    assert torch.equal(still.coefficients.values, s.values.expand(3, -1))
    assert torch.equal(still.alignment, source.alignment.expand(3, -1, -1))


def test_relative_retargeting_moves_the_alignment_of_the_source():
    source = track(1, 2)
    driver = track(3, 1)
    moved_source = retarget(driver, source, ExpressionGroups(), "relative")
    assert torch.allclose(moved_source.alignment[0], source.alignment[0], atol=1e-4)
    # a shift of the driver's face in its crop is the same shift in the source's
    shift = torch.tensor([[1.0, 0, 9], [0, 1, -4], [0, 0, 1]])
    whole = torch.cat([driver.alignment[0], torch.tensor([[0.0, 0, 1]])])
    moved_driver = replace(driver[:2], alignment=torch.stack([whole, whole @ shift.inverse()])[:, :2])
    moved_source = retarget(moved_driver, source, ExpressionGroups(), "relative")
    back = [torch.linalg.solve(m[:, :2], torch.tensor([128.0, 140]) - m[:, 2]) for m in moved_source.alignment]
    assert torch.allclose(back[1] - back[0], torch.tensor([9.0, -4]), atol=1e-3)


def test_motions_of_two_face_models_are_not_mixed(tmp_path, pack):
    ours, theirs = track(2, basis="scanned"), track(1)
    for mode in ("relative", RELEASED):
        with pytest.raises(InputError, match="face model scanned, but bfm09.*one pack"):
            retarget(ours, theirs, ExpressionGroups(), mode)
    with pytest.raises(InputError, match="face model"):
        MotionTrack.concatenate([ours, theirs])
    with pytest.raises(InputError, match="face model scanned"):
        next(render(pack, person(theirs), ours, "albedo"))
    theirs.save(tmp_path / "motion.safetensors")
    again = MotionTrack.load(tmp_path / "motion.safetensors")
    assert again.basis == BFM and again[:1].basis == again.resample(Fraction(50)).basis == BFM


def test_motion_nodes_work_without_named_blendshapes():
    motion = track(20, 3)
    assert PlotMotion.execute(motion, 400, 320).result[0].shape == (1, 320, 400, 3)
    calm = smooth(motion, expression_groups(BFM), 1, 1, 1)
    assert torch.isfinite(calm.coefficients.values).all() and calm.basis == BFM
    sliders = {name: 0.0 for name in ("yaw", "pitch", "roll", "shift_x", "shift_y", "gaze_x", "gaze_y", "smile")}
    turned = EditMotion.execute(motion, **{**sliders, "yaw": 10.0}, zoom=1.0).result[0]
    assert torch.equal(turned.coefficients.expression, motion.coefficients.expression)
    with pytest.raises(InputError, match="bundled face model only"):
        EditMotion.execute(motion, **{**sliders, "smile": 1.0}, zoom=1.0)
    # a tenth of the crop to the right, in pixels of the crop
    there = edit(motion[:1], shift=(0.1, 0))
    c = [t.coefficients.translation[0] for t in (motion, there)]
    x = [1160 * float(t[0]) / (10 - float(t[2])) / float(motion.alignment[0, 0, 0]) for t in c]
    assert x[1] - x[0] == pytest.approx(51.2, rel=1e-3)
    calm = MotionStatistics.execute(motion, head=0.5, mouth=1.0, brows=0.5, lids=1.0, gaze=1.0).result[0]
    assert calm.coefficients.expression.std(0).mean() < motion.coefficients.expression.std(0).mean()
    with pytest.raises(InputError, match="leave both at 1"):
        MotionStatistics.execute(motion, head=1.0, mouth=0.5, brows=1.0, lids=1.0, gaze=1.0)


# -- the pack


def test_parts_are_loaded_on_first_use(pack):
    heavy = {
        "vae",
        "unet",
        "appearance",
        "regressor",
        "image_unet",
        "image_appearance",
        "morphable",
        "latents",
    }
    assert not heavy & vars(pack).keys() and pack.basis == BFM and pack.averaged
    assert pack.stage(2).unet is pack.unet and heavy & vars(pack).keys() == {"unet"}
    assert not any(value.is_meta for value in (*pack.unet.parameters(), *pack.unet.buffers()))
    with pytest.raises(InputError, match="without eyes, mouth"):
        _ = pack.face


def test_a_single_frame_is_drawn_by_the_image_model(pack, models):
    assert pack.stage(1).unet is pack.image_unet and pack.stage(1).appearance is pack.image_appearance
    assert pack.stage(1).scheduler == pack.scheduler
    plain = {key: value for key, value in MANIFEST.items() if not key.startswith("picture_u")}
    with pytest.raises(InputError, match="only useful together"):
        opened(models, plain)
    plain.pop("picture_appearance")
    video_alone = opened(models, plain)
    assert video_alone.stage(1).unet is video_alone.unet


def test_large_parts_take_the_precision_of_the_host(models):
    with host.use(host.Host(device="cpu", dtype=torch.bfloat16)):
        pack = ModelPack.load(models / "released")
        kinds = {name: next(getattr(pack, name.replace("picture", "image")).parameters()).dtype for name in WRITTEN}
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
        ({"morphable": {"kind": "bundled"}}, "needs the part 'regressor' and a face model"),
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
        opened(models, {**MANIFEST, **changes})


def test_context_is_averaged_over_a_clip_or_per_frame(pack, monkeypatch):
    monkeypatch.setattr(CurricularFace, "forward", lambda self, pixels: torch.zeros(len(pixels), FEATURES))
    source = track(1, 5, alignment=torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]]))
    motion = track(6, 6)
    own = EncodeAppearance.execute(pack, person(source), motion).result[0]
    each = EncodeAppearance.execute(pack, person(source), motion, "per frame").result[0]
    assert own.context([0, 1, 1]).shape == (1, 12, 16) and each.context([0, 1, 1]).shape == (3, 12, 16)
    assert torch.allclose(own.context([0, 1, 1])[0], each.context([0, 1, 1]).mean(0), atol=1e-6)
    assert torch.equal(own.track.coefficients.values, motion.coefficients.values)
    assert torch.equal(own.track.gaze, motion.gaze)
    one = EncodeAppearance.execute(pack, person(source), motion[:1]).result[0]
    assert one.encoder is pack.image_appearance and own.encoder is pack.appearance


def test_the_render_lies_in_the_drivers_crop(pack):
    alignment = torch.tensor([[[1.0, 0, -192], [0, 1, 0]], [[1, 0, -64], [0, 1, 0]]])
    motion = replace(track(2, 7), coefficients=FaceCoefficients.zeros(2), alignment=alignment)
    pictures = list(render(pack, person(motion[:1]), motion, pack.render))
    columns = torch.arange(512.0)
    middle = [
        (columns * (picture > -1).any(0).any(0)).sum() / (picture > -1).any(0).any(0).sum() for picture in pictures
    ]
    assert all(picture.shape == (3, 512, 512) and picture.min() == -1 for picture in pictures)
    assert float(middle[0] - middle[1]) == pytest.approx(128, abs=2)


def test_latents_of_renders_are_sampled_or_their_mode(models):
    picture = torch.rand(1, 3, 64, 64) * 2 - 1
    drawn = {}
    for sampled in (True, False):
        pack = opened(models, {**MANIFEST, "latents": {"target": "picture", "sampled": sampled}})
        generators = (torch.Generator().manual_seed(seed) for seed in (0, 0, 1))
        drawn[sampled] = [pack.latents.encode(picture, generator) for generator in generators]
        mode = pack.latents.encode(picture)
    assert torch.equal(drawn[True][0], drawn[True][1]) and not torch.equal(drawn[True][0], drawn[True][2])
    assert all(torch.equal(latents, mode) for latents in drawn[False])


# -- end to end


def draw(models, count, dtype=torch.float32, low=False):
    """Frames drawn with the tiny pack from random renders: [count, 3, 128, 128]."""
    from mimaface.mimaface_core.diffusion.clips import sample_clips
    from mimaface.mimaface_core.diffusion.settings import SamplerSettings

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
            SamplerSettings(frames=min(count, 4), overlap=1 if count > 1 else 0, steps=1, guidance=5.0),
        )
        return torch.cat(list(clips))


def test_half_precision_draws_nearly_the_same_frames(models):
    exact = draw(models, 2)
    assert exact.shape == (2, 3, 128, 128) and torch.isfinite(exact).all() and exact.std() > 0.01
    for dtype, apart in ((torch.bfloat16, 0.1), (torch.float16, 0.02)):
        close = draw(models, 2, dtype)
        assert torch.isfinite(close).all() and (close - exact).abs().mean() < apart * exact.abs().mean(), dtype


def test_low_memory_draws_the_same_frames(models):
    for count in (1, 3):
        assert (draw(models, count, low=True) - draw(models, count)).abs().mean() < 1e-3


@needs_faces
@pytest.mark.parametrize("count", [1, 6])
def test_the_released_workflow_runs(models, tmp_path, monkeypatch, capsys, count):
    monkeypatch.setenv("MIMAFACE_MODELS", str(models))
    monkeypatch.chdir(tmp_path)
    Image.fromarray(portrait()).save("face.png")
    clip(Path("clip.mp4"), [moved(4 * np.sin(i / 3), 1, (i, 0), size=(320, 256)) for i in range(count)])
    inputs = ["--input", "source=face.png", "--input", "driver=clip.mp4", "--set", "sampler.steps=1"]
    status = cli.main(["run", "reenact_video_released", *inputs, "--output-dir", "out"])
    printed = capsys.readouterr()
    assert status == 0, printed.err
    result = json.loads(printed.out.splitlines()[-1])
    files = [Path(file) for file in result["outputs"]]
    assert [file.suffix for file in files] == ([".png"] * 2 if count == 1 else [".mp4"] * 2)
    if count == 1:
        assert [Image.open(file).size for file in files] == [(512, 512), (512, 512)]
        assert np.asarray(Image.open(files[0])).std() > 1


@needs_faces
def test_a_motion_of_another_pack_is_refused_with_the_remedy(pack, models):
    picture = torch.from_numpy(portrait() / 255).float()[None]
    source, motion = Extract3DMM.execute(pack, picture, -1, "interpolate").result
    assert source.track.basis == motion.basis == BFM and torch.isfinite(motion.coefficients.values).all()
    with pytest.raises(InputError, match="Extract 3DMM with one pack"):
        EncodeAppearance.execute(pack, source, track(1, basis="scanned"))
