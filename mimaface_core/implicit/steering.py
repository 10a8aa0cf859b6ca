"""Steering of motion codes as they come: groups calmer or livelier, a mouth that rests in pauses."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from .groups import HEAD, MOUTH, GroupFactors, Groups, require_groups

MEMORY = 250  # frames, 10 s, over which the head's running mean is taken
CERTAINTY = 50  # frames that the source's own posture counts for in it
EASE = 5  # frames in which the mouth comes to rest and leaves it
SWAY = 0.02  # of a motion code, the head's sway in a pause
SWAY_SECONDS = (5.3, 7.9, 11.0)  # periods of its dimensions, in turn


class Steering:
    """Changes motion codes frame by frame, however they are cut into blocks.

    The head is scaled about its running mean, so that a head which is turned aside stays so. Mouth, eyes and brows are
    scaled about the source's own, which are at rest. Dimensions of groups with the factor 1 keep every bit.

    Args:
        groups: of the motion codes' dimensions.
        factors: of each group.
        posture: motion code [K] of the source.
        rest: whether in pauses the mouth comes to rest, as the source has it, and the head sways a little.

    Raises:
        InputError: a group that is to be changed does not exist.
    """

    def __init__(self, groups: Groups, factors: GroupFactors, posture: Tensor, rest: bool = False) -> None:
        require_groups(groups, [*factors.changed, *((HEAD, MOUTH) if rest else ())])
        self.factors: Mapping[str, float] = factors.changed
        self.groups = {name: list(dimensions) for name, dimensions in groups.items()}
        self.posture, self.rest = posture.float().cpu(), rest
        self._mean = self.posture[self.groups.get(HEAD, [])]
        self._frames = 0
        self._resting = 0.0  # how far the mouth has come to rest, 0–1

    def __call__(self, codes: Tensor, pauses: Tensor | None = None) -> Tensor:
        """The next codes [n, K], changed.

        Args:
            codes: [n, K].
            pauses: [n], whether nobody speaks; read where `rest` is asked for.
        """
        codes = codes.clone()
        for name, factor in self.factors.items():
            columns = self.groups[name]
            about = self._running_mean(codes[:, columns]) if name == HEAD else self.posture[columns]
            codes[:, columns] = (about + factor * (codes[:, columns] - about)).clamp(-1, 1)
        if self.rest and pauses is not None:
            self._rest(codes, pauses)
        self._frames += len(codes)
        return codes

    def _running_mean(self, codes: Tensor) -> Tensor:
        """Mean [n, k] of the codes up to each of them, the older the less they count."""
        means = []
        for i, code in enumerate(codes):
            weight = 1 / min(CERTAINTY + self._frames + i + 1, MEMORY)
            self._mean = self._mean + weight * (code - self._mean)
            means.append(self._mean)
        return torch.stack(means) if means else codes

    def _rest(self, codes: Tensor, pauses: Tensor) -> None:
        """Bring the mouth to rest and let the head sway where there are pauses, in place."""
        shares = []
        for pause in pauses.tolist():
            self._resting = min(1.0, max(0.0, self._resting + (1 if pause else -1) / EASE))
            shares.append(self._resting)
        share = torch.tensor(shares)[:, None]
        mouth, head = self.groups[MOUTH], self.groups[HEAD]
        codes[:, mouth] += share * (self.posture[mouth] - codes[:, mouth])
        seconds = (self._frames + torch.arange(len(codes)))[:, None] / 25
        periods = torch.tensor([SWAY_SECONDS[i % len(SWAY_SECONDS)] for i in range(len(head))])
        sway = SWAY * torch.sin(2 * math.pi * seconds / periods + torch.arange(len(head)))
        codes[:, head] = (codes[:, head] + share * sway).clamp(-1, 1)
