"""The 64 blendshapes of the bundled face: names, indices by name, and the groups that move together.

First come the 53 of ARKit that the scanned face has, under ARKit's names: `browInnerUp` and `cheekPuff` are one for
each side, and `tongueOut` is absent. A coefficient of 1 is the full movement of the scanned person, 0 is rest, and −1
the same movement the other way. Corrective blendshapes follow: what lips and lids do beside, learned from photographs,
and `lidRise`, by which the inner corner and the lower lid rise as an eye shuts. Sides are the subject's own.
"""

from __future__ import annotations

SIDES = ("Right", "Left")
_SIDED_ARKIT = (
    "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide", "mouthSmile",
    "mouthFrown", "mouthDimple", "mouthStretch", "mouthPress", "mouthLowerDown", "mouthUpperUp", "browDown",
    "browInnerUp", "browOuterUp", "cheekPuff", "cheekSquint", "noseSneer",
)  # fmt: skip
_CENTRAL_ARKIT = (
    "jawForward", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper",
)  # fmt: skip
_MIRRORED_ARKIT = ("jaw", "mouth")  # to one side: jawRight, jawLeft, mouthRight, mouthLeft
SIDED_NAMES = (*_SIDED_ARKIT, *_MIRRORED_ARKIT, "lidCorrective1", "lidCorrective2", "lidRise")
LIP_CORRECTIVES = tuple(f"lipCorrective{number}" for number in range(1, 6))
ARKIT = (*(f"{name}{side}" for name in (*_SIDED_ARKIT, *_MIRRORED_ARKIT) for side in SIDES), *_CENTRAL_ARKIT)
LID_CORRECTIVES = tuple(f"{name}{side}" for name in SIDED_NAMES[-3:] for side in SIDES)
BLENDSHAPES = (*ARKIT, *LIP_CORRECTIVES, *LID_CORRECTIVES)
_INDEX = {name: index for index, name in enumerate(BLENDSHAPES)}

# Expected standard deviation of the coefficients, by the beginning of the name; the longest that fits counts.
_SPREADS = {
    "browDown": 0.7, "browInnerUp": 0.7, "browOuterUp": 0.7, "cheekPuff": 0.3, "cheekSquint": 0.4, "eyeBlink": 1.5,
    "eyeLook": 0.12, "eyeSquint": 0.5, "eyeWide": 0.2, "jaw": 0.3, "jawOpen": 1.0, "lidCorrective": 0.5, "lidRise": 0.8,
    "lipCorrective": 0.6, "mouth": 0.4, "mouthClose": 0.3, "mouthFrown": 0.5, "mouthFunnel": 0.6,
    "mouthLowerDown": 0.6, "mouthPucker": 0.8, "mouthSmile": 0.8, "mouthUpperUp": 0.6, "noseSneer": 0.4,
}  # fmt: skip


def blendshape(name: str) -> int:
    """Index of one blendshape.

    Args:
        name: its full name, such as `jawOpen` or `mouthSmileLeft`.

    Raises:
        ValueError: there is no such blendshape; a sided one is not found without its side.
    """
    if name not in _INDEX:
        raise ValueError(f"There is no blendshape {name!r}; BLENDSHAPES lists their names.")
    return _INDEX[name]


def blendshapes(*names: str) -> list[int]:
    """Indices of several blendshapes, in the order of the names.

    Args:
        names: full names, or names of sided blendshapes without their side, which stand for the right, then the left
            one: `blendshapes("jawOpen", "mouthSmile")` has three indices.

    Raises:
        ValueError: there is no such blendshape on either side.
    """
    indices = []
    for name in names:
        indices += [blendshape(f"{name}{side}") for side in SIDES] if name in SIDED_NAMES else [blendshape(name)]
    return indices


def spread(name: str) -> float:
    """Expected standard deviation of a blendshape's coefficient in people's faces."""
    return _SPREADS[max((start for start in _SPREADS if name.startswith(start)), key=len)]


# Coefficient up to which a movement is an ordinary one, where it is not 1: wide eyes need more to shut, and corrective
# blendshapes are small.
_REACHES = {"eyeBlink": 2.0, "lidRise": 2.0, "lidCorrective": 4.0, "lipCorrective": 4.0}
REACH = tuple(next((_REACHES[start] for start in _REACHES if name.startswith(start)), 1.0) for name in BLENDSHAPES)
SPREADS = tuple(spread(name) for name in BLENDSHAPES)
# Lids of the right and of the left eye; the first of each shuts it.
LID_BLENDSHAPES = [
    [
        blendshape(f"{name}{side}")
        for name in ("eyeBlink", "eyeWide", "eyeSquint", "eyeLookUp", "eyeLookDown", *SIDED_NAMES[-3:])
    ]
    for side in SIDES
]
# all lids, and the skin that moves when they shut
EYE_BLENDSHAPES = [
    index for index, name in enumerate(BLENDSHAPES) if name.startswith(("eye", "lid", "cheekSquint", "noseSneer"))
]
# lips and jaw: a speaking mouth
MOUTH_BLENDSHAPES = [
    index for index, name in enumerate(BLENDSHAPES) if name.startswith(("jaw", "mouth", "lip", "cheekPuff"))
]
# those that move within a few frames: lids, lips and jaw
QUICK_BLENDSHAPES = [
    index for index, name in enumerate(BLENDSHAPES) if name.startswith(("eye", "lid", "jaw", "mouth", "lip"))
]
