"""On a GPU: what is drawn there equals what the CPU draws, and no tensor of one device meets one of the other."""

import threading
from fractions import Fraction

import pytest
import torch
from support.faces import FACE, blended, landmarks, people
from support.pretend_gpu import OnGpu, pretend_gpu
from support.tiny_implicit import motion_of, source_of, write_tiny_implicit
from support.tiny_pack import randn, write_tiny_pack

from mimaface.mimaface_core import drawing, host
from mimaface.mimaface_core.diffusion.tiny import TinyCoder
from mimaface.mimaface_core.drawing import RENDER_BATCH, animate, paste_back, render, write_video
from mimaface.mimaface_core.face.crop import plane_alignment
from mimaface.mimaface_core.face.fit import fit_landmarks
from mimaface.mimaface_core.face.implicit_source import ImplicitSource
from mimaface.mimaface_core.face.source import SourceFace
from mimaface.mimaface_core.implicit.detail import own_flow
from mimaface.mimaface_core.implicit.eyes import Painted
from mimaface.mimaface_core.implicit.face_codes import NAMES
from mimaface.mimaface_core.implicit.generator import Generator
from mimaface.mimaface_core.implicit.groups import GroupFactors
from mimaface.mimaface_core.implicit.local_motion import local_motion
from mimaface.mimaface_core.implicit.motion import ImplicitMotion
from mimaface.mimaface_core.implicit.render import encode_source, measure_motion, render_motion
from mimaface.mimaface_core.implicit.speech import SpeakSettings, speak
from mimaface.mimaface_core.implicit.transformer import MotionTransformer
from mimaface.mimaface_core.implicit_pipeline import load_implicit, render_implicit, speak_implicit
from mimaface.mimaface_core.media.audio import Audio
from mimaface.mimaface_core.morphable import rasterize
from mimaface.mimaface_core.motion.track import MotionTrack
from mimaface.mimaface_core.tensors import moved

SIDE = 32  # pixels of the tiny pack's crop


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(autouse=True)
def without_compiled_loops(monkeypatch):
    """A GPU draws without them, and they round otherwise; what only pretends to be one runs no Triton either."""
    monkeypatch.setattr(rasterize, "find", lambda *tensors: None)
    monkeypatch.setattr(rasterize, "_triton", lambda: None)


@pytest.fixture(scope="module")
def person():
    """A source of soft noise, and a motion of five frames in which it turns, speaks and blinks."""
    coefficients, _ = people(1, seed=5, expression=0.0)
    coefficients = coefficients.replace(translation=torch.tensor([[0.0, 0.0, -6.0]]))
    points = landmarks(coefficients, torch.zeros(1, 4))
    fitted = fit_landmarks(FACE, points)
    track = MotionTrack(*fitted, plane_alignment(1), torch.ones(1, dtype=torch.bool), Fraction(25))
    crop = torch.nn.functional.interpolate(randn(1, 3, 8, 8), SIDE, mode="bicubic")[0].clamp(-1, 1)
    image = torch.nn.functional.pad((crop.permute(1, 2, 0) + 1) / 2, (0, 0, 8, 8, 8, 8))
    matrix = torch.tensor([[1.0, 0, -8], [0, 1, -8]])
    source = SourceFace(image, crop, matrix, points[0] * SIDE / 256, track)
    rest, amount = track.coefficients, torch.linspace(0, 1, 5)[:, None]
    moved = track[[0] * 5].coefficients.replace(
        angles=rest.angles + amount * torch.tensor([0.1, 0.3, 0.05]),
        expression=rest.expression + amount * blended(jawOpen=0.5, eyeBlink=0.8),
    )
    return source, track[[0] * 5].replace(coefficients=moved, gaze=track.gaze + 0.1 * amount)


def test_the_pretended_gpu_is_as_strict_as_a_real_one():
    with pretend_gpu() as gpu:
        there, here = torch.rand(2, 3, device=gpu), torch.rand(2, 3)
        assert there.is_cuda and isinstance(there * 2 + torch.tensor(1.0), OnGpu) and not here.is_cuda
        for mix in (
            lambda: there + here,
            lambda: torch.cat([there, here]),
            lambda: there.numpy(),
            lambda: here[there > 0],
        ):
            with pytest.raises((RuntimeError, TypeError)):
                mix()
        assert there[torch.tensor([1])].shape == (1, 3) and torch.equal(there.cpu(), there.to("cpu"))


@pytest.mark.parametrize("mode", ["projected", "albedo"])
def test_renders_are_drawn_on_the_gpu(person, tmp_path, mode):
    pack = write_tiny_pack(tmp_path)
    expected = torch.stack(list(render(pack, *person, mode)))
    with pretend_gpu():
        drawn = list(render(pack, *person, mode))
        assert all(isinstance(frame, OnGpu) for frame in drawn)
        assert torch.allclose(torch.stack(drawn).cpu(), expected, atol=1e-5)


def test_a_few_frames_are_drawn_by_all_of_pytorchs_threads_and_many_beside_each_other(person, tmp_path, monkeypatch):
    (source, motion), seen, before = person, [], torch.get_num_threads()

    def draw(part):
        beside = threading.current_thread().name.startswith("mimaface-beside")
        seen.append((beside, torch.get_num_threads(), len(part)))
        return torch.zeros(len(part), 4, 8, 8)

    monkeypatch.setattr(drawing, "_renderer", lambda *_: draw)
    torch.set_num_threads(2)
    try:
        alone, several = [(False, 2, RENDER_BATCH)], [(True, 1, part) for part in (1, RENDER_BATCH - 1, RENDER_BATCH)]
        for count, start, expected in (
            (RENDER_BATCH, 0, alone),
            (2 * RENDER_BATCH, 0, several),  # the first frame, which is seen first, comes before the others
            (2 * RENDER_BATCH, 3, several),
            (2 * RENDER_BATCH, RENDER_BATCH + 1, several[2:]),
        ):
            seen.clear()
            drawn = list(render(write_tiny_pack(tmp_path), source, motion[[0] * count], start=start))
            assert len(drawn) == count - start
            assert sorted(seen) == sorted(expected)
    finally:
        torch.set_num_threads(before)


