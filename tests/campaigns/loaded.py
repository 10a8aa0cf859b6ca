"""Imported before processes are forked, so that each of them begins its work at once."""

import support.toys  # noqa: F401
from support import checkout  # noqa: F401 - first, so that this checkout is the package

import mimaface.mimaface_core.drawing
import mimaface.mimaface_core.training.engine.trainer
import mimaface.nodes.combine_video
import mimaface.nodes.paste_back
import mimaface.nodes.sample_clips  # noqa: F401
