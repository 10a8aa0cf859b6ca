"""Other people's `.pth` and `.ckpt` files: tensors only, never code."""

import pickle
import re
import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError

# Keys under which training scripts store the state dict, and what data-parallel training puts before each key.
WRAPPERS = ("state_dict", "model")
PREFIX = "module."
DAMAGED = "{} is cut short, damaged or no file of weights alone; download the published one again, in full."


def read_pickled(path: str | Path) -> dict[str, Tensor]:
    """Read the state dict of a torch pickle, on the CPU.

    Tensors of today's files are mapped, not copied: memory is used as they are read, and the file must stay in
    place meanwhile. The wrappers `state_dict` and `model` are taken off, and the keys' prefix `module.`.

    Args:
        path: a file that `torch.save` wrote.

    Returns:
        Key → tensor, in the file's order. Entries that are no tensors (a step count, say) are left out.

    Raises:
        InputError: the file is missing, truncated, no checkpoint, or needs code to be run.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file {path}; put the published one there.")
    mapped = zipfile.is_zipfile(path) or None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about odd files, which are refused below anyway
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        if not wanted:
            raise InputError(DAMAGED.format(path)) from error
        raise InputError(
            f"{path} asks for code to be run ({wanted[1]}), which is refused; use a file of weights alone."
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(DAMAGED.format(path)) from error
    tensors = {key: value for key, value in _unwrapped(content).items() if isinstance(value, Tensor)}
    if not tensors or not all(isinstance(key, str) for key in tensors):
        raise InputError(f"{path} holds no state dict; use the published checkpoint.")
    return {key.removeprefix(PREFIX): value for key, value in tensors.items()}


def _unwrapped(content: object) -> dict:
    """The innermost dictionary below the usual wrappers; empty when there is none."""
    while isinstance(content, dict):
        inside = next((content[name] for name in WRAPPERS if isinstance(content.get(name), dict)), None)
        if inside is None:
            return content
        content = inside
    return {}
