"""Settings of the clip sampler."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..errors import InputError

MAX_SEED = 2**63 - 1  # of torch's generators
NOISES = SHARED, PER_CLIP = ("shared", "per clip")


class SamplerDefaults(Protocol):
    """A model pack's own sampler settings."""

    @property
    def clip_frames(self) -> int:
        """F, frames of a clip."""

    @property
    def overlap(self) -> int:
        """k, frames carried from clip to clip."""

    @property
    def sampling(self) -> dict[str, Any]:
        """`scheduler`, `steps` and `guidance`."""


@dataclass(frozen=True)
class SamplerSettings:
    """Settings of the clip sampler.

    Attributes:
        frames: F, frames of a clip.
        overlap: k, frames whose latents are carried from clip to clip.
        steps: denoising steps of each clip.
        guidance: scale of classifier-free guidance; 1 is none and halves the work.
        scheduler: `euler`, `ddim` or `lcm`.
        seed: of the initial noise, drawn on the CPU so that devices agree.
        noise: `shared`, the same noise in every clip (as released), or `per clip`.

    Raises:
        InputError: a value of another type, guidance or seed below 0, or an unknown noise.
    """

    frames: int = 12
    overlap: int = 3
    steps: int = 25
    guidance: float = 5.0
    scheduler: str = "euler"
    seed: int = 0
    noise: str = SHARED

    def __post_init__(self) -> None:
        for name in ("frames", "overlap", "steps", "seed"):
            if not isinstance(getattr(self, name), int):
                raise InputError(f"{name} must be a whole number, not {getattr(self, name)!r}.")
        if not isinstance(self.guidance, (int, float)) or not math.isfinite(self.guidance):
            raise InputError(f"guidance must be a number, not {self.guidance!r}; use 1 for none.")
        if self.seed > MAX_SEED:
            raise InputError(f"The seed {self.seed} is too large; use at most {MAX_SEED}.")
        if self.guidance < 0 or self.seed < 0:
            raise InputError("Guidance and seed must not be negative; use guidance 1 for none.")
        if self.noise not in NOISES:
            raise InputError(f"Unknown noise '{self.noise}'; choose {' or '.join(NOISES)}.")

    @classmethod
    def of(
        cls,
        pack: SamplerDefaults,
        *,
        frames: int | None = None,
        overlap: int | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        scheduler: str | None = None,
        seed: int = 0,
        noise: str = SHARED,
    ) -> SamplerSettings:
        """A model pack's own settings, with those that are given in place of them.

        Without an `overlap` of its own, a clip shorter than the pack's carries at most all its frames but one.
        """
        sampling = pack.sampling
        frames = pack.clip_frames if frames is None else frames
        return cls(
            frames=frames,
            overlap=min(pack.overlap, frames - 1) if overlap is None else overlap,
            steps=sampling["steps"] if steps is None else steps,
            guidance=sampling["guidance"] if guidance is None else guidance,
            scheduler=sampling["scheduler"] if scheduler is None else scheduler,
            seed=seed,
            noise=noise,
        )

    def for_total(self, total: int) -> SamplerSettings:
        """These settings for a video of `total` frames: a single frame is a clip of its own."""
        return replace(self, frames=1, overlap=0) if total == 1 else self
