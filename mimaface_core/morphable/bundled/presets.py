"""Ready edits: expressions by name, as values of the editor."""

from __future__ import annotations

from typing import Any

from ...motion.json_value import VERSION


def _preset(neutral_first: bool = False, **controls: float) -> dict[str, Any]:
    return {"version": VERSION, "controls": controls, "neutral_first": neutral_first}


def _both(**controls: float) -> dict[str, float]:
    return {f"{name}_{side}": position for name, position in controls.items() for side in ("right", "left")}


PRESETS: dict[str, dict[str, Any]] = {
    "photograph": _preset(),
    "neutral": _preset(neutral_first=True),
    "smile": _preset(True, smile=0.9),
    "laugh": _preset(True, smile=1.2, mouth_open=0.45, squint=0.3, brows=0.2),
    "surprise": _preset(True, mouth_open=0.8, brows=1.2, **_both(lid_wide=0.8)),
    "sad": _preset(True, gaze_y=-0.4, pitch=-6, **_both(brow_inner_up=0.9, mouth_frown=0.8), lower_lip_shrug=0.3),
    "angry": _preset(True, frown=1.2, squint=0.4, **_both(nose_sneer=0.5, mouth_press=0.6)),
    "disgust": _preset(True, frown=0.5, squint=0.5, **_both(nose_sneer=1.1, upper_lip_up=0.7)),
    "doubt": _preset(True, mouth_side=0.5, brow_outer_up_left=1.2, brow_down_right=0.7, **_both(lid_squint=0.4)),
    "kiss": _preset(True, pucker=1.1, **_both(blink=0.6)),
    "wink": _preset(wink=1.0, smile=0.3),
    "asleep": _preset(True, pitch=-8, roll=6, **_both(blink=1.0)),
}
