"""What the editor's controls do to photographs, as a tracker measures the rendered faces.

`python benchmarks/controls.py PHOTOGRAPH... [--only CONTROL...] [--tracker mediapipe] [--likeness]`, with the project
importable as `mimaface`. Every control is drawn at three strengths each way. Two things are measured of each:

- whether the tracked landmarks follow: their movement along the way in which the drawn points go at the full strength,
  which has to grow from strength to strength; as a share of the drawn way, it is the gain;
- what it does to signals that are none of its own, as a share of the range that all controls give them together. Gaze
  is measured where the eye is at least a third as open as in the photograph: a shut lid hides the iris.

Prints a table of controls and a list of the faults. `--likeness` adds face_recognition's distance to the photograph,
where that package is installed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from mimaface.mimaface_core import edit, load_pack, measure
from mimaface.mimaface_core.face.detect import TRACKERS, face_tracker
from mimaface.mimaface_core.face.extract_by_fit import FitExtractor
from mimaface.mimaface_core.face.source import SourceFace
from mimaface.mimaface_core.morphable.bundled.controls import CONTROLS
from mimaface.mimaface_core.morphable.bundled.face import EYE_PARTS, bundled_face
from mimaface.mimaface_core.morphable.bundled.face_mesh import (
    EYE_CORNERS,
    FACE_POINTS,
    IRIS_POINTS,
    LEFT_BROW,
    LID_MIDDLES,
    LIP_MIDDLES,
    MOUTH_CORNERS,
    NOSE_RIDGE,
    OUTER_EYE_CORNERS,
    RIGHT_BROW,
)
from mimaface.mimaface_core.preview import PUPIL_VERTICES
from mimaface.mimaface_core.reprojection.renderer import ReprojectionRenderer
from mimaface.mimaface_core.tensors import to_uint8

STRENGTHS = (1 / 3, 2 / 3, 1.0)
BONE = [point for corners in EYE_CORNERS for point in corners] + NOSE_RIDGE[:4]  # what no expression moves
SHARE = 0.15  # of a signal's range that controls of others may take
OPEN = 1 / 3  # of an eye's opening in the photograph: one that is less open hides its iris, and has no gaze to measure
SEEN = 0.004  # of the eyes' distance: mean movement of the moved landmarks below which a tracker sees nothing
UNRELATED = {  # groups of signals → groups of controls that are not to move them
    "gaze": {"lids"},
    "lids": {"eyes"},
    "mouth": {"brows"},
    "head": {"eyes", "lids", "brows", "mouth", "jaw_cheeks_nose", "combined"},
}


class Drawn(NamedTuple):
    """A face at one position of a control: landmarks drawn and tracked, [478, 2], and the tracked signals by group.

    Where the tracker finds no face, its landmarks are NaN, and there are no signals.
    """

    points: Tensor
    tracked: Tensor
    signals: dict[tuple[str, str], float]
    image: Tensor

    def measured(self, rest: Drawn) -> dict[tuple[str, str], float]:
        """The signals, without the gaze of eyes that are drawn less than OPEN."""
        shut = [
            side
            for side, (up, low) in zip(("right", "left"), LID_MIDDLES, strict=True)
            if (self.points[up] - self.points[low]).norm() < OPEN * (rest.points[up] - rest.points[low]).norm()
        ]
        return {key: value for key, value in self.signals.items() if key[0] != "gaze" or key[1].split()[1] not in shut}


class Photograph:
    """A photograph that is drawn with controls and tracked again."""

    def __init__(self, path: Path, tracker: str = "bundled") -> None:
        pack, self.tracker = load_pack(), face_tracker(tracker)
        self.source: SourceFace = measure(pack, path, tracker=self.tracker)[0]
        source, extractor = self.source, pack.measurer(None)
        assert isinstance(extractor, FitExtractor)
        self.extractor = extractor
        self.renderer = ReprojectionRenderer(bundled_face(), source.crop, source.landmarks, source.track)
        self.rest = self.drawn({})

    def drawn(self, controls: dict[str, float]) -> Drawn:
        """The face with controls."""
        posed = self.renderer.pose(edit(self.source, controls=controls))
        image = to_uint8((self.renderer.draw_posed(posed, freedom=False)[0].permute(1, 2, 0) + 1) / 2)
        faces = self.tracker.still(image.numpy())
        tracked = torch.from_numpy(faces[0].landmarks).float() if faces else torch.full((478, 3), torch.nan)
        signals = self.signals(tracked) if faces else {}
        return Drawn(landmarks(posed.points[0, :, :2]), tracked[:, :2], signals, image)

    def signals(self, tracked: Tensor) -> dict[tuple[str, str], float]:
        """Head in degrees, gaze in eye widths, the rest over the distance of the eyes, in the face's own frame."""
        fitted = self.extractor.fit(tracked[None], self.source.track.fps)
        angles = torch.rad2deg(fitted.coefficients.angles[0])
        measured = {("head", name): float(value) for name, value in zip(("pitch", "yaw", "roll"), angles, strict=True)}
        names = ("x right", "y right", "x left", "y left")
        measured |= {("gaze", name): float(value) for name, value in zip(names, fitted.gaze[0], strict=True)}
        across = tracked[OUTER_EYE_CORNERS[1], :2] - tracked[OUTER_EYE_CORNERS[0], :2]
        unit = across.norm()
        down = torch.stack([-across[1], across[0]]) / unit**2
        for side, lids, brow, eye, corner in zip(
            ("right", "left"), LID_MIDDLES, (RIGHT_BROW, LEFT_BROW), EYE_CORNERS, MOUTH_CORNERS, strict=True
        ):
            middle = tracked[eye, :2].mean(0)
            measured["lids", side] = float((tracked[lids[1], :2] - tracked[lids[0], :2]).norm() / unit)
            measured["brows", side] = float((middle - tracked[brow, :2].mean(0)) @ down)
            measured["mouth", f"{side} corner"] = float((tracked[corner, :2] - middle) @ down)
        for name, ends in (("width", MOUTH_CORNERS), ("opening", LIP_MIDDLES)):
            measured["mouth", name] = float((tracked[ends[0], :2] - tracked[ends[1], :2]).norm() / unit)
        return measured


