"""Widgets that several nodes have."""

from __future__ import annotations

from typing import Any

from .comfyui.schema import io


def strength(name: str, tooltip: str, **options: Any) -> io.Float.Input:
    """A factor from 0 (none) over 1 (as it is) to 2 (double)."""
    return io.Float.Input(name, default=1.0, min=0.0, max=2.0, step=0.05, tooltip=tooltip, **options)


def slider(name: str, default: float, low: float, high: float, step: float, tooltip: str) -> io.Float.Input:
    """A number shown as a slider."""
    return io.Float.Input(
        name, default=default, min=low, max=high, step=step, display_mode=io.NumberDisplay.slider, tooltip=tooltip
    )


def frame_rate(tooltip: str, default: float = 25.0, least: float = 1.0, optional: bool = False) -> io.Float.Input:
    """Frames a second, exact enough for 30000/1001 and its like."""
    return io.Float.Input(
        "fps", default=default, min=least, max=240.0, step=0.001, round=0.000001, optional=optional, tooltip=tooltip
    )


def random_seed(tooltip: str) -> io.Int.Input:
    """Seed of random numbers."""
    return io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFF, control_after_generate=True, tooltip=tooltip)
