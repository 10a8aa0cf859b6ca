"""The bundled face tracker against mediapipe: on clips, on drawn people, on portraits, and where there is no face.

python benchmarks/tracker.py --clips driver.mp4 …       agreement, correlation over time, jitter, frames a second
python benchmarks/tracker.py --people 100               errors on drawn people, whose landmarks are known
python benchmarks/tracker.py --portraits DIR            faces found in the held-out portraits: turned, small, spoilt …
python benchmarks/tracker.py --found 1000               drawn people with covers found, and what is called seen
python benchmarks/tracker.py --nothing 1000             faces found in pictures that show none
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from mimaface.mimaface_core.face.detect import FaceTracker, face_tracker
from mimaface.mimaface_core.face.follow import AT_ONCE
from mimaface.mimaface_core.media.frames import Frames
from mimaface.mimaface_core.media.image import read_image
from mimaface.mimaface_core.morphable.bundled.face_mesh import (
    FACE_POINTS,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    IRIS_CENTRES,
    LEFT_BROW,
    LEFT_EYE_INNER,
    LEFT_EYE_OUTER,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LID_MIDDLES,
    LOWER_LIP_POINTS,
    RIGHT_BROW,
    RIGHT_EYE_INNER,
    RIGHT_EYE_OUTER,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP_POINTS,
)
from mimaface.mimaface_core.tensors import to_uint8
from mimaface.mimaface_core.tracker.face import Face

GROUPS = {
    "all": list(range(FACE_POINTS)),
    "lips": UPPER_LIP_POINTS + LOWER_LIP_POINTS,
    "lids": RIGHT_UPPER_LID + RIGHT_LOWER_LID + LEFT_UPPER_LID + LEFT_LOWER_LID,
    "brows": RIGHT_BROW + LEFT_BROW,
    "irises": IRIS_CENTRES,
}
FIRST_PERSON = 5_000_000  # seeds of drawn people whom no training has seen
RIGHT = 0.25  # mean error of landmarks, of the eyes' distance, up to which a face counts as found


def unit(face: np.ndarray) -> float:
    """Distance of the eyes' outer corners."""
    return float(np.linalg.norm(face[RIGHT_EYE_OUTER, :2] - face[LEFT_EYE_OUTER, :2]))


def errors(face: np.ndarray, truth: np.ndarray, scale: float) -> dict[str, float]:
    """Mean error of each group, % of a scale."""
    away = np.linalg.norm((face - truth)[:, :2], axis=1) / scale * 100
    return {name: float(away[points].mean()) for name, points in GROUPS.items()}


def signals(face: np.ndarray) -> dict[str, float]:
    """What moves in a face, over the distance of its eyes."""
    scale = unit(face)
    gap = face[INNER_LOWER_LIP[5], :2] - face[INNER_UPPER_LIP[5], :2]
    lids = [np.linalg.norm(face[low, :2] - face[up, :2]) for up, low in LID_MIDDLES]
    across = (face[LEFT_EYE_OUTER, :2] - face[RIGHT_EYE_OUTER, :2]) / scale
    corners = ((RIGHT_EYE_OUTER, RIGHT_EYE_INNER), (LEFT_EYE_OUTER, LEFT_EYE_INNER))
    eyes = [face[list(pair), :2].mean(0) for pair in corners]
    look = [(face[iris, :2] - eye) @ across for iris, eye in zip(IRIS_CENTRES, eyes, strict=True)]
    brows = [
        np.linalg.norm(face[brow, :2].mean(0) - eye) for brow, eye in zip((RIGHT_BROW, LEFT_BROW), eyes, strict=True)
    ]
    values = {"mouth": np.linalg.norm(gap), "lids": np.mean(lids), "brows": np.mean(brows), "gaze": np.mean(look)}
    return {name: float(value / scale) for name, value in values.items()}