def landmarks(points: Tensor) -> Tensor:
    """Landmarks [478, 2] of the model's vertices [V, 2]."""
    irises = [points[bundled_face().parts[part]][:PUPIL_VERTICES].mean(0) for part in EYE_PARTS]
    return torch.cat([points[:FACE_POINTS], *(iris.expand(IRIS_POINTS, 2) for iris in irises)])


def followed(rest: Drawn, drawn: list[Drawn], head: bool) -> tuple[list[float], float]:
    """How far the landmarks went along the way that is drawn, as shares of it; and that way, of the eyes' distance.

    Args:
        rest: the photograph.
        drawn: strength after strength.
        head: whether the head moves; otherwise movement of the whole face is no expression, and taken away.
    """
    moved = [one.tracked - rest.tracked for one in drawn]
    way = drawn[-1].points - rest.points
    if not head:
        moved = [one - one[BONE].mean(0) for one in moved]
    size = way.norm()
    unit = (rest.points[OUTER_EYE_CORNERS[0]] - rest.points[OUTER_EYE_CORNERS[1]]).norm()
    weight = way.norm(dim=1)
    length = float((weight.square().sum() / weight.sum().clamp(min=1e-9)) / unit)
    return [float((one * way).sum() / size**2) for one in moved], length


class Row(NamedTuple):
    """What one control did at one end, on all photographs."""

    control: str
    end: float
    gains: list[list[float]]  # of each photograph, at each strength
    length: float
    changes: list[dict[tuple[str, str], float]]  # of each photograph, the largest of each signal


