"""Motion as ARKit's curves: import and export of the CSV files that the app Live Link Face records.

A row has a timecode, the 52 blendshapes of ARKit in 0–1, and turns of head and eyes in radians, with the signs of
Unreal's rotators: yaw towards the subject's right, pitch up, roll towards the right shoulder.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..files import shown
from ..morphable.bundled.blendshapes import ARKIT, blendshape
from ..morphable.bundled.face import bundled_face
from ..morphable.bundled.face_mesh import FACE_POINTS
from ..morphable.bundled.geometry import EYE_RADIUS
from ..morphable.bundled.groups import expression_groups
from ..motion.rest import resting_face
from ..motion.track import BUNDLED, FaceCoefficients, MotionTrack
from .crop import plane_alignment

_EYES = ("Blink", "LookDown", "LookIn", "LookOut", "LookUp", "Squint", "Wide")
_SIDED_MOUTH = ("Smile", "Frown", "Dimple", "Stretch")
_SIDED_LIPS = ("Press", "LowerDown", "UpperUp")
CURVES = (
    *(f"Eye{name}{side}" for side in ("Left", "Right") for name in _EYES),
    *("JawForward", "JawLeft", "JawRight", "JawOpen", "MouthClose", "MouthFunnel", "MouthPucker"),
    *("MouthLeft", "MouthRight", *(f"Mouth{name}{side}" for name in _SIDED_MOUTH for side in ("Left", "Right"))),
    *("MouthRollLower", "MouthRollUpper", "MouthShrugLower", "MouthShrugUpper"),
    *(f"Mouth{name}{side}" for name in _SIDED_LIPS for side in ("Left", "Right")),
    *("BrowDownLeft", "BrowDownRight", "BrowInnerUp", "BrowOuterUpLeft", "BrowOuterUpRight", "CheekPuff"),
    *("CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft", "NoseSneerRight", "TongueOut"),
)
TURNS = tuple(f"{of}{turn}" for of in ("Head", "LeftEye", "RightEye") for turn in ("Yaw", "Pitch", "Roll"))
BLINKS = [CURVES.index(f"EyeBlink{side}") for side in ("Right", "Left")]
HEADER = ("Timecode", "BlendShapeCount", *CURVES, *TURNS)
_TIMECODE = re.compile(r"(\d+):(\d+):(\d+):(\d+)(?:\.\d+)?")
_RATES = (24, 25, 30, 48, 50, 60, 90, 120)  # frames a second that a phone records
FULL_LOOK = torch.tensor([0.52, 0.44])  # turn of an eye sideways and vertically at a curve of 1, radians
DISTANCE = 4.0  # of an imported head behind the model's origin, model units
ITERATIONS = 150  # in which curves within 0–1 are found
SHUT = 0.01  # opening of an eye that is as good as none, model units
STIFFNESS = 8e-6  # cost of a curve, against squared lengths in model units: curves that hardly move anything stay at 0


def save_live_link(track: MotionTrack, path: str | Path) -> None:
    """Write a motion as a CSV file of Live Link Face.

    Curves hold what the 52 blendshapes can show of the motion: the mouth of a person who is not ARKit's mean face, and
    the finest movements of lips and lids, lie between them.

    Raises:
        InputError: the motion is of another face model than the bundled one.
        OSError: the file cannot be written.
    """
    track.check_basis(BUNDLED)
    curves, turns = _curves(track), _turns(track)
    whole = max(1, round(track.fps))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number, row in enumerate(torch.cat([curves, turns], 1).tolist()):
            second, frame = divmod(number, whole)
            code = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}:{frame:02d}.000"
            writer.writerow([code, len(CURVES) + len(TURNS), *(f"{value:.6f}" for value in row)])


def load_live_link(path: str | Path) -> MotionTrack:
    """Read a CSV file of Live Link Face, or another table of ARKit's curves, as the motion of a mean face.

    Columns are found by their names, in any order and case; absent ones are 0. Without timecodes, 60 frames a second
    are taken.

    Raises:
        InputError: the file is missing, no table, has none of ARKit's curves, or cells that are no numbers.
    """
    table = _read(Path(path))
    count = len(table["jawopen"]) if "jawopen" in table else len(next(iter(table.values())))

    def column(name: str) -> Tensor:
        return _numbers(table[name.lower()], name, path) if name.lower() in table else torch.zeros(count)

    curves = torch.stack([column(name) for name in CURVES], 1)
    turns = torch.stack([column(name) for name in TURNS], 1)
    expression = torch.zeros(count, 64)
    for name, curve in zip(CURVES, curves.T, strict=True):
        for index in _blendshapes_of(name):
            expression[:, index] = curve
    angles = torch.stack([-turns[:, 1], -turns[:, 0], turns[:, 2]], 1)
    coefficients = FaceCoefficients.zeros(count).replace(
        expression=expression, angles=angles, translation=torch.tensor([[0.0, 0.0, -DISTANCE]]).expand(count, -1)
    )
    visible = torch.ones(count, dtype=torch.bool)
    return MotionTrack(coefficients, _gaze(curves, turns), plane_alignment(count), visible, _rate(table))


def _blendshapes_of(curve: str) -> list[int]:
    """Indices of the bundled blendshapes that a curve of ARKit moves."""
    name = curve[0].lower() + curve[1:]
    sides = (f"{name}Right", f"{name}Left")
    return [blendshape(one) for one in (name, *sides) if one in ARKIT]


def _curves(track: MotionTrack) -> Tensor:
    """Curves [N, 52] in 0–1 that come nearest to the motion's shapes, by projected gradients with momentum.

    They count from the person's resting face; a shut eye is 1, however far its lids had to go.
    """
    basis = bundled_face().model.expression_basis[:FACE_POINTS]
    columns = torch.stack([basis[..., _blendshapes_of(name)].sum(-1) for name in CURVES], -1).flatten(0, 1)
    looks = [i for i, name in enumerate(CURVES) if "Look" in name]
    columns[:, looks] = 0  # these follow the gaze
    face, c = bundled_face(), track.coefficients
    rest = resting_face(track, expression_groups(BUNDLED)).expression
    shapes = (c.expression - rest) @ basis.flatten(0, 1).T
    normal = columns.T @ columns / FACE_POINTS + STIFFNESS * torch.eye(len(CURVES))
    aim = shapes @ columns / FACE_POINTS
    step = 1 / torch.linalg.eigvalsh(normal)[-1]
    curves = ahead = torch.zeros(len(track), len(CURVES))
    for k in range(ITERATIONS):
        following = (ahead - step * (ahead @ normal - aim)).clamp(0, 1)
        ahead = following + k / (k + 3) * (following - curves)
        curves = following
    curves[:, looks] = _looks(track.gaze)
    usual, opening = (face.eye_opening(c.identity, expression) for expression in (rest, c.expression))
    curves[:, BLINKS] = (1 - opening / usual.clamp(min=SHUT)).clamp(0, 1)
    return curves


def _looks(gaze: Tensor) -> Tensor:
    """Curves of eyeLook… [N, 8] of gaze [N, 4], as in CURVES: down, in, out, up of the left eye, then right."""
    curves = []
    for side, inwards in ((1, -1), (0, 1)):  # the left eye looks to the image's left when it looks in
        turn = (gaze[:, 2 * side : 2 * side + 2] / EYE_RADIUS).clamp(-0.98, 0.98).asin() / FULL_LOOK
        across, up = turn.unbind(1)
        curves += [-up, inwards * across, -inwards * across, up]
    return torch.stack(curves, 1).clamp(0, 1)


def _turns(track: MotionTrack) -> Tensor:
    """TURNS [N, 9] of a motion, radians."""
    pitch, yaw, roll = track.coefficients.angles.unbind(1)
    zero = torch.zeros_like(yaw)
    right, left = ((track.gaze[:, k : k + 2] / EYE_RADIUS).clamp(-0.98, 0.98).asin() for k in (0, 2))
    eyes = [column for eye in (left, right) for column in (-eye[:, 0], eye[:, 1], zero)]
    return torch.stack([-yaw, -pitch, roll, *eyes], 1)


def _gaze(curves: Tensor, turns: Tensor) -> Tensor:
    """Gaze [N, 4] by the eyes' turns where there are any, else by the curves eyeLook…."""
    if turns[:, 3:].any():
        across, up = -turns[:, [6, 3]], turns[:, [7, 4]]
    else:
        at = {name: curves[:, CURVES.index(f"EyeLook{name}")] for name in _LOOKS}
        across = torch.stack([at["InRight"] - at["OutRight"], at["OutLeft"] - at["InLeft"]], 1) * FULL_LOOK[0]
        up = torch.stack([at[f"Up{side}"] - at[f"Down{side}"] for side in ("Right", "Left")], 1) * FULL_LOOK[1]
    return torch.stack([across, up], -1).sin().flatten(1) * EYE_RADIUS


