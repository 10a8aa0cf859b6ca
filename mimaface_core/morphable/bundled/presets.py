"""Ready edits: expressions by name, as values of the editor."""

from __future__ import annotations

from typing import Any

from ...motion.json_value import VERSION


def _preset(neutral_first: bool = False, **controls: float) -> dict[str, Any]:
    return {"version": VERSION, "controls": controls, "neutral_first": neutral_first}


def _both(**controls: float) -> dict[str, float]:
    return {f"{name}_{side}": position for name, position in controls.items() for side in ("right", "left")}


PRESETS: dict[str, tuple[str, dict[str, Any]]] = {  # name → label and edit
    "photograph": ("The photograph", _preset()),
    "neutral": ("Neutral", _preset(neutral_first=True)),
    "smile": ("Smile", _preset(True, smile=0.9)),
    "laugh": ("Laugh", _preset(True, smile=1.2, mouth_open=0.45, squint=0.3, brows=0.2)),
    "surprise": ("Surprise", _preset(True, mouth_open=0.8, brows=1.2, **_both(lid_wide=0.8))),
    "sad": (
        "Sad",
        _preset(True, gaze_y=-0.4, pitch=-6, **_both(brow_inner_up=0.9, mouth_frown=0.8), lower_lip_shrug=0.3),
    ),
    "angry": ("Angry", _preset(True, frown=1.2, squint=0.4, **_both(nose_sneer=0.5, mouth_press=0.6))),
    "disgust": ("Disgust", _preset(True, frown=0.5, squint=0.5, **_both(nose_sneer=1.1, upper_lip_up=0.7))),
    "doubt": (
        "Doubt",
        _preset(True, mouth_side=0.5, brow_outer_up_left=1.2, brow_down_right=0.7, **_both(lid_squint=0.4)),
    ),
    "kiss": ("Kiss", _preset(True, pucker=1.1, **_both(blink=0.6))),
    "wink": ("Wink", _preset(wink=1.0, smile=0.3)),
    "asleep": ("Asleep", _preset(True, pitch=-8, roll=6, **_both(blink=1.0))),
}


def presets_for_page() -> dict[str, list[dict[str, Any]]]:
    """All presets as JSON."""
    return {"presets": [{"name": name, "label": label, "value": value} for name, (label, value) in PRESETS.items()]}
