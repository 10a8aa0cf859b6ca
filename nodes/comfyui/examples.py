"""A portrait, a clip, a laugh and a voice to try the workflows with, laid into ComfyUI's input folder."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

ASSETS = Path(__file__).resolve().parents[2] / "assets"
EXAMPLES = {  # name in the input folder, which the workflows ask for: file
    "mimaface_portrait.jpg": "portrait.jpg",  # Eileen Collins, by NASA, public domain
    "mimaface_driver.mp4": "demo_driver.mp4",
    "mimaface_laugh.jpg": "laugh.jpg",
    "mimaface_voice.ogg": "demo_voice.ogg",
}


def offer_examples(folder: Path) -> None:
    """Copy the examples that are not there; a file of the same name stays as it is."""
    for name, asset in EXAMPLES.items():
        target = folder / name
        if target.exists():
            continue
        part = target.with_name(f".{name}.{os.getpid()}")
        try:
            shutil.copyfile(ASSETS / asset, part)
            os.replace(part, target)
        except OSError as error:
            part.unlink(missing_ok=True)
            logging.getLogger(__name__).info("No examples in %s: %s", folder, error)
            return