_LOOKS = tuple(f"{way}{side}" for way in ("In", "Out", "Up", "Down") for side in ("Right", "Left"))


def _read(path: Path) -> dict[str, list[str]]:
    """Columns of the table by their names in lower case."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{shown(path)} cannot be read as a table ({error}); give a CSV of Live Link Face.") from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if not {name.lower() for name in CURVES} & set(header):
        raise InputError(f"{shown(path)} has none of ARKit's curves in its first row; give a CSV of Live Link Face.")
    if len(rows) == 1:
        raise InputError(f"{shown(path)} has no frames below its first row; record it again.")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise InputError(f"{shown(path)}, row {number}: {len(row)} cells where {len(header)} are; the file is cut.")
    return dict(zip(header, map(list, zip(*rows[1:], strict=True)), strict=True))


def _numbers(cells: Sequence[str], name: str, path: str | Path) -> Tensor:
    try:
        values = torch.tensor([float(cell or 0) for cell in cells])
    except ValueError as error:
        raise InputError(f"{shown(path)}: the column {name} holds something that is no number ({error}).") from error
    if not values.isfinite().all():
        raise InputError(f"{shown(path)}: the column {name} holds numbers that are not finite; correct them.")
    return values


def _rate(table: dict[str, list[str]]) -> Fraction:
    """Frames a second by the timecodes: the usual rate that their highest frame number asks for."""
    codes = [_TIMECODE.fullmatch(code.strip()) for code in table.get("timecode", [])]
    frames = [int(code[4]) for code in codes if code]
    if not frames:
        return Fraction(60)
    return Fraction(next((rate for rate in _RATES if rate > max(frames)), max(frames) + 1))
