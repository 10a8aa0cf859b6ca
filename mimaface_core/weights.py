"""Weights in files: safetensors and other people's pickles read safely, held against a network, written in a stream."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from . import host
from .errors import InputError

SAFE = (".safetensors", ".sft")
# Keys under which training scripts store the state dict, and what data-parallel training puts before each key.
WRAPPERS = ("state_dict", "model")
PREFIX = "module."
# Batch norms count their batches since PyTorch 0.4.1; older files lack the count, which only training reads.
COUNT = "num_batches_tracked"
POINTER = b"version https://git-lfs"  # how a stand-in for a large file begins that Git LFS has not fetched
PART = ".part"  # a file that is not finished
MEGABYTE = 1_000_000
# What readers of pickles raise over bytes that are not as they should be.
DAMAGE = (OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError)
DAMAGE += (struct.error,)
# safetensors' names of number types.
TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


# -- reading


def read(path: str | Path, remedy: str) -> dict[str, Tensor]:
    """Read a file of weights on the CPU: safetensors by its name's end, a torch pickle otherwise.

    Tensors are mapped where the format allows it (all but pickles older than PyTorch 1.6): memory is used as they
    are read, and the file must stay in place meanwhile.

    Args:
        path: the file.
        remedy: what to do about a file that cannot be used, for the end of the sentence.

    Returns:
        Key → tensor, in the file's order.

    Raises:
        InputError: the file is missing, cut short, damaged, without weights, or needs code to be run.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file {path}; {remedy}.")
    if path.suffix in SAFE:
        return _read_safetensors(path, remedy)
    return read_pickled(path, remedy)


def read_pickled(path: str | Path, remedy: str = "download the published one again, in full") -> dict[str, Tensor]:
    """Read the state dict of a torch pickle: tensors only, never code.

    The wrappers `state_dict` and `model` are taken off, and the keys' prefix `module.`. Entries that are no
    tensors (a step count, say) are left out. Otherwise as `read`.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file {path}; {remedy}.")
    try:
        mapped = zipfile.is_zipfile(path) or None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about odd files, which are refused below anyway
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL ([\w.]+)", str(error))
        if not wanted:
            raise _damaged(path, remedy) from error
        raise InputError(
            f"{path} cannot be read: it asks for code to be run ({wanted[1]}), which is refused, where weights "
            f"alone should be; {remedy}."
        ) from error
    except DAMAGE as error:
        raise _damaged(path, remedy) from error
    tensors = {key: value for key, value in _unwrapped(content).items() if isinstance(value, Tensor)}
    if not tensors or not all(isinstance(key, str) for key in tensors):
        raise InputError(f"{path} holds no state dict; {remedy}.")
    return {key.removeprefix(PREFIX): value for key, value in tensors.items()}


def _read_safetensors(path: Path, remedy: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, remedy) from error


def _damaged(path: Path, remedy: str) -> InputError:
    """What to say of a file that no reader understands."""
    try:
        with path.open("rb") as file:
            stand_in = file.read(len(POINTER)) == POINTER
    except OSError as error:
        return InputError(f"{path} cannot be read ({error.strerror}); {remedy}.")
    if stand_in:
        return InputError(f"{path} cannot be read: it is Git LFS's stand-in for the file; run git lfs pull.")
    return InputError(f"{path} cannot be read: it is cut short, damaged or no file of weights alone; {remedy}.")


def _unwrapped(content: object) -> dict:
    """The innermost dictionary below the usual wrappers; empty when there is none."""
    while isinstance(content, dict):
        inside = next((content[name] for name in WRAPPERS if isinstance(content.get(name), dict)), None)
        if inside is None:
            return content
        content = inside
    return {}


# -- comparing and filling


@dataclass(frozen=True)
class Misfit:
    """How a file's tensors differ from those that are wanted: keys, and for another shape both shapes."""

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshaped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()  # key, shape, wanted shape

    def sentences(self) -> list[str]:
        """One clause for each key."""
        found = [f"'{key}' is missing" for key in self.missing]
        found += [f"'{key}' is unknown" for key in self.unexpected]
        found += [f"'{k}' has shape {list(is_)} instead of {list(wanted)}" for k, is_, wanted in self.misshaped]
        return found

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.misshaped)


