"""Campaigns: programs that look for faults for hours, of which the tests run a short, seeded part."""

import os

# before PyTorch is loaded: on a machine that does other things too, threads that wait for each other take all of it
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from support import checkout  # noqa: F401 - makes this checkout the package, before anything else imports it