def measure_controls(photographs: list[Photograph], only: list[str]) -> list[Row]:
    rows = []
    for name in only or CONTROLS:
        control = CONTROLS[name]
        for end in sorted({control.low, control.high} - {control.rest}):
            gains, lengths, changes = [], [], []
            for photograph in photographs:
                rest = photograph.rest
                positions = [control.rest + share * (end - control.rest) for share in STRENGTHS]
                drawn = [photograph.drawn({name: position}) for position in positions]
                gain, length = followed(rest, drawn, control.group == "head")
                gains.append(gain)
                lengths.append(length)
                signals = [one.measured(rest) for one in drawn]
                changes.append({
                    key: max(abs(one.get(key, own) - own) for one in signals) for key, own in rest.signals.items()
                })  # fmt: skip
            rows.append(Row(name, end, gains, min(lengths), changes))
            print(line(rows[-1]), flush=True)
    return rows


def line(row: Row) -> str:
    """A line of the table: the smallest gain at each strength, the way, and whether all photographs follow."""
    least = [torch.tensor(each).nan_to_num().amin() for each in zip(*row.gains, strict=True)]
    numbers = " | ".join(f"{gain:.2f}" for gain in least)
    return f"| {row.control} | {row.end:g} | {100 * row.length:.1f} | {numbers} | {verdict(row)} |"


def verdict(row: Row) -> str:
    rising = all(0 < gain[0] < gain[1] < gain[2] for gain in row.gains)
    if torch.tensor(row.gains).isnan().any():
        return "no face is found"
    return "yes" if rising else "too small to see" if row.length < SEEN else "NO"


def foreign(rows: list[Row]) -> list[str]:
    """What controls do to signals of others: for each pair of UNRELATED how many of them stay below SHARE."""
    told = []
    for signal, groups in UNRELATED.items():
        within, count, far = 0, 0, []
        for row in (row for row in rows if CONTROLS[row.control].group in groups):
            for number, changes in enumerate(row.changes):
                spans = {key: max(one.changes[number][key] for one in rows) for key in changes if key[0] == signal}
                key, share = max(((key, changes[key] / span) for key, span in spans.items()), key=lambda one: one[1])
                within, count = within + (share <= SHARE), count + 1
                if share > SHARE:
                    far.append(f"  photograph {number}: {row.control} {row.end:g} moves {key[1]} by {share:.0%}")
        told += [f"{signal}: {within} of {count} below {SHARE:.0%} of its range", *far]
    return told


def likeness(photographs: list[Photograph], only: list[str]) -> list[str]:
    """face_recognition's distance between each photograph and itself with controls at their ends."""
    import face_recognition

    def encoded(drawn: Drawn) -> Tensor:
        found = face_recognition.face_encodings(drawn.image.contiguous().numpy())
        return torch.from_numpy(found[0]) if found else torch.full((128,), torch.nan)

    own, told = [encoded(photograph.rest) for photograph in photographs], []
    for name in only or CONTROLS:
        control = CONTROLS[name]
        for end in sorted({control.low, control.high} - {control.rest}):
            drawn = [photograph.drawn({name: end}) for photograph in photographs]
            away = [float((a - encoded(b)).norm()) for a, b in zip(own, drawn, strict=True)]
            told.append(f"| {name} | {end:g} | " + " | ".join(f"{one:.2f}" for one in away) + " |")
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path, nargs="+")
    parser.add_argument("--only", nargs="+", choices=list(CONTROLS), default=[], metavar="CONTROL")
    parser.add_argument("--tracker", choices=TRACKERS, default="bundled")
    parser.add_argument("--likeness", action="store_true")
    options = parser.parse_args()
    photographs = [Photograph(path, options.tracker) for path in options.photographs]
    if options.likeness:
        print(*likeness(photographs, options.only), sep="\n")
        return
    print("| control | to | way, % | gain at 1/3 | at 2/3 | at 1 | the farther the more |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | --- |")
    rows = measure_controls(photographs, options.only)
    print(f"\n{sum(verdict(row) == 'yes' for row in rows)} of {len(rows)} ways follow.")
    if not options.only:  # whose ranges are those of all
        print(*foreign(rows), sep="\n")


if __name__ == "__main__":
    main()
