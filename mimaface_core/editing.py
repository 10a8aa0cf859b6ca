"""Motion by hand, one function a step: edit."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from torch import Tensor

from . import checks
from .arguments import FACE
from .errors import InputError
from .face.source import SourceFace
from .morphable.bundled.controls import EXPRESSION_SLIDERS
from .morphable.bundled.edit_value import check_positions
from .morphable.bundled.groups import expression_groups
from .morphable.bundled.sliders import apply_controls
from .motion.rest import neutral_expression, resting_face
from .motion.track import BUNDLED, MotionTrack

_ANY = checks.number()


@checks.checked(
    face=FACE,
    yaw=_ANY,
    pitch=_ANY,
    roll=_ANY,
    shift=checks.pair,
    zoom=_ANY,
    gaze=checks.pair,
    expression=checks.optional(checks.numbers_by_name),
    controls=checks.optional(checks.numbers_by_name),
)
def edit(
    face: SourceFace | MotionTrack,
    *,
    yaw: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
    zoom: float = 1.0,
    gaze: tuple[float, float] = (0.0, 0.0),
    expression: Mapping[str, float] | None = None,
    controls: Mapping[str, float] | None = None,
    neutral_first: bool = False,
) -> MotionTrack:
    """The same change in every frame of a motion, or of a photograph, which is one frame.

    Args:
        face: the source, or a motion retargeted to it.
        yaw: degrees, to the image's right.
        pitch: degrees, up.
        roll: degrees, clockwise as seen.
        shift: x to the image's right and y up, as shares of the crop's side.
        zoom: size of the head, 1 as it is.
        gaze: x to the image's right and y up; at 1 the eyes turn as far as they do without effort.
        expression: positions of the combined controls by name (`morphable.bundled.controls.EXPRESSION_SLIDERS`), such
            as {"smile": 0.5}.
        controls: positions of any controls by name (`morphable.bundled.controls.CONTROLS`), such as
            {"gaze_x_left": 0.3, "mouth_smile_right": 0.5}, within their ranges; they are added to the others.
        neutral_first: whether the person's own expression is taken away first: that of the photograph, or the resting
            one of the motion. Head and gaze stay.

    Returns:
        The motion; exactly that of the face where all is at rest.

    Raises:
        InputError: an unknown control, one out of its range, or controls of the expression for a motion of another
            face model than the bundled one.
    """
    motion = face.track if isinstance(face, SourceFace) else face
    if neutral_first:
        motion = _neutral(motion)
    values = {
        "yaw": yaw,
        "pitch": pitch,
        "roll": roll,
        "shift_x": 100 * shift[0],
        "shift_y": 100 * shift[1],
        "zoom": zoom,
        "gaze_x": gaze[0],
        "gaze_y": gaze[1],
        **_known(expression or {}),
    }
    for name, position in check_positions(controls or {}).items():
        values[name] = values.get(name, 1.0) * position if name == "zoom" else values.get(name, 0.0) + position
    return apply_controls(motion, values)


def _known(expression: Mapping[str, float]) -> Mapping[str, float]:
    for name in expression:
        if name not in EXPRESSION_SLIDERS:
            nearest = get_close_matches(name, EXPRESSION_SLIDERS, 1, 0)[0]
            raise InputError(f"There is no expression slider '{name}'; the nearest is '{nearest}'.")
    return expression


def _neutral(motion: MotionTrack) -> MotionTrack:
    """The motion without the person's own expression. Raises InputError on another face model than the bundled one."""
    motion.check_basis(BUNDLED)
    groups, c = expression_groups(BUNDLED), motion.coefficients
    own = c.expression if len(motion) == 1 else resting_face(motion, groups).expression
    change: Tensor = neutral_expression(c.identity[:1], own, groups) - own
    return motion.replace(coefficients=c.replace(expression=c.expression + change))
