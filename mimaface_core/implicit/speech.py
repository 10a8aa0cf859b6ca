"""Motion codes from speech, window by window, at any length: `speak`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .. import host
from ..errors import InputError
from ..tensors import between, smoothstep
from .groups import GroupFactors
from .motion import ImplicitMotion
from .sampler import ANCESTRAL, Schedule, sample
from .transformer import TOKENS_A_FRAME, WINDOW, MotionTransformer

FREE, POSTURE, LAST_FRAME = MEANS = ("free", "posture", "last frame")
DEFAULT_OVERLAP = 12  # frames


@dataclass(frozen=True)
class SpeakSettings:
    """How motion is made of speech.

    Attributes:
        steps: of the sampler.
        sampler: `ancestral` or `ddim`.
        guidance: on speech; 1 for none.
        mean: the motion's mean: `free`, the source's `posture`, or the `last frame` of the window before. A tensor [K]
            for one number a dimension, such as those of a reference (`like`).
        deviation: the motion's standard deviation in every dimension, 0.1 calm, 0.3 lively; None leaves it free. A
            tensor [K] for one number a dimension, such as those of a reference.
        overlap: frames at the end of a window that are held back and pass over into the beginning of the next one, so
            that nothing jumps where they join; 0 joins them as the authors do.
        wait: frames of speech that a window waits for, 64 for all that it can take; fewer for a live voice, at the
            price of lips that cannot look as far ahead.
        clamp: whether estimates are kept within ±1.
        seed: of the noise.
        factors: of each group's movement, for `steering.Steering`.
        rest: whether in pauses the mouth rests and the head sways a little, likewise.

    Raises:
        InputError: a value that is out of range.
    """

    steps: int = 50
    sampler: str = ANCESTRAL
    guidance: float = 2.5
    mean: str | Tensor = POSTURE
    deviation: float | Tensor | None = None
    overlap: int = DEFAULT_OVERLAP
    wait: int = WINDOW
    clamp: bool = True
    seed: int = 0
    factors: GroupFactors = field(default_factory=GroupFactors)
    rest: bool = False
    schedule: Schedule = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", Schedule.of(self.steps, self.sampler))
        if isinstance(self.mean, Tensor):
            if not (self.mean.isfinite() & (self.mean.abs() <= 1)).all():
                raise InputError("The motion's mean must lie from −1 to 1, as motion codes do.")
        elif self.mean not in MEANS:
            raise InputError(f"The motion's mean can be {', '.join(MEANS[:-1])} or {MEANS[-1]}, not {self.mean!r}.")
        if not 0 <= self.overlap <= WINDOW // 2:
            raise InputError(f"Windows can overlap by 0 to {WINDOW // 2} frames, not {self.overlap}.")
        if not self.overlap < self.wait <= WINDOW:
            raise InputError(f"A window waits for {self.overlap + 1} to {WINDOW} frames, not {self.wait}.")
        if self.deviation is not None:
            deviation = torch.as_tensor(self.deviation, dtype=torch.float32)
            if not (deviation.isfinite() & (deviation >= 0) & (deviation < 1)).all():
                raise InputError("The motion's deviation must lie from 0 to below 1; 0.1 is calm, 0.3 lively.")

    def like(self, reference: ImplicitMotion) -> SpeakSettings:
        """The same with the statistics of a reference."""
        return replace(self, mean=reference.mean, deviation=reference.deviation)


class Speaker:
    """Makes motion codes of speech that comes in blocks; a window is ready once its speech is there.

    Args:
        network: the transformer.
        start: the source's motion code [K], the hint of the first window.
        settings: how.
    """

    def __init__(self, network: MotionTransformer, start: Tensor, settings: SpeakSettings | None = None) -> None:
        self.network, self.settings = network, settings or SpeakSettings()
        self.start = start.view(1, 1, -1)
        self.device = next(network.parameters()).device
        self._generator = torch.Generator().manual_seed(self.settings.seed)
        self._speech = torch.zeros(0, network.speech_width)  # from the next window's first frame on
        self._before = self.start[0]  # the code [1, K] of the frame before it
        self._held = torch.zeros(0, self.start.shape[-1])  # the last window's codes from it on

    @property
    def latency(self) -> float:
        """Seconds of speech that a window waits for at most, at 25 frames a second, beside the time of its sampling."""
        return self.settings.wait / 25

    def add(self, speech: Tensor) -> Tensor:
        """Add features [2n, V] of n frames, n any; gives the codes [m, K] that are ready."""
        if speech.ndim != 2 or speech.shape[1] != self.network.speech_width:
            raise InputError(
                f"Speech features must have shape [N, {self.network.speech_width}], not {list(speech.shape)}."
            )
        self._speech = torch.cat([self._speech, speech])
        ready = [self._held[:0]]
        while len(self._speech) >= self.settings.wait * TOKENS_A_FRAME:
            frames = self.settings.wait
            codes, kept = self._window(frames), frames - self.settings.overlap
            ready.append(codes[:kept])
            self._held, self._before = codes[kept:], codes[kept - 1 : kept]
            self._speech = self._speech[kept * TOKENS_A_FRAME :]
        return torch.cat(ready)

    def finish(self) -> Tensor:
        """The codes [m, K] of what is left; its last window's speech continues with its last token."""
        frames = -(-len(self._speech) // TOKENS_A_FRAME)
        codes = self._window(frames) if frames > len(self._held) else self._held
        self._speech, self._held = self._speech[:0], self._held[:0]
        return codes

    @torch.no_grad()
    def _window(self, frames: int) -> Tensor:
        """The codes of the next `frames` frames, which begin as those that are held back."""
        settings, width = self.settings, self.start.shape[-1]
        speech = self._speech[: frames * TOKENS_A_FRAME]
        speech = torch.cat([speech, speech[-1:].expand(WINDOW * TOKENS_A_FRAME - len(speech), -1)])
        hint = self._before.view(1, 1, -1)
        named = {FREE: None, POSTURE: self.start, LAST_FRAME: hint}
        mean = named[settings.mean] if isinstance(settings.mean, str) else settings.mean
        mean, deviation = self._token(mean), self._token(settings.deviation)
        hint, features = hint.to(self.device), speech[None].to(self.device)

        def draw() -> Tensor:
            return torch.randn(1, WINDOW, width, generator=self._generator).to(self.device)

        def network(codes: Tensor, t: Tensor) -> Tensor:
            host.current().check_cancelled()
            return self.network.guided(codes, t, features, hint, mean, deviation, settings.guidance)

        codes = sample(network, draw(), settings.schedule, draw, settings.clamp)[0, :frames].cpu()
        held = len(self._held)
        share = smoothstep((torch.arange(held) + 1) / (held + 1))
        return torch.cat([between(self._held, codes[:held], share), codes[held:]])

    def _token(self, value: float | Tensor | None) -> Tensor | None:
        """A statistic as the network takes it, [1, 1, K]."""
        if value is None:
            return None
        value, width = torch.as_tensor(value, dtype=torch.float32).to(self.device), self.start.shape[-1]
        if value.numel() not in (1, width):
            raise InputError(
                f"The reference has {value.numel()} dimensions of motion, but this pack's has {width}; use one of the"
                " same pack."
            )
        return value.reshape(-1).expand(width).view(1, 1, -1)


def speak(
    network: MotionTransformer, start: Tensor, speech: Iterable[Tensor], settings: SpeakSettings | None = None
) -> Iterator[Tensor]:
    """Motion codes of speech, in constant memory.

    Args:
        network: the transformer.
        start: the source's motion code [K].
        speech: features in blocks [2n, V] of 25 frames a second, two tokens each; of wav2vec 2.0 or HuBERT (768) in the
            published network.
        settings: how.

    Yields:
        Codes [m, K], as soon as they are ready; as many as there are frames of speech.
    """
    speaker = Speaker(network, start, settings)
    for block in speech:
        codes = speaker.add(block)
        if len(codes):
            yield codes
    codes = speaker.finish()
    if len(codes):
        yield codes
