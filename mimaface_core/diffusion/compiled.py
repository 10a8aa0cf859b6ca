"""A U-Net compiled for a GPU (torch.compile): a minute or two once for each shape, then faster steps.

Where compiling fails, a warning says so and the network runs as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .. import host

_log = logging.getLogger(__name__)

_compiled: dict[type[nn.Module], Callable[..., Any]] = {}
_refused: set[type[nn.Module]] = set()  # classes of networks that could not be compiled


def run_compiled(network: nn.Module, *arguments: Any, **named: Any) -> Any:
    """What the network gives; it is compiled where the host compiles (`Host.compiles`).

    Raises:
        torch.OutOfMemoryError: as the network's own call.
    """
    kind = type(network)
    if kind not in _refused and not torch.is_grad_enabled() and host.current().compiles:
        try:
            if kind not in _compiled:
                _compiled[kind] = torch.compile(kind.forward, dynamic=False)
            return _compiled[kind](network, *arguments, **named)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a compiler finds to say
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            _log.warning("Compiling failed (%s): the U-Net runs as it is; unset MIMAFACE_COMPILE.", reason)
            _refused.add(kind)
    return network(*arguments, **named)
