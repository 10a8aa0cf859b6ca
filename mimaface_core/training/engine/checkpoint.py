"""A stage's checkpoint on disk: written whole or not at all, read, and held against the configuration that goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor, nn

from ...errors import InputError


@contextmanager
def written(path: Path, kept: str = "") -> Iterator[Path]:
    """A name beside `path` to write to; the file takes its place when complete.

    Raises InputError when it cannot be written (a full disk); the file before stays. kept: says so in the message.
    """
    from safetensors import SafetensorError

    part = path.with_name(path.name + ".part")
    try:
        yield part
        os.replace(part, path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path} cannot be written ({error}); {kept}make room and run the same command again."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str], kept: str) -> None:
    """Write a checkpoint. Raises InputError when it cannot be written; the one before stays."""
    from safetensors.torch import save_file

    with written(path, kept) as part:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, part, metadata)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a checkpoint. Raises InputError when it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError(f"The checkpoint {path} cannot be read ({error}); run the stage before again.") from error


def load_averaged(path: Path, modules: dict[str, nn.Module]) -> None:
    """Fill modules with the averaged weights of a checkpoint (plain weights where none are averaged)."""
    tensors, _ = read_checkpoint(path)
    for name, module in modules.items():
        state = {}
        for key in module.state_dict():
            full = f"{name}.{key}"
            state[key] = tensors.get(f"average/{full}", tensors.get(f"weights/{full}"))
            if state[key] is None:
                raise InputError(f"{path} lacks {full}; it belongs to another configuration.")
        module.load_state_dict(state)


def check_same(path: Path, before: str | None, now: dict, free: set[str]) -> None:
    """Refuse, naming what differs, to go on from a checkpoint under other settings.

    before: the settings as JSON text, from the checkpoint. now: the present ones. free: names that may differ.
    """
    old, new = (dict(_flat(settings)) for settings in (json.loads(before or "{}"), json.loads(json.dumps(now))))
    names = [name for name in sorted(old.keys() | new.keys()) if name not in free and old.get(name) != new.get(name)]
    if names:
        changes = ", ".join(f"{name} was {old.get(name)} and is {new.get(name)}" for name in names[:6])
        more = f", and {len(names) - 6} more" if len(names) > 6 else ""
        raise InputError(
            f"{path} was trained with another configuration: {changes}{more}; go on with the old settings, or choose "
            "another folder."
        )


def _flat(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """The values of nested settings with their dotted names."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from _flat(inside, f"{name}.{key}" if name else key)
    else:
        yield name, value
