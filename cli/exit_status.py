"""Exit status of a subcommand: 0; 2 for a refused input, each problem a line on standard error; 130 when cancelled."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable

from ..mimaface_core.errors import Cancelled, InputError
from ..mimaface_core.files import shown


def exit_status(work: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Do the work of a subcommand, and print the reason where it is refused or cancelled.

    Args:
        work: returns its own exit status.
        options: of the command line.
    """
    try:
        return work(options)
    except InputError as refused:
        print(f"\n{refused}" if sys.stderr.isatty() else refused, file=sys.stderr)
        return 2
    except OSError as problem:
        if problem.errno != errno.ENAMETOOLONG:
            raise
        # any path among the options may be one
        print(f"'{shown(problem.filename)}' is too long for the name of a file; check the path.", file=sys.stderr)
        return 2
    except (Cancelled, KeyboardInterrupt):
        print("Cancelled. Files that were finished are kept.", file=sys.stderr)
        return 130
