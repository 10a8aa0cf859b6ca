"""All portraits of a folder through fit and one drawn frame: `python benchmarks/portraits.py FOLDER [--sheet FILE]`.

Each is measured, drawn with a turned head, a smile and a glance, and the drawn frame is tracked again. Prints how many
failed and why, the fit's residual, and the portraits whose drawn faces lie farthest from where they were to be; with
`--sheet` an image of these. Distances are root mean squares in per cent of that between the outer eye corners.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from mimaface.mimaface_core import host
from mimaface.mimaface_core.editing import edit
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.detect import FaceTracker, face_tracker
from mimaface.mimaface_core.face.follow import still_landmarks
from mimaface.mimaface_core.morphable.bundled.face import bundled_face
from mimaface.mimaface_core.morphable.bundled.face_mesh import (
    EYE_LANDMARKS,
    FACE_POINTS,
    LOWER_LIP_POINTS,
    OUTER_EYE_CORNERS,
    UPPER_LIP_POINTS,
)
from mimaface.mimaface_core.packs.find import find_pack
from mimaface.mimaface_core.packs.pack import ModelPack
from mimaface.mimaface_core.pipeline import measure
from mimaface.mimaface_core.reprojection.projection import project
from mimaface.mimaface_core.reprojection.renderer import ReprojectionRenderer
from mimaface.mimaface_core.tensors import to_uint8
from mimaface.mimaface_core.terminal import TerminalHost

PARTS = {
    "all": list(range(FACE_POINTS)),
    "lips": [*UPPER_LIP_POINTS, *LOWER_LIP_POINTS],
    "lids": [point for eye in EYE_LANDMARKS.values() for point in eye.upper_lid + eye.lower_lid],
}
TURNED = {"yaw": 20.0, "pitch": 6.0, "gaze": (0.4, 0.0), "expression": {"smile": 0.6}}
SIDE = 224  # pixels of a tile


def distance(points: Tensor, others: Tensor, part: str) -> float:
    """Of points [468, 2] from others, of one of `PARTS`, in per cent of the distance of others' outer eye corners."""
    right, left = others[OUTER_EYE_CORNERS, :2]
    apart = (points - others)[PARTS[part], :2].square().sum(1).mean().sqrt()
    return 100 * float(apart / (right - left).norm())


def one(path: Path, pack: ModelPack, tracker: FaceTracker) -> tuple[dict[str, float], Tensor]:
    """Distances of one portrait, and portrait and drawn frame beside each other [S, 2 S, 3], uint8.

    Raises:
        InputError: no face is found in the portrait, or in the drawn frame.
    """
    face = bundled_face()
    person, _ = measure(pack, path)
    c = person.track.coefficients
    fitted = project(face.model, face.model.shape(c.identity, c.expression), person.track)[0, :FACE_POINTS, :2]
    found = {part: distance(fitted, person.landmarks[:FACE_POINTS, :2], part) for part in PARTS}
    renderer = ReprojectionRenderer(face, person.crop, person.landmarks, person.track)
    posed = renderer.pose(edit(person, **TURNED))
    drawn = to_uint8((renderer.draw_posed(posed, freedom=False)[0].permute(1, 2, 0) + 1) / 2)
    tracked = still_landmarks(drawn, tracker)[:FACE_POINTS, :2]
    found["drawn"] = distance(tracked, posed.points[0, :FACE_POINTS, :2], "all")
    return found, torch.cat([to_uint8((person.crop.permute(1, 2, 0) + 1) / 2), drawn], 1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the fit and the drawing on a folder of portraits.")
    parser.add_argument("portraits", type=Path, help="folder of JPEG files")
    parser.add_argument("--last", type=int, default=0, help="only so many, the last by name")
    parser.add_argument("--worst", type=int, default=20, help="portraits that are listed")
    parser.add_argument("--sheet", type=Path, help="image of those that are listed")
    options = parser.parse_args()
    paths = sorted(options.portraits.glob("*.jpg"))[-options.last :]
    pack, tracker = find_pack("bundled"), face_tracker()
    found, tiles, failed = {}, {}, {}
    terminal = TerminalHost()
    with host.use(terminal), terminal.progress(len(paths), "portraits") as progress:
        for path in paths:
            try:
                found[path.stem], pair = one(path, pack, tracker)
                tiles[path.stem] = Image.fromarray(pair.numpy()).resize((2 * SIDE, SIDE))
            except InputError as problem:
                failed[path.stem] = str(problem)
            progress.update()
    for name in (*PARTS, "drawn"):
        x = torch.tensor([of[name] for of in found.values()])
        print(f"{name}: mean {x.mean():.2f}, median {x.median():.2f}, worst {x.max():.2f}")
    worst = sorted(found, key=lambda name: -found[name]["drawn"])[: options.worst]
    print(f"{len(found)} of {len(paths)} drawn and found again")
    print(json.dumps({"failed": failed, "worst": {name: round(found[name]["drawn"], 2) for name in worst}}, indent=1))
    if options.sheet:
        sheet = Image.new("RGB", (8 * SIDE, SIDE * -(-len(worst) // 4)))
        for place, name in enumerate(worst):
            sheet.paste(tiles[name], (place % 4 * 2 * SIDE, place // 4 * SIDE))
        sheet.save(options.sheet)


if __name__ == "__main__":
    main()
