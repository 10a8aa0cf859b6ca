"""The command's address until version 0.1, which scripts of an older installation import."""

from ..cli.main import main

__all__ = ["main"]
