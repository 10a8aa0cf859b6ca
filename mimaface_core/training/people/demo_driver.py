"""Make the demo's driving clip, an authored performance of a synthetic person.

Run as `python -m mimaface.mimaface_core.training.people.demo_driver`.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from einops import rearrange

from ... import host
from ...media.write import VideoWriter
from ...morphable.bundled.blendshapes import BLENDSHAPES
from ...tensors import to_uint8
from .camera import photograph
from .performance import SMILE, Performance, add_blendshape
from .person import random_person
from .person_renderer import PersonRenderer

PERSON = 5038  # seed of a face that the tracker finds in every frame
FPS = 25
FRAMES = 100
CRF = 20  # quality of the H.264 stream
DEPTH = 4.0  # distance of the head behind the model's origin, model units
RESTING_LIDS = 0.12  # coefficient of `eyeBlink` at rest
FRAMES_AT_ONCE = 4  # rendered together, which bounds the memory
METADATA = {
    "comment": "A synthetic person, drawn by MIMAFace's training code; nobody real is shown.",
    "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia",
}
BROWS = {"browInnerUp": 0.9, "browOuterUp": 0.9}
LAUGH = {"mouthUpperUp": 0.5}

# (second, value) pairs, eased in between. Starts and ends at rest, looking ahead.
KEYFRAMES: dict[str, list[tuple[float, float]]] = {
    # eyes to the image's left and right, then along with the head
    "gaze_x": [(0.2, 0), (0.36, -0.2), (0.6, -0.2), (0.76, 0.2), (1.0, 0.2), (1.14, 0), (3.96, 0)],
    "gaze_y": [(1.36, 0), (1.46, 0.07), (1.66, 0.07), (1.78, 0)],
    "blink": [(1.02, 0), (1.12, 1.05), (1.2, 1.05), (1.34, 0), (2.48, 0), (2.58, 1.05), (2.66, 1.05), (2.8, 0)],
    "brows": [(1.3, 0), (1.46, 1), (1.66, 1), (1.84, 0), (3.1, 0), (3.3, 0.35), (3.6, 0.35), (3.9, 0)],
    # degrees: yaw to the image's right, pitch up, roll clockwise
    "yaw": [(0.5, 0), (0.9, 3), (1.2, 0), (1.6, 0), (2.0, 17), (2.16, 17), (2.6, -16), (2.76, -16), (3.1, 0)],
    "pitch": [(1.2, 0), (1.5, 3), (1.8, 0), (2.76, 0), (2.94, -10), (3.12, 4), (3.3, 7), (3.6, 5), (3.92, 0)],
    "roll": [(1.6, 0), (2.05, 4), (2.65, -4), (3.1, 0), (3.4, 3), (3.9, 0)],
    # speech: jaw and lips, a few syllables
    "jaw": [
        (1.7, 0), (1.8, 0.32), (1.9, 0.08), (2.0, 0.45), (2.12, 0.05), (2.22, 0.25), (2.32, 0.1), (2.44, 0.5),
        (2.56, 0.04), (2.68, 0.3), (2.8, 0),
    ],
    "round": [(1.84, 0), (1.92, 0.8), (2.02, 0), (2.14, 0.2), (2.24, 0.9), (2.36, 0), (2.5, 0), (2.6, 0.7), (2.7, 0)],
    "lower_lip": [(1.7, 0), (1.8, 0.3), (1.9, 0), (2.0, 0.4), (2.12, 0), (2.44, 0.4), (2.56, 0)],
    # laughter with an open mouth
    "smile": [(0, 0), (2.9, 0.05), (3.16, 0.6), (3.56, 0.6), (3.92, 0)],
    "laugh": [(3.0, 0), (3.2, 0.65), (3.3, 0.45), (3.4, 0.7), (3.5, 0.5), (3.6, 0.45), (3.86, 0)],
}  # fmt: skip


def _interpolated(name: str, seconds: np.ndarray) -> np.ndarray:
    """Values of one keyframed quantity at the instants [N], eased from key to key."""
    keys = np.array(KEYFRAMES[name])
    after = np.clip(np.searchsorted(keys[:, 0], seconds, side="right"), 1, len(keys) - 1)
    (start, low), (end, high) = keys[after - 1].T, keys[after].T
    share = ((seconds - start) / (end - start)).clip(0, 1)
    return low + share * share * (3 - 2 * share) * (high - low)


def demo_performance() -> Performance:
    """The authored performance of FRAMES frames."""
    seconds = np.arange(FRAMES) / FPS
    at = {name: _interpolated(name, seconds) for name in KEYFRAMES}
    expression = np.zeros((FRAMES, len(BLENDSHAPES)))

    def add(name: str, value: np.ndarray) -> None:
        add_blendshape(expression, name, value)

    for name, share in SMILE.items():
        add(name, share * at["smile"])
    for name, share in LAUGH.items():
        add(name, share * at["laugh"])
    add("jawOpen", 0.6 * (at["jaw"] + at["laugh"]))
    add("mouthPucker", 0.8 * at["round"])
    add("mouthFunnel", 0.4 * at["round"])
    add("mouthLowerDown", at["lower_lip"])
    for name, share in BROWS.items():
        add(name, share * at["brows"])
    add("eyeBlink", at["blink"] + (RESTING_LIDS - 0.1 * at["brows"]) * (1 - at["blink"]))

    angles = np.radians(np.stack([-at["pitch"], at["yaw"], -at["roll"]], 1))
    translation = np.stack([0.004 * at["yaw"], 0.006 * at["pitch"], np.zeros(FRAMES)], 1) - [0, 0, DEPTH]
    gaze = np.tile(np.stack([at["gaze_x"], at["gaze_y"]], 1), (1, 2))
    return Performance.of(expression, angles, translation, gaze)


def make_demo_driver(path: Path, seed: int = PERSON) -> Path:
    """Write the clip, 512×512 at FPS frames a second.

    Args:
        path: of the video.
        seed: number of the synthetic person.

    Returns:
        Path of the finished video.
    """
    person = random_person(seed)
    renderer = PersonRenderer(person, demo_performance(), np.random.default_rng(0))
    look = replace(person.look, grain=0.0)  # constant grain would look like dirt on the lens
    writer = VideoWriter(path, Fraction(FPS), "mp4", metadata=METADATA, crf=CRF)
    with writer, host.current().progress(FRAMES, "drawing the demo's clip") as progress:
        for start in range(0, FRAMES, FRAMES_AT_ONCE):
            images = photograph(renderer.draw(slice(start, start + FRAMES_AT_ONCE)), look)
            for image in images:
                writer.write(rearrange(to_uint8(image), "c h w -> h w c"))
            progress.update(len(images))
    return writer.path


def main() -> None:
    """Run as a command."""
    root = Path(__file__).resolve().parents[3]
    parser = argparse.ArgumentParser(description="Make the driving clip of the demo.")
    parser.add_argument("--out", type=Path, default=root / "assets" / "demo_driver.mp4", metavar="FILE")
    parser.add_argument("--person", type=int, default=PERSON, metavar="SEED", help="number of the synthetic person")
    options = parser.parse_args()
    print(make_demo_driver(options.out, options.person))


if __name__ == "__main__":
    main()
