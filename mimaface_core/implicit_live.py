"""IF-MDM live: a photograph that speaks while its voice still comes, or moves as a camera sees its driver."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from . import checks, host
from .arguments import IMPLICIT_PACK, IMPLICIT_SOURCE
from .audio.live import LiveVoice
from .audio.pauses import Pauses
from .audio.speech import SAMPLE_RATE
from .face.crop import CROP_SIZE, crop_matrix, warp
from .face.detect import FaceTracker
from .face.faces import MAX_FACES_CLIP
from .face.implicit_source import ImplicitSource
from .face.live_driver import DriverFace, checked_frame
from .implicit.face_codes import motion_codes
from .implicit.motion import ImplicitMotion
from .implicit.render import ABSOLUTE, measure_motion
from .implicit.sampler import ANCESTRAL
from .implicit.speech import Speaker, SpeakSettings
from .implicit_pipeline import SpokenCodes, render_implicit
from .packs.implicit_pack import ImplicitPack
from .tensors import to_float
from .tracker.face import Face

WAIT, OVERLAP = 12, 5  # frames: of speech that a window waits for, and that pass over into the next
STEPS = 8  # of the ancestral sampler


def live_settings(pack: ImplicitPack, **changes: object) -> SpeakSettings:
    """A pack's settings of speech, with windows that wait for little and take few steps.

    Args:
        pack: whose settings.
        changes: of `SpeakSettings`. A longer `wait` makes better lips, later.
    """
    return pack.speaking(**{"wait": WAIT, "overlap": OVERLAP, "sampler": ANCESTRAL, "steps": STEPS, **changes})


class LiveFace:
    """A photograph that speaks with a voice whose blocks come one by one.

    Memory is constant. Frames come in pieces, each as soon as its speech is there; what is said in `latency` seconds
    after a frame may change it, so that it is that much behind the voice, and by the time of computing.

    Args:
        pack: with a transformer.
        source: the person.
        settings: of the sampler, the motion's statistics, and each group's factor; `live_settings` when None.
        sample_rate: of the voice, in Hz.
        level_db: its integrated loudness in LUFS, where it is known; otherwise it is measured as it comes.

    Attributes:
        latency: seconds of voice that a frame waits for at most, beside the time of computing.

    Raises:
        InputError: no transformer or speech encoder, a rate that no sound has, or a factor for a group that the pack
            does not keep apart.
    """

    @checks.checked(
        pack=IMPLICIT_PACK,
        source=IMPLICIT_SOURCE,
        settings=checks.optional(checks.kind(SpeakSettings, remedy="give SpeakSettings")),
    )
    def __init__(
        self,
        pack: ImplicitPack,
        source: ImplicitSource,
        settings: SpeakSettings | None = None,
        sample_rate: int = SAMPLE_RATE,
        level_db: float | None = None,
    ) -> None:
        self._pack, self._source = pack, source
        self._spoken = SpokenCodes(pack, source, settings or live_settings(pack))
        self._voice, self._features = LiveVoice(sample_rate, level_db), pack.live_features()
        self._speaker = Speaker(pack.transformer, source.posture, self._spoken.settings)
        self._pauses = Pauses() if self._spoken.settings.rest else None
        self._quiet = torch.zeros(0, dtype=torch.bool)
        self.latency = self._features.ahead + self._speaker.latency

    def motion(self, block: Tensor | np.ndarray) -> ImplicitMotion:
        """The motion that is known after the next block of samples [n] or [C, n]; it may have no frame.

        Raises:
            InputError: values that are not finite, another shape, or the voice is finished.
        """
        return self._said(self._speaker.add(self._heard(self._voice.add(block))))

    def rest_of_motion(self) -> ImplicitMotion:
        """The motion that is left when no block follows."""
        heard = self._heard(self._voice.finish())
        self._listen(None)
        tokens = torch.cat([heard, self._features.finish()])
        return self._said(torch.cat([self._speaker.add(tokens), self._speaker.finish()]))

    def add(self, block: Tensor | np.ndarray) -> Tensor:
        """The frames [m, S, S, 3] in 0–1 that are known after the next block; as `motion`."""
        return self._drawn(self.motion(block))

    def finish(self) -> Tensor:
        """The frames [m, S, S, 3] in 0–1 that are left when no block follows."""
        return self._drawn(self.rest_of_motion())

    def _heard(self, samples: Tensor) -> Tensor:
        self._listen(samples)
        return self._features.add(samples)

    def _listen(self, samples: Tensor | None) -> None:
        if self._pauses is not None:
            known = self._pauses.finish() if samples is None else self._pauses.add(samples)
            self._quiet = torch.cat([self._quiet, known])

    def _said(self, codes: Tensor) -> ImplicitMotion:
        if self._pauses is None:
            return self._spoken(codes)
        quiet, self._quiet = self._quiet[: len(codes)], self._quiet[len(codes) :]
        return self._spoken(codes, torch.cat([quiet, torch.ones(len(codes) - len(quiet), dtype=torch.bool)]))

    def _drawn(self, motion: ImplicitMotion) -> Tensor:
        size = self._pack.image_size
        frames = render_implicit(self._pack, self._source, motion, ABSOLUTE) if len(motion) else ()
        return torch.cat([torch.zeros(0, size, size, 3), *frames])


class LiveDriver:
    """A photograph that moves like a face whose frames come one by one, as from a camera.

    Movement counts from the driver's first frame with a face, or from where `rest` was called last. Memory is constant.

    Args:
        pack: a pack for implicit motion.
        source: the person.
        face: which one of several in a frame: −1 the largest, else counted from the left, 0 the leftmost.
        tracker: finds the face; or the name of one, see `face.detect.face_tracker`.

    Attributes:
        latency: frames that the result is behind the driver, beside the time of computing: 0.
    """

    latency = 0

    @checks.checked(pack=IMPLICIT_PACK, source=IMPLICIT_SOURCE, face=checks.whole(-1, MAX_FACES_CLIP - 1))
    def __init__(
        self, pack: ImplicitPack, source: ImplicitSource, face: int = -1, tracker: FaceTracker | str = "auto"
    ) -> None:
        self._pack, self._source = pack, source
        self._face = DriverFace(face, tracker)
        self._drawn: Tensor | None = None
        self.rest()

    @property
    def found(self) -> bool:
        """Whether the last frame showed the face."""
        return self._face.found

    def rest(self) -> None:
        """Take the pose in which the driver is found next as the source's own, in place of the first one's."""
        self._face.start()
        self._codes = _LiveCodes(self._pack)

    def motion(self, frame: Tensor | np.ndarray) -> ImplicitMotion | None:
        """The motion code of the next frame [H, W, 3], uint8 or float in 0–1; None where the face is not found.

        Raises:
            InputError: another shape, values that no image has, or the first frame with a face shows fewer than `face`
                asks for.
        """
        frame = checked_frame(frame)
        if self._face.is_new_view(frame):
            self.rest()
        face = self._face.find(frame)
        if face is None:
            return None
        change = self._codes.change(frame, face)
        return ImplicitMotion((self._source.posture + change).clamp(-1, 1)[None], groups=self._pack.groups)

    def add(self, frame: Tensor | np.ndarray) -> Tensor:
        """The source [S, S, 3] in 0–1 as the next frame's face moves; as before where it is not found."""
        motion = self.motion(frame)
        if motion is not None or self._drawn is None:
            motion = motion or ImplicitMotion(self._source.posture[None], groups=self._pack.groups)
            (self._drawn,) = torch.cat(list(render_implicit(self._pack, self._source, motion, ABSOLUTE)))
        return self._drawn


class _LiveCodes:
    """How the motion code of a face departs from that of its first frame."""

    def __init__(self, pack: ImplicitPack) -> None:
        self._pack = pack
        self._fit = None if pack.movements is None else pack.extractor.live()
        self._matrix: Tensor | None = None  # to the generator's crop, where the face was first
        self._first: Tensor | None = None

    def change(self, frame: Tensor, face: Face) -> Tensor:
        """The departure [K] of the next frame, whose code the pack's movements tell, else its generator."""
        pack = self._pack
        if self._fit is not None and pack.movements is not None:
            first, now = motion_codes(self._fit.add(frame, face), pack.movements)
            return now - first
        size = pack.generator.size
        if self._matrix is None:
            share = pack.manifest.face_share
            self._matrix = crop_matrix(torch.from_numpy(face.landmarks), share) * (size / CROP_SIZE)
        crop = warp(to_float(frame).permute(2, 0, 1) * 2 - 1, self._matrix, size)
        with host.current().load(pack.generator):
            code = next(measure_motion(pack.generator, [crop[None]]))[0]
        self._first = code if self._first is None else self._first
        return code - self._first
