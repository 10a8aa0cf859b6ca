"""Pairs of images of one person, drawn from a folder of clips that is read into memory and may still grow."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ...errors import InputError
from .implicit_clips import ImplicitClip

SMALLEST_BOX = 0.85  # share of an image's side that is seen
SAME = 0.12  # share of the pairs whose images are the same
LIGHT = 0.15  # standard deviation of the logarithm of each colour's gain, in the images that motion is measured in
COMMON_LIGHT = 0.08  # the same in both images of a pair


class ClipPool:
    """All clips of a folder.

    Args:
        folder: of `ImplicitClip`s.

    Raises:
        InputError: there are none.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clips: list[ImplicitClip] = []
        self._known: set[Path] = set()
        self.read_new()
        if not self.clips:
            raise InputError(f"{folder} holds no clips of people in motion; make them first: mimaface train moves.")

    def read_new(self, most: int | None = None) -> None:
        """Read clips, `most` at once, that have come since the last time."""
        paths = [path for path in sorted(self.folder.glob("*.safetensors")) if not path.name.startswith(".")]
        for path in [path for path in paths if path not in self._known][:most]:
            self.clips.append(ImplicitClip.load(path))
            self._known.add(path)

    def pairs(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Random pairs of images of one person, and how they are to be cut out and lit.

        Returns:
            `source` and `target` uint8 [B, 3, S, S], their `source_codes`, `target_codes` [B, 20], places of
            landmarks `source_places`, `target_places` [B, 468, 2] in ±1, `seen` bool [B, 468] (in both), `box` [B, 3]
            (centre in ±1, side as a share) and `light` [B, 2, 3] (gains of both images, and of the measured target).
        """
        rows: dict[str, list[Tensor]] = {}
        for number in torch.randint(len(self.clips), (count,), generator=generator).tolist():
            clip = self.clips[number]
            source, target = torch.randperm(len(clip.images), generator=generator)[:2].tolist()
            if float(torch.rand((), generator=generator)) < SAME:
                target = source
            row = {
                "source": clip.images[source],
                "target": clip.images[target],
                "source_codes": clip.codes[source],
                "target_codes": clip.codes[target],
                "source_places": clip.places[source],
                "target_places": clip.places[target],
                "seen": clip.seen[source] & clip.seen[target],
            }
            for name, value in row.items():
                rows.setdefault(name, []).append(value)
        batch = {name: torch.stack(values) for name, values in rows.items()}
        share, place = torch.rand(count, 1, generator=generator), torch.rand(count, 2, generator=generator)
        side = SMALLEST_BOX + (1 - SMALLEST_BOX) * share
        batch["box"] = torch.cat([(1 - side) * (2 * place - 1), side], 1)
        gains = torch.randn(count, 2, 3, generator=generator) * torch.tensor([[COMMON_LIGHT], [LIGHT]])
        batch["light"] = gains.exp()
        return batch
