"""Items made ahead: one thread draws the next frames while another works on the last ones."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextvars import copy_context
from queue import Full, Queue
from threading import Event, Thread
from typing import TypeVar

import torch

T = TypeVar("T")

_PATIENCE = 0.1  # seconds after which a waiting thread looks whether its work is still wanted


def ahead(items: Iterable[T], most: int) -> Generator[T, None, None]:
    """The items, made in a thread of their own: up to `most` wait to be asked for, and no more are kept.

    What making one raises is raised where it is asked for. When the iterator is closed, the thread ends with the item
    that it is making; it begins with the first that is asked for.
    """
    waiting: Queue[tuple[T | None, BaseException | None, bool]] = Queue(most)
    unwanted = Event()

    def hand_on(item: T | None, error: BaseException | None = None, last: bool = False) -> None:
        while not unwanted.is_set():
            try:
                return waiting.put((item, error, last), timeout=_PATIENCE)
            except Full:
                pass

    inference = torch.is_inference_mode_enabled()  # a thread has its own, and ComfyUI's nodes run in it

    def make() -> None:
        try:
            with torch.inference_mode(inference):
                make_all()
        except BaseException as error:  # noqa: BLE001 - raised where the item is asked for
            hand_on(None, error)

    def make_all() -> None:
        for item in items:
            hand_on(item)
            if unwanted.is_set():
                return
        hand_on(None, last=True)

    thread = Thread(target=copy_context().run, args=(make,), name="mimaface-ahead", daemon=True)
    thread.start()
    try:
        while True:
            item, error, last = waiting.get()
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]  # None only with an error, or as the last
    finally:
        unwanted.set()
        thread.join()
