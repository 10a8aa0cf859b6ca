"""Load checkpoints (safetensors, weights-only pickle), validate keys and shapes, stream safetensors to disk."""

from __future__ import annotations

import hashlib
import json
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
from .files import replacing

SAFETENSORS_SUFFIXES = (".safetensors", ".sft")
# Keys under which training scripts store the state dict, and the prefix that data-parallel training gives each key.
WRAPPERS = ("state_dict", "model")
PARALLEL_PREFIX = "module."
# Batch norms count their batches since PyTorch 0.4.1; older files lack the count, which only training reads.
BATCH_COUNT = "num_batches_tracked"
LFS_POINTER = b"version https://git-lfs"  # the first bytes of a file that Git LFS has not fetched yet
MEGABYTE = 1_000_000  # bytes
# Errors of the pickle reader over damaged bytes.
READ_ERRORS = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)
# Number types by their names in safetensors.
TYPE_NAMES = {
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
    """Read a file of weights on the CPU: safetensors by its suffix, else a torch pickle (tensors only, never code).

    The wrappers `state_dict` and `model` and the keys' prefix `module.` are removed, and entries of a pickle that are
    no tensors (a step count, for example) left out.
    Tensors are memory-mapped where the format allows it (all but pickles older than PyTorch 1.6): the file must stay
    in place while they are in use.

    Args:
        path: the file.
        remedy: what to do about an unusable file, for the end of the sentence.

    Returns:
        Key → tensor, in the file's order.

    Raises:
        InputError: the file is missing, cut short, damaged, without weights, or needs code to be run.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file {path}; {remedy}.")
    if path.suffix in SAFETENSORS_SUFFIXES:
        return _read_safetensors(path, remedy)
    return _read_pickle(path, remedy)


def _read_pickle(path: Path, remedy: str) -> dict[str, Tensor]:
    """The state dict of a torch pickle, without its wrappers and the keys' prefix; entries that are no tensors go."""
    try:
        mapped = zipfile.is_zipfile(path) or None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about odd files, which are refused below
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        function = re.search(r"GLOBAL ([\w.]+)", str(error))
        if not function:
            raise _damaged(path, remedy) from error
        raise InputError(
            f"{path} cannot be read: it asks for code to be run ({function[1]}), which is refused, where weights "
            f"alone should be; {remedy}."
        ) from error
    except READ_ERRORS as error:
        raise _damaged(path, remedy) from error
    tensors = {key: value for key, value in _unwrapped(content).items() if isinstance(value, Tensor)}
    if not tensors or not all(isinstance(key, str) for key in tensors):
        raise InputError(f"{path} holds no state dict; {remedy}.")
    return {key.removeprefix(PARALLEL_PREFIX): value for key, value in tensors.items()}


def _read_safetensors(path: Path, remedy: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, remedy) from error


def _damaged(path: Path, remedy: str) -> InputError:
    """The refusal of a file that no reader understands."""
    try:
        with path.open("rb") as file:
            is_pointer = file.read(len(LFS_POINTER)) == LFS_POINTER
    except OSError as error:
        return InputError(f"{path} cannot be read ({error.strerror}); {remedy}.")
    if is_pointer:
        return InputError(f"{path} cannot be read: it is Git LFS's stand-in for the file; run git lfs pull.")
    return InputError(f"{path} cannot be read: it is cut short, damaged or no file of weights alone; {remedy}.")


def _unwrapped(content: object) -> dict:
    """The innermost dictionary below the usual wrappers; empty when there is none."""
    while isinstance(content, dict):
        inner = next((content[name] for name in WRAPPERS if isinstance(content.get(name), dict)), None)
        if inner is None:
            return content
        content = inner
    return {}


# -- comparing and filling


@dataclass(frozen=True)
class Misfit:
    """Differences between a file's tensors and the expected ones.

    Attributes:
        missing: keys that the file lacks.
        unexpected: keys that are unknown.
        misshaped: key, shape in the file, expected shape.
    """

    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    misshaped: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...] = ()

    def sentences(self) -> list[str]:
        """One clause for each key."""
        clauses = [f"'{key}' is missing" for key in self.missing]
        clauses += [f"'{key}' is unknown" for key in self.unexpected]
        clauses += [
            f"'{key}' has shape {list(shape)} instead of {list(expected)}" for key, shape, expected in self.misshaped
        ]
        return clauses

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.misshaped)


