"""Plots of a training stage: the curves of its log, and a grid of sample images."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import interpolate

from ...tensors import to_uint8
from .checkpoint import written

COUNTERS = ("step", "minutes", "steps_a_second")  # quantities of a log that are not plotted
# Name of a quantity in logs of version 0.1 → present name.
OLD_NAMES = {"left": "residual_error", "jump": "residual_change_error", "told_apart": "identity_auc"}


def read_log(path: Path) -> dict[str, list[tuple[int, float]]]:
    """Curves of a log: each quantity under its present name, as pairs of step and value.

    Args:
        path: a log of `trainer.Trainer`, a JSON object a line.
    """
    curves: dict[str, list[tuple[int, float]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        for name, value in entry.items():
            if name not in COUNTERS and isinstance(value, int | float):
                curves.setdefault(OLD_NAMES.get(name, name), []).append((entry["step"], value))
    return curves


def plot_losses(log: Path) -> None:
    """Plot every quantity of a log over the steps, into `<name>-loss.png` beside it.

    Raises:
        InputError: the image cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = read_log(log) if log.is_file() else {}
    if not curves:
        return
    height = 1.9 * len(curves)  # inches
    figure = Figure(figsize=(7, height))
    figure.subplots_adjust(0.09, 0.5 / height, 0.97, 1 - 0.35 / height, hspace=0.35)
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (name, points) in zip(panels, curves.items(), strict=True):
        steps, values = zip(*points, strict=True)
        panel.plot(steps, values, color="#00798c", linewidth=1.2, marker="." if len(points) < 40 else "")
        panel.set_title(name, loc="left", fontsize=9)
        panel.grid(color="#dcdce4", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    panels[-1].set_xlabel("step", fontsize=9)
    with written(log.with_name(f"{log.stem}-loss.png")) as part:
        figure.savefig(part, format="png", dpi=100)


def save_sample_grid(path: Path, rows: list[list[Tensor]], side: int = 192) -> None:
    """Write a grid of images as one JPEG.

    Args:
        path: the file; its folder is made when absent.
        rows: images [3, S, S] in ±1, as many in each row.
        side: pixels of each image in the grid.

    Raises:
        InputError: the image cannot be written.
    """
    from PIL import Image

    small = [[_resized(image, side) for image in row] for row in rows]
    grid = rearrange([torch.stack(row) for row in small], "rows columns c h w -> (rows h) (columns w) c")
    path.parent.mkdir(parents=True, exist_ok=True)
    with written(path) as part:
        Image.fromarray(to_uint8((grid + 1) / 2).numpy()).save(part, format="JPEG", quality=90)


def _resized(image: Tensor, side: int) -> Tensor:
    return interpolate(image[None].float().cpu(), (side, side), mode="bilinear", antialias=True)[0]
