"""SadTalker's networks with reproducible weights, a source, speech, and files as its authors release them."""

from fractions import Fraction

import torch
from safetensors.torch import save_file

from mimaface.mimaface_core.audio.sadtalker.audio2exp import Audio2Exp
from mimaface.mimaface_core.audio.sadtalker.audio2pose import Audio2Pose
from mimaface.mimaface_core.audio.sadtalker.weights import RELEASED
from mimaface.mimaface_core.audio.speech import Speech
from mimaface.mimaface_core.media.audio import Audio
from mimaface.mimaface_core.motion.track import FaceCoefficients, MotionTrack
from support.parity import weight

FPS = Fraction(25)


def state_dicts():
    """State dicts of audio2exp and audio2pose."""
    nets = {"audio2exp": Audio2Exp(), "audio2pose": Audio2Pose()}
    return {name: {k: weight(k, tuple(v.shape)) for k, v in net.state_dict().items()} for name, net in nets.items()}


def networks(states):
    """Both networks, filled."""
    expression, pose = Audio2Exp(), Audio2Pose()
    expression.load_state_dict(states["audio2exp"])
    pose.load_state_dict(states["audio2pose"])
    return expression.eval().requires_grad_(False), pose.eval().requires_grad_(False)


def source():
    """A track of one frame."""
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(1, 257, generator=generator) * 0.1
    return MotionTrack(
        FaceCoefficients(values), torch.full((1, 4), 0.1), torch.eye(2, 3)[None], torch.tensor([True]), FPS
    )


def speech(seconds, seed=0, level=0.1):
    """Noise whose loudness changes twenty times a second."""
    count = round(seconds * 16000)
    generator = torch.Generator().manual_seed(seed)
    loud = torch.rand(count // 800 + 1, generator=generator).repeat_interleave(800)[:count]
    return Speech.of(Audio(level * loud * torch.randn(1, count, generator=generator), 16000))


def write_released(folder, states, name=RELEASED[0], **changes):
    """A released file; keys that `changes` sets to None are left out."""
    content = {f"{part}.{k}": v for part, state in states.items() for k, v in state.items()}
    content["face_3drecon.fc.weight"] = torch.zeros(2)
    save_file({k: v for k, v in (content | changes).items() if v is not None}, folder / name)
