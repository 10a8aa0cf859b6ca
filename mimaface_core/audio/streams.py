"""Streams: steps of sound that take blocks of any length one by one, as a recording or a live voice brings them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from torch import Tensor


class Stream(Protocol):
    """Gives, in all, the same however its input is cut into blocks."""

    def add(self, block: Tensor) -> Tensor:
        """What is known after the next block [n, …], along the first axis; empty where that is nothing new."""
        ...

    def finish(self) -> Tensor:
        """What is left when no block follows."""
        ...


def streamed(stream: Stream, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
    """What a stream makes of blocks, as soon as it is known; never empty."""
    for block in blocks:
        made = stream.add(block)
        if len(made):
            yield made
    made = stream.finish()
    if len(made):
        yield made
