"""The options by which commands choose who does the work, and their reading."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..mimaface_core.errors import InputError

if TYPE_CHECKING:
    from ..scale.members import CrewOptions


def add_crew(parser: argparse.ArgumentParser, noun: str) -> None:
    """Add the options to a parser.

    Args:
        parser: of the command.
        noun: what a worker does one after another.
    """
    parser.add_argument("--workers", type=int, metavar="N", help="worker processes (1; on Ray, as many as fit)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads of each (cores / workers)")
    parser.add_argument(
        "--retries", type=int, default=1, metavar="N", help=f"how often a failed {noun} is tried again (1)"
    )
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help=f"end a worker whose {noun} takes longer")
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="run on a Ray cluster: auto for the one of this machine, or its address"
    )


def crew_options(options: argparse.Namespace) -> CrewOptions:
    """The workers that the options ask for.

    Raises:
        InputError: a number is out of range.
    """
    from ..scale.members import CrewOptions

    for name, least in (("workers", 1), ("threads", 0), ("retries", 0), ("timeout", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise InputError(f"--{name} {value} is out of range; use at least {least}.")
    return CrewOptions(options.workers or 0, options.threads, options.timeout, options.ray, options.retries)


def has_crew(options: argparse.Namespace) -> bool:
    """Whether workers were asked for, instead of this process alone."""
    return options.workers is not None or options.ray is not None
