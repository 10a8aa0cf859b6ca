"""The recipe of the face tracker: its training stages, in their order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .recipe import Share, Stage, StageRun

if TYPE_CHECKING:
    from .tracker_config import TrackerConfig

ALL = "tracker"


def _faces(run: StageRun[TrackerConfig]) -> None:
    from .data.tracker_faces import make_faces

    faces = run.config.faces
    portraits = None if faces.portraits is None else Path(faces.portraits)
    make_faces(run.data / "faces", range(faces.people), faces.frames, portraits, run.share)


def _detector(run: StageRun[TrackerConfig]) -> None:
    from .models.tracker_detector import train_detector

    train_detector(run.config.detector, run.config.precision, run.data, run.out)


def _mistakes(run: StageRun[TrackerConfig]) -> None:
    from ..tracker.networks import Detector
    from .data.tracker_batches import FacePool
    from .data.tracker_mistakes import make_mistakes
    from .engine.checkpoint import load_averaged

    detector = Detector()
    load_averaged(run.out / "detector.safetensors", {"network": detector})
    settings = run.config.mistakes
    make_mistakes(run.data, FacePool(run.data / "faces"), detector.eval(), settings.count, settings.seed)


def _mesh(run: StageRun[TrackerConfig]) -> None:
    from .models.tracker_networks import train_look

    train_look("mesh", run.config.mesh, run.config.precision, run.data, run.out)


def _eye(run: StageRun[TrackerConfig]) -> None:
    from .models.tracker_networks import train_look

    train_look("eye", run.config.eye, run.config.precision, run.data, run.out)


def _mouth(run: StageRun[TrackerConfig]) -> None:
    from .models.tracker_networks import train_look

    train_look("mouth", run.config.mouth, run.config.precision, run.data, run.out)


def _write(run: StageRun[TrackerConfig]) -> None:
    write_tracker(run.data, run.out)


STAGES = {
    "faces": Stage("make images of faces with landmarks, for the face tracker", _faces),
    "detector": Stage("train the face tracker's detector", _detector),
    "mistakes": Stage("find what the detector takes for faces, for the mesh to refuse", _mistakes),
    "mesh": Stage("train the face tracker's mesh", _mesh),
    "eye": Stage("train the face tracker's closer look at eyes", _eye),
    "mouth": Stage("train the face tracker's closer look at mouths", _mouth),
    "face-tracker": Stage("write the face tracker's weights from what was trained", _write),
}


def run_tracker_stage(name: str, config: TrackerConfig, data: Path, out: Path, share: Share = (0, 1)) -> None:
    """Run one training stage of the face tracker, or all of them; a stage that was stopped resumes.

    Args:
        name: of the stage, or `tracker` for all.
        config: of the training.
        data: folder of the training data.
        out: folder of the checkpoints.
        share: number of this process, and of all that share the stage `faces`.

    Raises:
        InputError: the stage refuses.
    """
    for stage in STAGES if name == ALL else (name,):
        STAGES[stage].run(StageRun(config, data, out, share))


def write_tracker(data: Path, out: Path) -> Path:
    """Write the averaged weights of all networks as one file in half precision, batch norms taken in.

    Args:
        data: folder of the training data, by whose mean face the regions are laid out.
        out: folder of the checkpoints.

    Returns:
        The file, `out`/face_tracker.safetensors.

    Raises:
        InputError: a checkpoint is missing.
    """
    import torch

    from ..tracker.landmarks import TrackerNetworks
    from ..tracker.networks import fused
    from ..weights import write
    from .data.tracker_batches import FacePool
    from .engine.checkpoint import load_averaged
    from .models.tracker_networks import laid_out

    regions = laid_out(FacePool(data / "faces"), out)
    networks = TrackerNetworks(len(regions["eye_points"]), len(regions["mouth_points"]))
    for name in ("detector", "mesh", "eye", "mouth"):
        load_averaged(out / f"{name}.safetensors", {"network": getattr(networks, name)})
    for name, value in regions.items():
        networks.get_buffer(name).copy_(value)
    path = out / "face_tracker.safetensors"
    write(
        path,
        fused(networks).state_dict(),
        precision=lambda value: torch.float16 if value.is_floating_point() else torch.int16,
    )
    return path