def tracked(tracker: FaceTracker, images: list[np.ndarray]) -> tuple[list[Face | None], float]:
    """The largest face of each frame of a clip, and frames a second."""
    tracker.start_clip()
    tracker.frame(images[0])
    tracker.start_clip()
    started = time.perf_counter()
    found: list[Face | None] = []
    for first in range(0, len(images), AT_ONCE):
        some = images[first : first + AT_ONCE]
        tracker.prepare(some)
        found += [max(tracker.frame(image), key=lambda face: unit(face.landmarks), default=None) for image in some]
    return found, len(images) / (time.perf_counter() - started)


def measure_clip(path: Path) -> None:
    """Print how the trackers agree on a clip."""
    images = [to_uint8(frame).numpy() if frame.is_floating_point() else frame.numpy() for frame in Frames.open(path)]
    images = [np.ascontiguousarray(image[..., :3]) for image in images]
    (own, rate), (other, other_rate) = (tracked(face_tracker(kind), images) for kind in ("bundled", "mediapipe"))
    both = [(a.landmarks, b.landmarks) for a, b in zip(own, other, strict=True) if a is not None and b is not None]
    each = [errors(a, b, unit(b)) for a, b in both]
    away = {name: np.mean([one[name] for one in each]) for name in GROUPS}
    moves = [[signals(face) for face in faces] for faces in zip(*both, strict=True)]
    alike = {name: np.corrcoef(*([s[name] for s in series] for series in moves))[0, 1] for name in moves[0][0]}
    still = np.repeat(images[:1], 40, 0).astype(np.int16)
    still = (still + np.random.default_rng(0).normal(0, 3, still.shape)).clip(0, 255).astype(np.uint8)
    shake = [jitter(tracked(face_tracker(kind), list(still))[0]) for kind in ("bundled", "mediapipe")]
    print(f"{path.name}: {len(both)} of {len(images)} frames")
    print("  apart, % of the eyes' distance:", *(f"{name} {value:.2f}" for name, value in away.items()))
    print("  correlation over time:", *(f"{name} {value:.3f}" for name, value in alike.items()))
    print(f"  jitter of a still frame with noise, %: bundled {shake[0]:.3f}, mediapipe {shake[1]:.3f}")
    print(f"  frames a second: bundled {rate:.0f}, mediapipe {other_rate:.0f}")


def jitter(faces: list[Face | None]) -> float:
    """Mean standard deviation of landmarks over a still clip's later frames, % of the eyes' distance."""
    points = np.stack([face.landmarks[:, :2] for face in faces[10:] if face is not None])
    return float(np.sqrt(points.var(0).sum(-1)).mean() / unit(points[0]) * 100)


def measure_people(count: int) -> None:
    """Print the errors of both trackers on drawn people."""
    from mimaface.mimaface_core.training.data.tracker_faces import drawn_faces

    trackers = {kind: face_tracker(kind) for kind in ("bundled", "mediapipe")}
    totals: dict[str, list[dict[str, float]]] = {kind: [] for kind in trackers}
    shown = 0
    for number in range(count):
        faces = drawn_faces(FIRST_PERSON + number, 4)
        for image, landmarks in zip(faces.images, faces.landmarks.numpy(), strict=True):
            pixels, shown = np.ascontiguousarray(image.permute(1, 2, 0).numpy()), shown + 1
            found = {kind: tracker.still(pixels) for kind, tracker in trackers.items()}
            scale = max(unit(landmarks), 0.6 * np.ptp(landmarks[:FACE_POINTS, 1]) / 1.4)
            one = {kind: errors(each[0].landmarks, landmarks, scale) for kind, each in found.items() if each}
            if len(one) == len(trackers) and all(error["all"] < 100 * RIGHT for error in one.values()):
                for kind, error in one.items():
                    totals[kind].append(error)
    print(f"drawn people: {len(totals['bundled'])} of {shown} pictures in which both find the face")
    for kind, each in totals.items():
        print(f"  {kind}, % of the eyes' distance:", *(f"{n} {np.mean([e[n] for e in each]):.2f}" for n in GROUPS))


