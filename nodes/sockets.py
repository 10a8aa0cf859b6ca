"""The socket types of this extension."""

from __future__ import annotations

from .comfyui.schema import io

CATEGORY = "MIMAFace"
Pack = io.Custom("MIMAFACE_PACK")
Source = io.Custom("MIMAFACE_SOURCE")
Motion = io.Custom("MIMAFACE_MOTION")
Appearance = io.Custom("MIMAFACE_APPEARANCE")
Landmarks = io.Custom("FACE_LANDMARKS")  # of ComfyUI's core, where it is new enough

PACK_TIP = "The model pack, from Load Pack."
SOURCE_TIP = "The person to be animated, from Extract 3DMM."
