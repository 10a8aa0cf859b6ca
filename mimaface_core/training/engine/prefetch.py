"""Batches made ahead: a thread makes the next one while the last is trained on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Batch = TypeVar("Batch")


class Prefetcher(Generic[Batch]):
    """Batches by step.

    Args:
        make: makes the batch of a step, in another thread.
    """

    def __init__(self, make: Callable[[int], Batch]) -> None:
        self._make = make
        self._pool = ThreadPoolExecutor(1)
        self._pending: dict[int, Future[Batch]] = {}

    def __call__(self, step: int) -> Batch:
        """The batch of a step."""
        future = self._pending.pop(step, None) or self._pool.submit(self._make, step)
        self._pending = {step + 1: self._pool.submit(self._make, step + 1)}
        return future.result()
