"""SadTalker as a driver: its weights, wherever the user has put them, and from a voice to a track by them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from ... import host, weights
from ...errors import InputError
from ...morphable.bundled.face import ProceduralFace
from ...morphable.expression_map import align, expression_map
from ...morphable.model import MorphableModel
from ...motion.rotation import angles_of, rotation_of
from ...motion.track import FaceCoefficients, MotionTrack
from ..mel import mel_stream
from ..speech import Speech
from .networks import LATENT, MELS, POSE, SPAN, Audio2Exp, Audio2Pose, check_style

FPS = Fraction(25)  # the rate that SadTalker thinks in
CHUNK = 25  # video frames that go through the networks at once
MEL_RATE = 80  # mel frames a second
SMOOTH = 13  # frames of the Savitzky–Golay filter over the pose, of order 2

RELEASED = ("SadTalker_V0.0.2_256.safetensors", "SadTalker_V0.0.2_512.safetensors")
OLDER = ("auido2exp_00300-model.pth", "auido2pose_00140-model.pth")  # spelt so by their authors
PREFIXES = ("audio2exp.", "audio2pose.")
REMEDY = f"use SadTalker's own file, downloaded again, or {RELEASED[0]}"
BFM = "BFM09_model_info.mat"
PLACES = ("", "sadtalker")
BFM_PLACES = (*PLACES, "D3DFR", "released/models/D3DFR")
BLINK = (0.5, 0.9, 1.0, 0.9, 0.5)  # how far the lids are shut, frame by frame
BLINK_GAP = (10, 70)  # frames from one blink to the next: from, below
NO_BLINK = 20  # frames; a clip this short has no blink


class SadTalkerDriver:
    """From a voice to a track by SadTalker's audio2exp and audio2pose.

    Expressions come in BFM09's basis. For a face with a basis of its own, `bfm` and `face` are given: the source's
    expression is carried to BFM09's basis, what the voice adds to it is carried back, and the head turns about the
    point that it turns about in BFM09.

    Args:
        expression, pose: the networks, filled.
        bfm: the Basel face model; None where tracks are in its basis anyway.
        face: the model whose coefficients the tracks hold.
    """

    def __init__(
        self,
        expression: Audio2Exp,
        pose: Audio2Pose,
        bfm: MorphableModel | None = None,
        face: ProceduralFace | None = None,
    ):
        self.expression_net, self.pose_net = (net.eval().requires_grad_(False) for net in (expression, pose))
        self.to_bfm = self.from_bfm = torch.eye(64)
        self.scale, self.turn, self.pivot = 1.0, torch.eye(3), torch.zeros(3)
        if bfm is not None and face is not None:
            self.to_bfm, self.from_bfm = expression_map(face.model, bfm), expression_map(bfm, face.model)
            placed = align(bfm, face.model)
            self.scale, self.turn, self.pivot = placed.scale, placed.rotation, placed.shift

    @torch.no_grad()
    def drive(
        self,
        speech: Speech,
        source: MotionTrack,
        fps: Fraction,
        *,
        style: int = 0,
        seed: int = 0,
        pose: float = 1.0,
        lips: float = 1.0,
        blinks: float = 1.0,
    ) -> MotionTrack:
        """The source speaking: `speech.frames(fps)` frames, of which frame i shows the instant (i + 0.5) / fps.

        Who it is, light, gaze and alignment stay the source's. The networks think in 25 frames a second; other rates
        lie between their frames. Memory does not grow with the voice, but for the track itself.

        Args:
            speech: the voice; it is heard at its own level, as SadTalker expects.
            source: one frame, which expression and pose set out from.
            fps: frames a second of the track.
            style: SadTalker's pose class, 0–45.
            seed: course of head and blinks; the lips do not depend on it.
            pose: size of the head's movement. lips: size of what the voice does to the face, blinks aside.
            blinks: how often the eyes blink. 0 none, 1 as it is, 2 doubled.

        Raises:
            InputError: no such style.
        """
        check_style(style)
        count = speech.frames(FPS)
        own = source.coefficients
        # the source as SadTalker sees it; translations belong to its own crop: nought, and changes count
        reference = own.expression @ self.to_bfm
        facing = self.turn @ rotation_of(own.angles)
        stance = torch.cat([angles_of(facing), torch.zeros(1, POSE - 3)], 1)

        current = host.current()
        device = current.device
        said, voice = [], []
        with (
            current.load(self.expression_net),
            current.load(self.pose_net),
            current.progress(count, "voice to movement") as progress,
        ):
            for mel in heard(mel_stream(speech, normalised=False), count):
                mel = mel.to(device)
                said.append(self.expression_net(mel, reference.to(device), mel.new_zeros(len(mel))).cpu())
                voice.append(self.pose_net.listen(mel))
                progress.update(len(mel))
            noise = torch.Generator().manual_seed(seed)
            moved = self.pose_net.move(
                torch.cat(voice), stance.to(device), style, lambda _: torch.randn(1, LATENT, generator=noise)
            ).cpu()
            blink = self.expression_net.blink.cpu()

        # at the track's own rate
        times = [(i + Fraction(1, 2)) * FPS / fps - Fraction(1, 2) for i in range(speech.frames(fps))]
        shut = torch.tensor(blink_course(count, seed, blinks))[:, None]
        departure = between(lips * (torch.cat(said) - reference) + shut * blink, times)
        moved = pose * between(smoothed(moved), times)

        turned = self.turn.T @ rotation_of(stance[:, :3] + moved[:, :3])
        swing = self.pivot @ (self.turn.T @ facing - turned)
        n = len(times)
        coefficients = FaceCoefficients(own.values.repeat(n, 1)).replace(
            expression=own.expression + departure @ self.from_bfm,
            angles=own.angles + angles_of(turned) - angles_of(self.turn.T @ facing),
            translation=own.translation + self.scale * moved[:, 3:] + swing,
        )
        gaze, alignment = source.gaze.repeat(n, 1), source.alignment.repeat(n, 1, 1)
        visible = torch.ones(n, dtype=torch.bool)
        return MotionTrack(coefficients, gaze, alignment, visible, Fraction(fps), source.basis)


# -- steps of a drive


def heard(mels: Iterable[Tensor], count: int) -> Iterator[Tensor]:
    """What each of `count` frames at 25 a second hears: windows [n, 1, 80, 16], at most CHUNK at a time.

    mels: blocks [n, 80], at 80 a second. Frame i hears from int(80·(i − 2)/25) on; outside, the outermost mels.
    """
    stream, ended = iter(mels), False
    held, first = torch.zeros(0, MELS), 0  # the mels still needed, and the number of the first of them
    for start in range(0, count, CHUNK):
        frames = range(start, min(start + CHUNK, count))
        begins = torch.tensor([int(MEL_RATE * (i - 2) / FPS) for i in frames])
        while not ended and first + len(held) < begins[-1] + SPAN:
            block = next(stream, None)
            ended = block is None
            held = held if ended else torch.cat([held, block])
        index = (begins[:, None] + torch.arange(SPAN)).clamp(0, first + len(held) - 1)
        yield held[index - first].transpose(1, 2)[:, None]
        done = min(max(int(begins[-1]) - first, 0), len(held) - 1)
        held, first = held[done:], first + done


def blink_course(count: int, seed: int, blinks: float = 1.0) -> list[float]:
    """How far the lids are shut in each of `count` frames at 25 a second, 0–1.

    Blinks of five frames, 10 to 69 frames apart (fewer in short clips), none in a clip of up to 20, as SadTalker draws
    them. blinks: 0 none, 2 twice as often.
    """
    course, draw, frame = [0.0] * count, random.Random(seed), 0
    gaps = range(BLINK_GAP[0], min(count // 2, BLINK_GAP[1]))
    if count <= NO_BLINK or blinks <= 0 or not gaps:
        return course
    while True:
        frame += round(draw.choice(gaps) / blinks)
        if frame + len(BLINK) > count - 1:
            return course
        course[frame : frame + len(BLINK)] = BLINK
        frame += len(BLINK)


def smoothed(pose: Tensor) -> Tensor:
    """Poses [N, 6] through a Savitzky–Golay filter (13, 2), a narrower one for fewer frames."""
    from scipy.signal import savgol_filter

    width = min(SMOOTH, (len(pose) - 1) // 2 * 2 + 1)
    if width < 3:
        return pose
    return torch.from_numpy(savgol_filter(pose.double().numpy(), width, 2, axis=0)).float()


def between(values: Tensor, times: list[Fraction]) -> Tensor:
    """Rows of values [N, D] at `times`, counted in rows: linear between two, the outermost beyond the ends."""
    at = [min(max(time, Fraction(0)), Fraction(len(values) - 1)) for time in times]
    low = torch.tensor([int(time) for time in at])
    share = torch.tensor([float(time - int(time)) for time in at])[:, None]
    high = (low + 1).clamp(max=len(values) - 1)
    return torch.lerp(values[low], values[high], share)


# -- weights


def find_sadtalker(folders: Iterable[Path], face: ProceduralFace | None = None) -> SadTalkerDriver:
    """The driver with the weights found in `folders` or their sub-folder `sadtalker`.

    face: the model whose tracks are wanted where it is not BFM09; its basis is mapped by means of BFM09_model_info.mat,
    which is looked for there too. SadTalker is under Apache 2.0; the Basel Face Model is for research only.

    Raises InputError where a file is missing, damaged or another; the sentence says what to put where.
    """
    folders = list(folders)
    files = find_sadtalker_files(folders)
    bfm = None
    if face is not None:
        places = [folder / place / BFM for folder in folders for place in BFM_PLACES]
        path = next((path for path in places if path.is_file()), None)
        if path is None:
            raise InputError(
                f"SadTalker moves the Basel Face Model; to carry that over to this pack's face, {BFM} is needed, which"
                f" is not in {_listed(folders)}: put it there (it comes with D3DFR, for research only), or choose the"
                " bundled driver."
            )
        bfm = MorphableModel.from_bfm(path)
    nets = Audio2Exp(), Audio2Pose()
    if len(files) == 1:
        values = weights.read(files[0], REMEDY)
        for net, prefix in zip(nets, PREFIXES):
            own = {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
            weights.fill(net, own, files[0], REMEDY)
    else:
        for net, path in zip(nets, files):
            weights.fill(net, weights.read(path, REMEDY), path, REMEDY)
    return SadTalkerDriver(*nets, bfm, face)


def find_sadtalker_files(folders: Iterable[Path]) -> tuple[Path, ...]:
    """The released file, or the older pair (expression, pose); the first folder that holds either decides.

    Raises InputError where there is neither, naming files, source and folders.
    """
    folders = list(folders)
    half = None
    for place in (folder / place for folder in folders for place in PLACES):
        for name in RELEASED:
            if (place / name).is_file():
                return (place / name,)
        there = [name for name in OLDER if (place / name).is_file()]
        if len(there) == len(OLDER):
            return tuple(place / name for name in OLDER)
        half = half or (place / there[0] if there else None)
    lonely = f" ({half} lacks its other half)" if half else ""
    raise InputError(
        f"SadTalker's weights are not in {_listed(folders)}{lonely}: download {RELEASED[0]}, or the older pair"
        f" {OLDER[0]} and {OLDER[1]}, from the releases of github.com/OpenTalker/SadTalker (Apache 2.0) and put it"
        " there, or choose the bundled driver."
    )


def _listed(folders: list[Path]) -> str:
    named = [f"{folder} (or its sub-folder {PLACES[1]})" for folder in folders]
    return " or ".join(named) or "any models folder (there is none)"
