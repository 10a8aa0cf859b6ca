"""Sounds made up for tests."""

import numpy as np
import torch

from mimaface.mimaface_core.media import Audio

RATE = 16000


def talk(*parts):
    """Noise of each (seconds, level in dB) in turn."""
    rng = np.random.default_rng(1)
    pieces = [10 ** (level / 20) * rng.standard_normal(int(length * RATE)) for length, level in parts]
    return np.concatenate(pieces).astype(np.float32)


def sound(wave, rate=RATE):
    return Audio(torch.from_numpy(wave)[None].repeat(2, 1), rate)