def test_a_photograph_is_animated_on_the_gpu(person, tmp_path, monkeypatch):
    source, motion = person
    # a CPU's own way to code pictures sees the border otherwise, which is all there is of tiny pictures
    monkeypatch.setattr(TinyCoder, "of", lambda *_: None)
    with host.use(host.Host(device="cpu", dtype=torch.float32)):
        expected = torch.cat(list(animate(write_tiny_pack(tmp_path / "pack"), source, motion)))
    with pretend_gpu():
        frames = torch.cat(list(animate(write_tiny_pack(tmp_path / "again"), source, motion)))
    assert not isinstance(frames, OnGpu) and torch.allclose(frames, expected, atol=1e-4)


def test_frames_on_the_gpu_are_pasted_and_written(person, tmp_path):
    source, _ = person
    frames = torch.rand(2, SIDE, SIDE, 3)
    expected = torch.cat(list(paste_back(source, frames)))
    with pretend_gpu() as gpu:
        pasted = torch.cat(list(paste_back(source, frames.to(gpu))))
        assert torch.allclose(pasted.cpu(), expected)
        assert write_video(tmp_path / "film.mp4", (frames * 255).byte().to(gpu), 25).is_file()


def test_an_implicit_pack_works_on_the_gpu_and_gives_what_it_makes_to_the_cpu(tmp_path):
    audio = Audio(0.1 * randn(1, 8000), 16000)

    def made():
        pack = write_tiny_implicit(tmp_path / "tiny")
        source = source_of(pack)
        with host.current().load(pack.generator):
            measured = next(measure_motion(pack.generator, [source.crop[None, :, ::2, ::2]]))
        settings = pack.speaking(steps=2, rest=True, factors=GroupFactors(head=0.5))
        motions = [piece.codes for piece in speak_implicit(pack, source, audio, settings)]
        return torch.cat(motions), torch.cat(list(render_implicit(pack, source, motion_of(pack)))), measured

    expected = made()
    with pretend_gpu():
        ours = made()
    for here, there in zip(expected, ours):
        assert not isinstance(there, OnGpu) and there.dtype == torch.float32
        assert (here - there).abs().mean() < 0.01


def test_the_bundled_implicit_pack_moves_a_face_on_the_gpu():
    coefficients, _ = people(1, seed=5, expression=0.0)
    coefficients = coefficients.replace(translation=torch.tensor([[0.0, 0.0, -6.0]]))
    points = 2 * landmarks(coefficients, torch.zeros(1, 4))[0]
    codes = torch.zeros(3, 20)
    codes[1, NAMES.index("mouth_1")], codes[1, NAMES.index("lid_left")], codes[2, NAMES.index("yaw")] = 0.6, 0.3, 0.3

    def made():
        pack = load_implicit()
        crop = torch.nn.functional.interpolate(randn(1, 3, 8, 8), 512, mode="bicubic")[0].clamp(-1, 1)
        with host.current().load(pack.generator):
            small = torch.nn.functional.interpolate(crop[None], 256, mode="area")
            encoded = encode_source(pack.generator, small)._replace(motion=codes[:1].to(host.current().device))
            flow = own_flow(pack.generator, encoded)
        painted = [Painted(randn(4, 512, 512), crop, randn(5, 32, 32), randn(3), torch.tensor(0.03))] * 2
        local = local_motion(crop, points, codes[0], pack.movements, painted)
        parts = moved((encoded, flow, local), "cpu")
        source = ImplicitSource(torch.zeros(8, 8, 3), crop, torch.eye(3)[:2], points, *parts)
        return torch.cat(list(render_implicit(pack, source, ImplicitMotion(codes), "absolute")))

    expected = made()
    with pretend_gpu():
        ours = made()
    assert not isinstance(ours, OnGpu) and (expected - ours).abs().mean() < 0.01
    assert (expected[1] - expected[0]).abs().max() > 0.1


def test_implicit_motion_is_made_and_drawn_on_the_gpu(monkeypatch):
    torch.manual_seed(0)
    generator, transformer = Generator(64, 4, 32, 16, 8).eval(), MotionTransformer("DiT-tiny", 4, 25).eval()
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    image, speech = torch.rand(1, 3, 64, 64), randn(150, 25)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (0, 0))
    for name in ("memory_reserved", "memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, lambda _: 1 << 30)

    def made():
        device = host.current().device
        source = encode_source(generator, image.to(device))
        codes = torch.cat(list(speak(transformer, source.motion[0], [speech], SpeakSettings(steps=3))))
        frames = render_motion(generator, source, ImplicitMotion(codes[:9]), "relative")
        return torch.cat(list(frames)), codes, next(measure_motion(generator, [image.to(device)]))

    expected = made()
    with pretend_gpu() as gpu:
        generator.to(gpu)
        transformer.to(gpu)
        frames, codes, measured = made()
        assert isinstance(frames, OnGpu) and not isinstance(codes, OnGpu) and not isinstance(measured, OnGpu)
        for ours, theirs in zip((frames.cpu(), codes, measured), expected):
            assert torch.allclose(ours, theirs, atol=1e-3)
