"""What all tests share: the package `mimaface` and the fixtures that several files use."""

import os
import tempfile

from support import checkout  # noqa: F401 - first, since the fixtures import the package
from support.comfyui_server import base, server  # noqa: F401
from support.people import tiny_people  # noqa: F401
from support.scenes import evaluate, run, tiny_models  # noqa: F401

# Not the settings of whoever runs the tests.
os.environ["XDG_CONFIG_HOME"] = os.environ["APPDATA"] = tempfile.mkdtemp(prefix="mimaface-tests-")
