"""The socket types of this extension."""

from __future__ import annotations

from .comfyui.schema import io

CATEGORY = "MIMAFace"
Pack = io.Custom("MIMAFACE_PACK")
Source = io.Custom("MIMAFACE_SOURCE")
Motion = io.Custom("MIMAFACE_MOTION")
Implicit = io.Custom("MIMAFACE_IMPLICIT")
ImplicitSource = io.Custom("MIMAFACE_IMPLICIT_SOURCE")
AnyMotion = io.Custom(f"{Motion.io_type},{Implicit.io_type}")  # of an output, which is that of the input
Appearance = io.Custom("MIMAFACE_APPEARANCE")
Curve = io.Custom("CURVE")  # of ComfyUI's core, where it is new enough
Landmarks = io.Custom("FACE_LANDMARKS")  # of ComfyUI's core, where it is new enough

PACK_TIP = "The model pack, from Load Pack."
IMPLICIT_PACK_TIP = "A pack for implicit motion, such as `bundled-implicit`, from Load Pack."
SOURCE_TIP = "The person to be animated, from Extract 3DMM."
IMPLICIT_SOURCE_TIP = "The person to be animated, from Encode Implicit."
