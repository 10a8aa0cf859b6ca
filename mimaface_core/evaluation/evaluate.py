"""Scores pairs of outputs and drivers, each in one pass over its frames, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .. import host
from ..errors import InputError
from ..media import AudioFile, Clip
from .footage import PICTURES, Footage
from .meters import signals
from .meters.crops import aligned_face, framed_face, framing, signed
from .meters.distances import distance_scores
from .meters.frechet import Sets
from .meters.identity import Encoder, Identity, identity_scores, load_csim
from .meters.images import SAME, Jumps, Likeness, Sharpness, likeness_or_reason
from .meters.sync import evaluate_sync, find_net, sync_scores
from .pairs import Pair
from .scores import Score, absent
from .tracked import Moment, Seen, moments, opened, source_of

CLIP, OVERLAP = 12, 3  # frames of a clip, and how many it shares with the one before, as the packs have it
STILLS = 6  # moments that the report shows
THUMBNAIL = 200  # height of their pictures, pixels
NO_DRIVER = "it compares with the driver, and none was given"
NO_SOUND = "the output has no sound, and no voice was given"
NO_SOURCE = "it compares with the source, and none was given"


@dataclass
class PairResult:
    """What was found of a pair: `report` is ready for JSON; the rest is for a report's pictures.

    stills: (seconds, driver's or None, output's small picture uint8). driver, output: [N, 10] signals of the frames that
    show both faces, at `seconds` [N].
    """

    name: str
    report: dict
    source: np.ndarray | None = None
    stills: list[tuple[float, np.ndarray | None, np.ndarray]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    driver: list[np.ndarray] = field(default_factory=list)
    output: list[np.ndarray] = field(default_factory=list)


class Evaluation:
    """Pairs scored one after another, and their pictures as two sets.

    same: self-reenactment, the driver's first frame is the source. encoder: the bundled pack's appearance encoder for
    the stand-ins, None without. syncnet: SyncNet's weights, looked for in the models folders when None. max_frames:
    frames of a clip that are scored, all when None. clip, overlap: the clips that the outputs were sampled in.
    Raises InputError when weights are there but damaged.
    """

    def __init__(
        self,
        same: bool = False,
        encoder: Encoder | None = None,
        syncnet: Path | None = None,
        max_frames: int | None = None,
        clip: int = CLIP,
        overlap: int = OVERLAP,
    ) -> None:
        self.same, self.encoder, self.net = same, encoder, find_net(syncnet)
        self.max_frames, self.clip, self.overlap = max_frames, clip, overlap
        self.csim, self.csim_where = load_csim()
        self.sets = Sets(encoder)
        self.with_driver = False  # whether any pair had one
        Jumps(clip, overlap)  # refuses what cannot be

    def score(self, pair: Pair) -> PairResult:
        """Scores of one pair. Raises InputError when a file cannot be read, or a face is never seen."""
        output = opened(pair.output)
        sound = _sound(pair)
        driver = None if pair.driver is None else opened(pair.driver)
        source = source_of(pair, driver, self.same)
        self.with_driver |= driver is not None
        self.sets.start_pair()
        found = _Pass(self, pair, output, driver, source, sound)
        count = min(output.count, self.max_frames or output.count)
        with host.current().progress(count, f"looking at {pair.name}") as progress:
            for moment in moments(output, driver, self.max_frames):
                found.see(moment)
                progress.update()
        return found.scored()

    def set_scores(self) -> dict[str, Score]:
        """FID, FVD and their stand-ins over all pairs so far."""
        if self.with_driver:
            return self.sets.scores()
        return {key: absent(key.upper(), "", NO_DRIVER) for key in ("fid", "fvd")}


class _Pass:
    """One pass over a pair's frames: every measure sees every frame once, and no frame is kept."""

    def __init__(
        self,
        whole: Evaluation,
        pair: Pair,
        output: Footage,
        driver: Footage | None,
        source: Seen | None,
        sound: Clip | None,
    ) -> None:
        self.whole, self.pair, self.fps, self.source, self.sound = whole, pair, output.fps, source, sound
        self.with_driver = driver is not None
        self.jumps = Jumps(whole.clip, whole.overlap)
        self.likeness: Likeness | None = None
        self.unlike = {key: absent(key.upper(), "", SAME) for key in ("psnr", "ssim", "lpips")}
        if whole.same:
            self.likeness, self.unlike = likeness_or_reason()
        self.sharpness = self.csim = self.stand_in = self.face = None
        if source is not None:
            self.face = aligned_face(*source)
            self.sharpness = Sharpness(self.face)
            person = signed(torch.from_numpy(source.picture)), source.landmarks
            self.csim = whole.csim and Identity(whole.csim, *person)
            self.stand_in = whole.encoder and Identity(self._class_token, *person)
        self.result = PairResult(pair.name, {}, None if source is None else _small(source.picture))
        self.landmarks: list[Tensor | None] = []
        self.both: tuple[list[Tensor], list[Tensor]] = ([], [])
        frames = min([length for length in (output.count, driver and driver.count, whole.max_frames) if length] or [1])
        self.chosen = set(np.linspace(0, frames - 1, STILLS).round().astype(int).tolist())

    def see(self, moment: Moment) -> None:
        """Everything that is measured of one instant."""
        output, driver = moment
        number = len(self.landmarks)
        self.landmarks.append(output.landmarks)
        self.jumps.see(torch.from_numpy(output.picture))
        if driver is not None:
            frames = ((torch.from_numpy(seen.picture), seen.landmarks) for seen in (driver, output))
            self.whole.sets.see(*frames)
        if number in self.chosen:
            still = None if driver is None else _small(driver.picture)
            self.result.stills.append((number / float(self.fps), still, _small(output.picture)))
        if output.landmarks is not None:
            self._face(output, driver)

    def _face(self, output: Seen, driver: Seen | None) -> None:
        """What is measured of an output's face, and of both faces where the driver's is seen too."""
        if self.source is not None:
            face = aligned_face(*output)
            self.sharpness.see(face)
            picture = signed(torch.from_numpy(output.picture))
            for identity in (self.csim, self.stand_in):
                if identity is not None:
                    identity.see(picture, output.landmarks)
        if driver is None or driver.landmarks is None:
            return
        if self.likeness is not None and self.both[0]:  # the first frame is the source itself
            self.likeness.see(aligned_face(*driver), face, self.face)
        self.both[0].append(driver.landmarks)
        self.both[1].append(output.landmarks)
        self.result.seconds.append((len(self.landmarks) - 1) / float(self.fps))
        self.result.driver.append(signals.signals(driver.landmarks.numpy()))
        self.result.output.append(signals.signals(output.landmarks.numpy()))

    @torch.no_grad()
    def _class_token(self, picture: Tensor, landmarks: Tensor) -> Tensor:
        return self.whole.encoder(framed_face(picture, framing(landmarks))[None])[0, 0].cpu()

    def scored(self) -> PairResult:
        """All scores of the pair."""
        total, seen = len(self.landmarks), sum(points is not None for points in self.landmarks)
        if not seen:
            raise InputError(
                f"No face was found in any of the clip's {total} frames; use a clip that shows a face from the front."
            )
        sync = {"reason": NO_SOUND}
        if self.sound is not None:
            sync = evaluate_sync(self.sound, self.landmarks, self.pair.audio, self.whole.net)
        scores = self._driver_scores() | self._source_scores() | self.jumps.scores() | sync_scores(sync)
        detail = scores.pop("signals", None)
        self.result.report = {
            "name": self.pair.name,
            "frames": total,
            "compared": len(self.both[0]),
            "fps": round(float(self.fps), 3),
            "face_seen": round(seen / total, 3),
            "scores": scores,
            "signals": detail,
            "sync": sync,
        }
        return self.result

    def _driver_scores(self) -> dict:
        if self.both[0]:
            found = signals.follow_scores(self.result.driver, self.result.output) | distance_scores(*self.both)
        else:
            reason = "the driver's face is never seen" if self.with_driver else NO_DRIVER
            keys = ("motion", "gain", "expression_distance", "pose_distance", "gaze_distance")
            found = {key: absent(key.replace("_", " "), "", reason) for key in keys}
        return found | (self.likeness.scores() if self.likeness else self.unlike)

    def _source_scores(self) -> dict[str, Score]:
        if self.source is None:
            titles = {"csim": "CSIM", "sharpness": Sharpness.TITLE}
            return {key: absent(title, "", NO_SOURCE) for key, title in titles.items()}
        return identity_scores(self.csim, self.whole.csim_where, self.stand_in) | self.sharpness.scores()


def _sound(pair: Pair) -> Clip | None:
    """The output's clip where its mouth can be compared with sound.

    Raises InputError where nothing else is left to compare an output with.
    """
    clip = None if pair.video_file is None or pair.video_file.suffix.lower() in PICTURES else Clip.open(pair.video_file)
    if clip is not None and pair.audio is not None:
        AudioFile.open(pair.audio)
    if clip is not None and (pair.audio is not None or clip.has_audio):
        return clip
    if pair.source is None and pair.driver is None:
        raise InputError(
            f"'{pair.name if clip is None else pair.video_file.name}' has no sound; name the voice with --audio, or a source or "
            "driver to compare with."
        )
    return None


def _small(picture: np.ndarray) -> np.ndarray:
    """A picture small enough to be kept, uint8 [at most 200, at most 400, 3]."""
    image = Image.fromarray(picture)
    image.thumbnail((2 * THUMBNAIL, THUMBNAIL))
    return np.asarray(image)
