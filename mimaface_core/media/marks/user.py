"""What is kept per user: the key for signing, and whether the request for consent was shown."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

REQUEST = (
    "Animate only people who have agreed to it, and say that the result is synthetic when you share it; written files"
    " are marked as such. Nothing is sent anywhere. (This is shown once.)"
)
_SHOWN = "request-shown"

_log = logging.getLogger(__name__)
_said = False


def user_folder() -> Path:
    """The folder of this user's settings; it need not exist."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "mimaface"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "mimaface"


def request_consent() -> None:
    """Log, at the first run of a user, what is asked of them."""
    global _said
    if _said:
        return
    _said = True
    try:
        shown = user_folder() / _SHOWN
        if shown.exists():
            return
        _log.warning(REQUEST)
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.touch()
    except (OSError, RuntimeError):  # no home, or one that cannot be written to: it is shown again
        _log.debug("the request cannot be noted as shown")