def measure_portraits(folder: Path) -> None:
    """Print how many of the held-out portraits are found as they are and changed, and how many of a crowd of them."""
    from mimaface.mimaface_core.training.people.portrait_folder import portraits_of

    trackers = {kind: face_tracker(kind) for kind in ("bundled", "mediapipe")}
    paths, rng = portraits_of(folder, held_out=True), np.random.default_rng(0)
    right: dict[str, dict[str, int]] = {}
    crowd = []
    for path in paths:
        image = to_uint8(read_image(path)[..., :3]).numpy()
        truth = trackers["mediapipe"].still(image)[0].landmarks[:, :2]
        crowd.append(cv2.resize(image, (90, 110), interpolation=cv2.INTER_AREA))
        for name, (changed, points) in changes(image, truth, rng).items():
            row = right.setdefault(name, dict.fromkeys(trackers, 0))
            for kind, tracker in trackers.items():
                found = tracker.still(np.ascontiguousarray(changed))
                row[kind] += (
                    bool(found) and errors(found[0].landmarks[:, :2], points, unit(points))["all"] < 100 * RIGHT
                )
    print(f"held-out portraits, of {len(paths)}, bundled and mediapipe:")
    for name, row in right.items():
        print(f"  {name}: {row['bundled']} and {row['mediapipe']}")
    several = crowd[: len(crowd) // 7 * 7]
    picture = np.vstack([np.hstack(several[i : i + 7]) for i in range(0, len(several), 7)])
    print(f"  a crowd of {len(several)}: {len(trackers['bundled'].still(picture))} found by the bundled one")


def changes(
    image: np.ndarray, points: np.ndarray, rng: np.random.Generator
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """An image uint8 [H, W, 3] turned, small and spoilt, each with its landmarks [478, 2]."""
    height, width = image.shape[:2]
    result = {
        f"turned by {90 * turns}°": (np.rot90(image, turns), turned(points, turns, height, width)) for turns in range(4)
    }
    small = cv2.resize(image, (48, 48 * height // width), interpolation=cv2.INTER_AREA)
    result["48 pixels wide"] = small, points * 48 / width
    kernel = np.zeros((15, 15))
    kernel[7] = 1 / 15
    kernel = cv2.warpAffine(kernel, cv2.getRotationMatrix2D((7, 7), rng.uniform(0, 180), 1), (15, 15))
    result["blurred by motion over 15 pixels"] = cv2.filter2D(image, -1, kernel / kernel.sum()), points
    dark = (image * 0.06 + rng.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)
    result["a sixteenth of the light, with noise"] = dark, points
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 10])[1]
    result["JPEG of quality 10"] = cv2.imdecode(jpeg, cv2.IMREAD_COLOR), points
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    pencil = cv2.divide(grey, 255 - cv2.GaussianBlur(255 - grey, (0, 0), 7), scale=256)
    result["drawn with a pencil"] = np.repeat(pencil[..., None], 3, 2), points
    stone = (cv2.bilateralFilter(grey, 9, 60, 9) * 0.6 + 70).astype(np.uint8)
    result["of stone"] = np.repeat(stone[..., None], 3, 2), points
    y, x = np.mgrid[:height, :width].astype(np.float32)
    across, down = (x - width / 2) / (width / 2), (y - height / 2) / (height / 2)
    bend = 0.85 + 0.5 * (across**2 + down**2)
    maps = (across * bend + 1) * width / 2, (down * bend + 1) * height / 2
    fisheye = cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    nearest = [np.hypot(maps[0] - px, maps[1] - py).argmin() for px, py in points]
    result["through a fisheye"] = fisheye, np.stack([np.array(nearest) % width, np.array(nearest) // width], 1)
    corners = np.float32([[200, 80], [380, 110], [375, 330], [205, 350]])
    matrix = cv2.getPerspectiveTransform(np.float32([[0, 0], [width, 0], [width, height], [0, height]]), corners)
    room = np.full((400, 600, 3), (120, 110, 100), np.uint8)
    cv2.fillPoly(room, [np.int32([[185, 65], [395, 98], [390, 345], [190, 368]])], (15, 15, 18))
    room = cv2.warpPerspective(image, matrix, (600, 400), room, borderMode=cv2.BORDER_TRANSPARENT)
    result["on a screen"] = room, cv2.perspectiveTransform(points[None].astype(np.float32), matrix)[0]
    return result


def turned(points: np.ndarray, turns: int, height: int, width: int) -> np.ndarray:
    """Points [V, 2] of an image, in pixels of what `np.rot90` makes of it."""
    x, y = points.T
    return np.stack(((x, y), (y, width - x), (width - x, height - y), (height - y, x))[turns], 1)


def measure_covered(count: int) -> None:
    """Print how many drawn people with something before the face are found, and what is rightly called seen."""
    from mimaface.mimaface_core.training.data.tracker_faces import drawn_faces
    from mimaface.mimaface_core.training.people.covers import covered

    tracker, rng, found, right, seen = face_tracker("bundled"), np.random.default_rng(0), 0, 0, []
    frames = 4
    for number in range(-(-count // frames)):
        faces = drawn_faces(FIRST_PERSON + 10_000 + number, frames)
        points = faces.landmarks[..., :2] / (faces.images.shape[-1] / 2) - 1
        images, hidden = covered(faces.images.float() / 255, points, rng, 1.0)
        shown = faces.seen & ~hidden
        for image, landmarks, truth in zip(images, faces.landmarks.numpy(), shown.numpy(), strict=True):
            each = tracker.still(np.ascontiguousarray(to_uint8(image.permute(1, 2, 0)).numpy()))
            scale = max(unit(landmarks), np.ptp(landmarks[:FACE_POINTS, 1]) / 2)
            found += 1
            if each and errors(each[0].landmarks, landmarks, scale)["all"] < 100 * RIGHT and each[0].seen is not None:
                right += 1
                seen.append(float(((each[0].seen > 0.5) == truth).mean()))
    print(f"drawn people with covers: found {right} of {found}; visibility right for {np.mean(seen):.1%} of points")


def measure_nothing(count: int) -> None:
    """Print in how many pictures without a face one is found."""
    import skimage.data as pictures

    from mimaface.mimaface_core.training.people.scenery import paint_background

    names = (
        "coffee",
        "rocket",
        "brick",
        "grass",
        "gravel",
        "page",
        "text",
        "clock",
        "chelsea",
        "hubble_deep_field",
    )
    real = []
    for name in names:
        try:
            image = np.asarray(getattr(pictures, name)())
        except (AttributeError, OSError, ModuleNotFoundError, ConnectionError):  # some are downloads
            continue
        real.append(np.ascontiguousarray(image if image.ndim == 3 else np.repeat(image[..., None], 3, 2))[..., :3])
    tracker, rng, false = face_tracker("bundled"), np.random.default_rng(1), 0
    for number in range(count):
        if number % 2:
            image = to_uint8(paint_background(np.random.default_rng([9, number]), 256).permute(1, 2, 0)).numpy()
        else:
            image = real[number // 2 % len(real)]
            side = int(rng.integers(64, min(image.shape[:2]) + 1))
            y, x = (int(rng.integers(0, n - side + 1)) for n in image.shape[:2])
            image = np.rot90(image[y : y + side, x : x + side], int(rng.integers(4)))
        false += bool(tracker.still(np.ascontiguousarray(image)))
    print(f"pictures without a face: {false} of {count} with one found")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=Path, nargs="*", default=[])
    parser.add_argument("--portraits", type=Path)
    for name in ("people", "found", "nothing"):
        parser.add_argument(f"--{name}", type=int, default=0, metavar="N")
    options = parser.parse_args()
    for path in options.clips:
        measure_clip(path)
    if options.people:
        measure_people(options.people)
    if options.portraits:
        measure_portraits(options.portraits)
    if options.found:
        measure_covered(options.found)
    if options.nothing:
        measure_nothing(options.nothing)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
