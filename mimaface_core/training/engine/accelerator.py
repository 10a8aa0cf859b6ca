"""Devices and processes of a training stage: accelerate's `Accelerator`, the host of each process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ... import host
from ...errors import InputError
from ...terminal import TerminalHost

if TYPE_CHECKING:
    from accelerate import Accelerator

PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}  # name in the configuration → name in accelerate
MISSING = (
    'Training needs accelerate and kornia, which are not installed: pip install "mimaface[train]", or both by name.'
)


def open_accelerator(precision: str, accumulate: int = 1) -> Accelerator:
    """The `Accelerator` of one stage.

    A process started by `accelerate launch` is one of several, each on its own GPU or CPU; any other process is
    alone, on the host's device.

    Args:
        precision: `fp32`, `bf16` or `fp16` (mixed; weights stay in float32).
        accumulate: batches whose gradients make one step.

    Raises:
        InputError: accelerate is not installed, or the device does not have the precision.
    """
    try:
        from accelerate import Accelerator, DistributedDataParallelKwargs
        from accelerate.state import AcceleratorState
    except ImportError as error:
        raise InputError(MISSING) from error
    if precision not in PRECISIONS:
        raise InputError(f"precision is '{precision}' in the configuration; use {', '.join(PRECISIONS)}.")
    on_cpu = host.current().device.type == "cpu"
    if on_cpu and precision == "fp16":
        raise InputError("precision is 'fp16' in the configuration, which needs a GPU; use bf16 or fp32.")
    mixed_precision = PRECISIONS[precision]
    # accelerate 1.15 keeps one state for the process and has no public way to change its precision, which differs
    # between stages that one process trains
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != mixed_precision:
        AcceleratorState._reset_state(reset_partial_state=True)
    # some steps leave some parameters without a gradient, and each process has its own memory bank
    distributed = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
    try:
        return Accelerator(
            mixed_precision=mixed_precision,
            gradient_accumulation_steps=accumulate,
            cpu=on_cpu,
            kwargs_handlers=[distributed],
        )
    except ValueError as error:
        raise InputError(f"This machine cannot train with precision {precision} ({error}); use fp32.") from error


class SilentHost(TerminalHost):
    """The host of all processes but the first: it shows nothing."""

    def say(self, text: str) -> None:
        """Show nothing."""


def terminal_host() -> TerminalHost:
    """The host of this process in a terminal; of those that `accelerate launch` starts, the first shows progress."""
    return TerminalHost() if os.environ.get("RANK", "0") == "0" else SilentHost()
