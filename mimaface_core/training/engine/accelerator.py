"""What a stage is trained on: one CPU, one GPU or several, and in which precision, through accelerate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import host
from ...errors import InputError

if TYPE_CHECKING:
    from accelerate import Accelerator

PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
MISSING = (
    'Training needs accelerate and kornia, which are not installed: pip install "mimaface[train]", or both by name.'
)


def open_machine(precision: str, accumulate: int = 1) -> Accelerator:
    """The machine for one stage.

    A process started by `accelerate launch` is one of several, each with a GPU or CPU of its own; any other process
    is alone, on the host's device.

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
    wanted = PRECISIONS[precision]
    # accelerate keeps one state for the process; a stage of another precision needs a new one
    if AcceleratorState._shared_state and AcceleratorState().mixed_precision != wanted:
        AcceleratorState._reset_state(reset_partial_state=True)
    # part of the parameters are used in some steps only, and each process has a memory bank of its own
    spread = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
    try:
        return Accelerator(
            mixed_precision=wanted,
            gradient_accumulation_steps=accumulate,
            cpu=on_cpu,
            kwargs_handlers=[spread],
        )
    except ValueError as error:
        raise InputError(f"This machine cannot train with precision {precision} ({error}); use fp32.") from error