def compare(expected: Mapping[str, Sequence[int]], values: Mapping[str, Tensor], allowed: Iterable[str] = ()) -> Misfit:
    """Check tensors against the expected keys and shapes.

    Args:
        expected: key → shape. Counts of batches may be missing in `values`.
        values: key → tensor.
        allowed: further keys that `values` may hold.

    Returns:
        The differences; false where there are none.
    """
    known = {*expected, *allowed}
    shapes = {key: (tuple(values[key].shape), tuple(shape)) for key, shape in expected.items() if key in values}
    return Misfit(
        tuple(key for key in expected if key not in values and not key.endswith(BATCH_COUNT)),
        tuple(key for key in values if key not in known),
        tuple((key, shape, right) for key, (shape, right) in shapes.items() if shape != right),
    )


def fill(
    module: nn.Module, values: Mapping[str, Tensor], path: Path, remedy: str, dtype: torch.dtype | None = None
) -> None:
    """Load the values of a file into a module, strictly.

    Args:
        module: takes the values in place, in its own precision. On the device `meta`, or with `dtype`, it takes the
            file's tensors themselves: those of the right precision are not copied.
        values: exactly the module's keys and shapes; counts of batches may be missing.
        path: their file, for the message.
        remedy: what to do about a file that does not fit, for the end of the sentence.
        dtype: precision that floating-point values get; the module's own when None.

    Raises:
        InputError: a key is missing, unknown or of another shape.
    """
    own = module.state_dict()
    misfit = compare({key: value.shape for key, value in own.items()}, values)
    if misfit:
        first, *others = misfit.sentences()
        more = f" and {len(others)} more" if others else ""
        raise InputError(f"{path} does not fit: {first}{more}; {remedy}.")
    if dtype is None and not any(value.is_meta for value in own.values()):
        module.load_state_dict({**own, **values})
        return
    new: dict[str, Tensor] = {key: torch.zeros((), dtype=torch.long) for key in own if key not in values}
    for key, value in values.items():
        floating = dtype is not None and value.is_floating_point()
        new[key] = value.to(dtype if floating else own[key].dtype)
    module.load_state_dict(new, strict=True, assign=True)


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
        metadata: texts for the file's header.
        precision: the number type that a tensor is stored in.

    Returns:
        `sha256` and `bytes` of the file.

    Raises:
        OSError: it cannot be written.
        Cancelled: the user has asked to stop.
    """
    types = {key: precision(value) for key, value in tensors.items()}
    # Wide numbers first, as in the library, so that each is aligned to its own width.
    order = sorted(tensors, key=lambda key: (-types[key].itemsize, key))
    header, total = _header({key: (types[key], tensors[key].shape) for key in order}, metadata)

    digest, done = hashlib.sha256(), 0
    with (
        replacing(path) as part,
        host.current().progress(total // MEGABYTE, f"{path.name}, MB") as progress,
        part.open("wb") as file,
    ):
        file.write(header)
        digest.update(header)
        for key in order:
            # The copy is contiguous, whatever the original is, and on the CPU.
            value = torch.empty(tensors[key].shape, dtype=types[key]).copy_(tensors[key].detach()).reshape(-1)
            data = value.view(torch.uint8).numpy().data
            file.write(data)
            digest.update(data)
            done += data.nbytes
            progress.update(done // MEGABYTE - progress.done)
        size = file.tell()
    return {"sha256": digest.hexdigest(), "bytes": size}


def _header(
    entries: Mapping[str, tuple[torch.dtype, torch.Size]], metadata: Mapping[str, str] | None
) -> tuple[bytes, int]:
    """Length and JSON header of a safetensors file, and the bytes of all its tensors."""
    content: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for key, (dtype, shape) in entries.items():
        begin, end = end, end + shape.numel() * dtype.itemsize
        content[key] = {"dtype": TYPE_NAMES[dtype], "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(content, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, end


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal; cancelling is honoured between blocks."""
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
