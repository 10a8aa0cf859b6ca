"""How far a generator turns heads of what it is asked for, measured by a tracker on portraits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ...errors import InputError
from ...face.detect import FaceTracker, face_tracker
from ...face.follow import still_landmarks
from ...implicit.face_codes import HEAD, SIZE, motion_codes, movement_of
from ...implicit.motion import RATE, ImplicitMotion
from ...implicit.render import ABSOLUTE
from ...implicit_pipeline import encode_implicit, render_implicit
from ...packs.implicit_pack import ImplicitPack
from ..people.portrait_folder import portraits_of

PORTRAITS = 8  # that are measured
ASKED = 0.3  # change of a code, either way
RIDGE = 0.03  # keeps turns and shifts apart that look alike


def calibrate_head(folder: Path, portraits: Path) -> None:
    """Write into a pack's movements what its generator is to be asked for.

    Args:
        folder: of the pack.
        portraits: folder of photographs, one person each.

    Raises:
        InputError: the pack's codes have no names, or no portrait shows a face.
    """
    pack = ImplicitPack.load(folder)
    if pack.movements is None or pack.manifest.movements is None:
        raise InputError(f"The pack {folder} has no movements; give its codes names first.")
    tracker, answers = face_tracker(), []
    paths = portraits_of(portraits, held_out=False)
    for path in paths[:: max(1, len(paths) // PORTRAITS)][:PORTRAITS]:
        try:
            answers.append(answer_of(pack, path, tracker))
        except InputError:
            continue  # no face is found, in the portrait or in its turned heads
    if not answers:
        raise InputError(f"No face was found in the portraits of {portraits}; give others.")
    got = torch.stack(answers).median(0).values
    asked = got.T @ torch.linalg.inv(got @ got.T + RIDGE * torch.eye(len(HEAD)))
    asked[SIZE], asked[:, SIZE] = 0, 0  # heads that come nearer are not drawn
    replace(pack.movements, head=asked).save(folder / pack.manifest.movements)


def answer_of(pack: ImplicitPack, portrait: Path, tracker: FaceTracker) -> Tensor:
    """How the head of one portrait moves: [6, 6], from movements that are asked for to those that are seen.

    Raises:
        InputError: no face is found.
    """
    assert pack.movements is not None
    source = encode_implicit(pack, portrait, tracker=tracker)
    local, head = source.local, len(HEAD)
    assert local is not None
    plain = replace(source, local=local._replace(head=torch.eye(head)))
    codes = source.posture.repeat(1 + 2 * head, 1)
    for number in range(head):
        codes[1 + number, number] += ASKED
        codes[1 + head + number, number] -= ASKED
    codes = codes.clamp(-1, 1)
    seen = []
    for frames in render_implicit(pack, plain, ImplicitMotion(codes, groups=pack.groups), ABSOLUTE):
        for frame in frames:
            track = pack.extractor.fit(still_landmarks(frame, tracker)[None], RATE)
            seen.append(movement_of(motion_codes(track, pack.movements))[0, :head])
    asked, got = movement_of(codes)[:, :head], torch.stack(seen)
    return torch.linalg.lstsq(asked - asked[:1], got - got[:1]).solution
