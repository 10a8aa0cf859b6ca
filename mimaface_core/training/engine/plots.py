"""Pictures of a training: the curve of its losses, and a sheet of what it makes."""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor

from .checkpoint import written

OTHER = ("step", "minutes", "steps_a_second")  # what a line of the log says beside losses and measures


def read_log(path: Path) -> dict[str, list[tuple[int, float]]]:
    """Each quantity of a log with its (step, value) pairs."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        for name, value in entry.items():
            if name not in OTHER and isinstance(value, int | float):
                curves.setdefault(name, []).append((entry["step"], value))
    return curves


def plot_losses(log: Path) -> None:
    """Draw every quantity of a log over the steps, into `<name>-loss.png` beside it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = read_log(log) if log.is_file() else {}
    if not curves:
        return
    height = 1.9 * len(curves)
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


def save_sheet(path: Path, rows: list[list[Tensor]], side: int = 192) -> None:
    """Write rows of pictures [3, S, S] in ±1 as one JPEG, each picture `side` pixels wide."""
    import torch
    from PIL import Image

    lines = [torch.cat([_small(picture, side) for picture in row], 2) for row in rows]
    sheet = ((torch.cat(lines, 1) + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    with written(path) as part:
        Image.fromarray(sheet).save(part, format="JPEG", quality=90)


def _small(picture: Tensor, side: int) -> Tensor:
    from torch.nn.functional import interpolate

    return interpolate(picture[None].float().cpu(), (side, side), mode="bilinear", antialias=True)[0]
