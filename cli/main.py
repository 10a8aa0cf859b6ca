"""The `mimaface` command: options are read here, each subcommand adds its own and does its work."""

from __future__ import annotations

import argparse
import os
import sys

# Before PyTorch starts its threads: those that wait sleep, so that beside other work each gets its share.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from ..mimaface_core.allocator import hold_freed
from . import batch, compare, demo, detect, evaluate, live, pack, run, serve, sign, train
from .exit_status import exit_status


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: of the command line; those of the process when None.

    Returns:
        The exit status, as `exit_status`.
    """
    parser = argparse.ArgumentParser(prog="mimaface", description="Animate the face of a photograph.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run.add(commands)
    batch.add(commands)
    serve.add(commands)
    live.add(commands)
    evaluate.add(commands)
    compare.add(commands)
    detect.add(commands)
    sign.add(commands)
    train.add(commands)
    pack.add(commands)
    demo.add(commands)
    options = parser.parse_args(arguments)
    hold_freed()
    return exit_status(options.work, options)


if __name__ == "__main__":
    sys.exit(main())
