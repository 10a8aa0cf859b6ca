"""Checkpoints of a training stage: written whole or not at all, read, checked against the configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor, nn

from ...errors import InputError
from ...files import replacing

MOST_CHANGES = 6  # changed settings that a refusal names


@contextmanager
def written(path: Path, last_save: str = "") -> Iterator[Path]:
    """A temporary path beside `path`; what is written there replaces `path`, as `files.replacing`.

    Args:
        path: the file to be written.
        last_save: clause of the message about an older state that is kept, ending in "; ".

    Raises:
        InputError: it cannot be written (a full disk); the file before stays.
    """
    from safetensors import SafetensorError

    try:
        with replacing(path) as part:
            yield part
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path} cannot be written ({error}); {last_save}make room and run the same command again."
        ) from error


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str], last_save: str) -> None:
    """Write a checkpoint.

    Args:
        path: a safetensors file.
        tensors: name → value, on any device.
        metadata: text beside the tensors.
        last_save: as `written` takes it.

    Raises:
        InputError: it cannot be written; the one before stays.
    """
    from safetensors.torch import save_file

    with written(path, last_save) as part:
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, part, metadata)


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a checkpoint.

    Raises:
        InputError: it is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError(f"The checkpoint {path} cannot be read ({error}); run the stage before again.") from error


def load_averaged(path: Path, modules: Mapping[str, nn.Module]) -> None:
    """Fill modules with the averaged weights of a checkpoint, and with plain weights where none are averaged.

    Args:
        path: the checkpoint.
        modules: name in the checkpoint → module.

    Raises:
        InputError: the checkpoint is missing, damaged or of another configuration.
    """
    tensors, _ = read_checkpoint(path)
    for name, module in modules.items():
        state = {}
        for key in module.state_dict():
            full = f"{name}.{key}"
            value = tensors.get(f"average/{full}", tensors.get(f"weights/{full}"))
            if value is None:
                raise InputError(f"{path} lacks {full}; it belongs to another configuration.")
            state[key] = value
        module.load_state_dict(state)


def check_same(
    path: Path,
    before: str | None,
    now: Mapping[str, object],
    free: set[str],
    defaults: Mapping[str, object] | None = None,
) -> None:
    """Refuse to resume a checkpoint under other settings.

    Args:
        path: the checkpoint, for the message.
        before: its settings as JSON text.
        now: the present settings, as `record.recorded` makes them.
        free: dotted names of settings that may differ.
        defaults: dotted name → value of settings that either side may leave out.

    Raises:
        InputError: a setting differs; the sentence names it.
    """
    old, new, default = (
        dict(_flat(settings)) for settings in (json.loads(before or "{}"), _as_json(now), _as_json(defaults or {}))
    )
    old, new = {**default, **old}, {**default, **new}
    names = [name for name in sorted(old.keys() | new.keys()) if name not in free and old.get(name) != new.get(name)]
    if names:
        changes = ", ".join(f"{name} was {old.get(name)} and is {new.get(name)}" for name in names[:MOST_CHANGES])
        more = f", and {len(names) - MOST_CHANGES} more" if len(names) > MOST_CHANGES else ""
        raise InputError(
            f"{path} was trained with another configuration: {changes}{more}; resume with the old settings, or choose "
            "another folder."
        )


def _as_json(settings: Mapping[str, object]) -> dict:
    """Settings as they come back from JSON text: tuples as lists."""
    return json.loads(json.dumps(settings))


def _flat(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """The values of nested settings with their dotted names."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from _flat(inside, f"{name}.{key}" if name else key)
    else:
        yield name, value
