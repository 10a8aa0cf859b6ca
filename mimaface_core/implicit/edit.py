"""What is done to an implicit motion as a whole: calmer or livelier, like another's, without jitter."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..errors import InputError
from ..motion.smooth import Window, bilateral
from ..motion.statistics import MAX_GAIN, MIN_DEVIATION
from .groups import BROWS, EYES, HEAD, MOUTH, GroupFactors, require_groups
from .motion import ImplicitMotion

SLOW, QUICK = Window(0.08, 0.015), Window(0.05, 0.015)  # of the filter; steps in motion codes, for one dimension
WINDOWS = {HEAD: SLOW, MOUTH: QUICK, EYES: QUICK, BROWS: SLOW}


def rescale(motion: ImplicitMotion, factors: GroupFactors, like: ImplicitMotion | None = None) -> ImplicitMotion:
    """The same motion, larger or smaller.

    Args:
        motion: N frames.
        factors: of each group, which is scaled about its mean.
        like: another motion of the same pack, whose mean and deviation are taken over in every dimension first.

    Raises:
        InputError: a group that is to be changed does not exist, or the other motion is of another pack.
    """
    require_groups(motion.groups, list(factors.changed))
    codes, mean = motion.codes.clone(), motion.mean
    if like is not None:
        if like.codes.shape[1] != codes.shape[1]:
            raise InputError(
                f"The motion to be like has {like.codes.shape[1]} dimensions, this one {codes.shape[1]}; use motions"
                " of one pack."
            )
        ratio = (like.deviation / motion.deviation.clamp(min=MIN_DEVIATION)).clamp(max=MAX_GAIN)
        gain = torch.where(motion.deviation > MIN_DEVIATION, ratio, 1.0)
        codes, mean = (like.mean + gain * (codes - mean)).clamp(-1, 1), like.mean
    for name, factor in factors.changed.items():
        columns = list(motion.groups[name])
        codes[:, columns] = (mean[columns] + factor * (codes[:, columns] - mean[columns])).clamp(-1, 1)
    return motion.replace(codes=codes)


def smooth(motion: ImplicitMotion, pose: float = 0.4, expression: float = 0.3, gaze: float = 0.3) -> ImplicitMotion:
    """The same motion without jitter and without delay.

    Args:
        motion: N frames.
        pose: strength for the head, from 0 (as it is) to 1 (all jitter that can be removed without losing movement).
        expression: for mouth and brows, and for all of a motion without groups.
        gaze: for the eyes, lids included.
    """
    strengths = {HEAD: pose, MOUTH: expression, EYES: gaze, BROWS: expression}
    codes = motion.codes.clone()

    def filter_columns(columns: list[int], strength: float, window: Window) -> None:
        values: Tensor = codes[:, columns]
        window = window._replace(step=window.step * math.sqrt(len(columns)))
        codes[:, columns] = values + strength * (bilateral(values, float(motion.fps), window) - values)

    if not motion.groups:
        filter_columns(list(range(codes.shape[1])), expression, QUICK)
    for name, columns in motion.groups.items():
        filter_columns(list(columns), strengths[name], WINDOWS[name])
    return motion.replace(codes=codes)
