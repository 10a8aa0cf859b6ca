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
from .errors import InputError
from .face.crop import CROP_SIZE, crop_matrix, to_uint8_array, transform_points, warp
from .face.detect import FaceTracker, face_tracker
from .face.faces import MAX_FACES_CLIP
from .face.follow import ChosenFace
from .face.implicit_source import ImplicitSource
from .implicit.face_codes import motion_codes
from .implicit.motion import RATE, ImplicitMotion
from .implicit.render import ABSOLUTE, measure_motion
from .implicit.sampler import ANCESTRAL
from .implicit.speech import Speaker, SpeakSettings
from .implicit_pipeline import SpokenCodes, render_implicit
from .media.frames import check_image
from .packs.implicit_pack import ImplicitPack
from .tensors import to_float

KNOWN = 12  # first frames of a driver, by which it is known who that is
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
        found: whether the last frame showed the face.
    """

    @checks.checked(pack=IMPLICIT_PACK, source=IMPLICIT_SOURCE, face=checks.whole(-1, MAX_FACES_CLIP - 1))
    def __init__(
        self, pack: ImplicitPack, source: ImplicitSource, face: int = -1, tracker: FaceTracker | str = "auto"
    ) -> None:
        self._pack, self._source, self._face = pack, source, face
        self._tracker = face_tracker(tracker) if isinstance(tracker, str) else tracker
        self.found = False
        self._size: torch.Size | None = None
        self._drawn: Tensor | None = None
        self._known: list[Tensor] = []  # landmarks of first frames
        self._matrix: Tensor | None = None  # to the crop, where the face was first
        self._first: Tensor | None = None  # code of the driver at rest
        self.rest()

    def rest(self) -> None:
        """Take the pose in which the driver is found next as the source's own, in place of the first one's."""
        self._tracker.start_clip()
        self._chosen = ChosenFace(self._tracker, self._face)
        self._known, self._matrix, self._first = [], None, None

    def motion(self, frame: Tensor | np.ndarray) -> ImplicitMotion | None:
        """The motion code of the next frame [H, W, 3], uint8 or float in 0–1; None where the face is not found.

        Raises:
            InputError: another shape, values that no image has, or the first frame with a face shows fewer than `face`
                asks for.
        """
        frame = _checked(frame)
        if frame.shape != self._size:  # another camera
            self._size = frame.shape
            self.rest()
        found = self._chosen.find(to_uint8_array(frame), 0)
        self.found = found is not None
        if found is None:
            return None
        landmarks = torch.from_numpy(found.landmarks)
        if self._matrix is None:
            self._matrix = crop_matrix(landmarks, self._pack.manifest.face_share)
        code = self._code(frame, landmarks)
        if self._first is None:
            self._first = code
        own = self._source.posture
        return ImplicitMotion((own + code - self._first).clamp(-1, 1)[None], groups=self._pack.groups)

    def add(self, frame: Tensor | np.ndarray) -> Tensor:
        """The source [S, S, 3] in 0–1 as the next frame's face moves; as before where it is not found."""
        motion = self.motion(frame)
        if motion is not None or self._drawn is None:
            motion = motion or ImplicitMotion(self._source.posture[None], groups=self._pack.groups)
            (self._drawn,) = torch.cat(list(render_implicit(self._pack, self._source, motion, ABSOLUTE)))
        return self._drawn

    def _code(self, frame: Tensor, landmarks: Tensor) -> Tensor:
        """The motion code [K] of a frame with landmarks [478, 3]."""
        pack, matrix = self._pack, self._matrix
        assert matrix is not None
        if pack.movements is None:
            size = pack.generator.size
            crop = warp(to_float(frame).permute(2, 0, 1) * 2 - 1, matrix * (size / CROP_SIZE), size)
            with host.current().load(pack.generator):
                return next(measure_motion(pack.generator, [crop[None]]))[0]
        points = transform_points(matrix, landmarks)
        # fitted beside the first frames, so that it is always the same person
        track = pack.extractor.fit(torch.stack([*self._known, points]), RATE)
        if len(self._known) < KNOWN:
            self._known.append(points)
        return motion_codes(track, pack.movements)[-1]


def _checked(frame: Tensor | np.ndarray) -> Tensor:
    """A driver's frame [H, W, 3], uint8 or float in 0–1."""
    checks.kind(Tensor, np.ndarray, remedy="give an image [H, W, 3]")("frame", frame)
    frame = torch.as_tensor(frame)
    if frame.ndim != 3 or frame.shape[2] != 3 or not frame.numel():
        raise InputError(f"A frame must have shape [H, W, 3], not {list(frame.shape)}.")
    if frame.dtype != torch.uint8 and not frame.is_floating_point() or not frame.isfinite().all():
        raise InputError("A frame must be uint8, or finite floats in 0–1.")
    check_image(frame)
    return frame
