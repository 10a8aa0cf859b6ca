"""What all tests share: the package `mimaface` and the fixtures that several files use."""

import checkout  # noqa: F401 - first, since the fixtures import the package
from comfyui_server import base, server  # noqa: F401
from people import tiny_people  # noqa: F401
from scenes import evaluate, run, tiny_models  # noqa: F401