def compare(wanted: Mapping[str, Sequence[int]], values: Mapping[str, Tensor], allowed: Iterable[str] = ()) -> Misfit:
    """Hold tensors against the keys and shapes that are wanted.

    Args:
        wanted: key → shape. Counts of batches may be missing.
        values: key → tensor.
        allowed: further keys that do no harm.
    """
    known = {*wanted, *allowed}
    shapes = {key: tuple(wanted[key]) for key in wanted if key in values}
    return Misfit(
        tuple(key for key in wanted if key not in values and not key.endswith(COUNT)),
        tuple(key for key in values if key not in known),
        tuple(
            (key, tuple(values[key].shape), shape) for key, shape in shapes.items() if tuple(values[key].shape) != shape
        ),
    )


def fill(
    module: nn.Module, values: Mapping[str, Tensor], path: Path, remedy: str, dtype: torch.dtype | None = None
) -> None:
    """Give a module the values of a file, strictly.

    Args:
        module: takes the values in place, in its own precision. One that was built without memory (on the device
            `meta`), or with `dtype`, takes the file's tensors themselves: what is right already is not copied.
        values: exactly the module's keys and shapes; counts of batches may be missing.
        path: where they come from, for the message.
        remedy: what to do about a file that does not fit, for the end of the sentence.
        dtype: precision that floating-point values get; the module's own when None.

    Raises:
        InputError: a key is missing, unknown or of another shape.
    """
    wanted = module.state_dict()
    misfit = compare({key: value.shape for key, value in wanted.items()}, values)
    if misfit:
        first, *others = misfit.sentences()
        more = f" and {len(others)} more" if others else ""
        raise InputError(f"{path} does not fit: {first}{more}; {remedy}.")
    if dtype is None and not any(value.is_meta for value in wanted.values()):
        module.load_state_dict({**wanted, **values})
        return
    own: dict[str, Tensor] = {key: torch.zeros((), dtype=torch.long) for key in wanted if key not in values}
    for key, value in values.items():
        floating = dtype is not None and value.is_floating_point()
        own[key] = value.to(dtype if floating else wanted[key].dtype)
    module.load_state_dict(own, strict=True, assign=True)


# -- writing


def write(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    precision: Callable[[Tensor], torch.dtype] = lambda value: value.dtype,
) -> dict:
    """Write a safetensors file, tensor after tensor: no more memory than the largest one needs.

    The file appears under its name only when complete. Cancelling is honoured between tensors.

    Args:
        path: the file, in an existing folder.
        tensors: key → tensor, on any device.
        metadata: texts for the file's head.
        precision: the number type that a tensor is stored in.

    Returns:
        `sha256` and `bytes` of the file.

    Raises:
        OSError: it cannot be written.
        Cancelled: the user has asked to stop.
    """
    # As the library orders them: wide numbers first, so that each lies on a multiple of its own width.
    types = {key: precision(value) for key, value in tensors.items()}
    order = sorted(tensors, key=lambda key: (-types[key].itemsize, key))
    head: dict = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for key in order:
        begin, end = end, end + tensors[key].numel() * types[key].itemsize
        shape = list(tensors[key].shape)
        head[key] = {"dtype": TYPES[types[key]], "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)

    part, digest = path.with_name(path.name + PART), hashlib.sha256()
    try:
        with (
            host.current().progress(end // MEGABYTE, f"{path.name}, MB") as progress,
            part.open("wb") as file,
        ):
            done = 0
            for piece in (len(text).to_bytes(8, "little"), text):
                file.write(piece)
                digest.update(piece)
            for key in order:
                # A copy lies without gaps, wherever and however the original does.
                value = torch.empty(tensors[key].shape, dtype=types[key]).copy_(tensors[key].detach()).reshape(-1)
                piece = memoryview(value.view(torch.uint8).numpy())
                file.write(piece)
                digest.update(piece)
                done += len(piece)
                progress.update(done // MEGABYTE - progress.done)
            size = file.tell()
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return {"sha256": digest.hexdigest(), "bytes": size}


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; cancelling is honoured on the way."""
    digest = hashlib.sha256()
    size = path.stat().st_size
    with (
        host.current().progress(size // MEGABYTE, f"reading {path.name}, MB") as progress,
        path.open("rb") as file,
    ):
        while block := file.read(8 * MEGABYTE):
            digest.update(block)
            progress.update(len(block) // MEGABYTE)
    return digest.hexdigest()
