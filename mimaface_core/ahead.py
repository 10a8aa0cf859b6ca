"""Items made ahead, and beside each other: threads draw the next frames while others work on the last ones.

Small pictures are shared out among frames rather than within one: two threads that each do a frame take half of the
time of one, while two that share every operation of PyTorch take three quarters.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing
from contextvars import copy_context
from queue import Full, Queue
from threading import Event, Lock, Thread
from typing import TypeVar

import torch

T = TypeVar("T")
Made = TypeVar("Made")

_setting = Lock()
_PATIENCE = 0.1  # seconds after which a waiting thread looks whether its work is still wanted


def compute_with(threads: int) -> None:
    """Have PyTorch use so many threads in this one.

    Their number belongs to the thread that sets it; for threads that start later the usual one is put back.
    """
    with _setting:  # or a thread that starts meanwhile takes what another has set for the usual number
        usual = torch.get_num_threads()
        torch.set_num_threads(threads)
        putting_back = Thread(target=torch.set_num_threads, args=(usual,))
        putting_back.start()
        putting_back.join()


def ahead(items: Iterable[T], most: int, threads: int | None = None) -> Generator[T, None, None]:
    """The items, made in a thread of their own: up to `most` wait to be asked for, and no more are kept.

    What making one raises is raised where it is asked for. When the iterator is closed, the thread ends with the item
    that it is making; it begins with the first that is asked for.

    Args:
        items: what is made.
        most: number of items.
        threads: of PyTorch while they are made; as many as usual when None.
    """
    waiting: Queue[tuple[T | None, BaseException | None, bool]] = Queue(most)
    unwanted = Event()

    def hand_on(item: T | None, error: BaseException | None = None, last: bool = False) -> None:
        while not unwanted.is_set():
            try:
                return waiting.put((item, error, last), timeout=_PATIENCE)
            except Full:
                pass

    enter = _as_here(threads)

    def make() -> None:
        try:
            with enter():
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


def side_by_side(work: Callable[[T], Made], items: Iterable[T], threads: int) -> Generator[Made, None, None]:
    """What `work` makes of each item, in order; several at once, each in a thread with one of PyTorch's own.

    Up to `threads` results wait to be asked for. What `work` or an item raises is raised where its result is asked for.

    Args:
        work: may be called by several threads at once.
        items: taken by a thread of their own.
        threads: that work; with one, everything happens here, when it is asked for.
    """
    if threads == 1:
        yield from map(work, items)
        return
    enter = _as_here()

    def one(item: T) -> Made:
        with enter():
            return work(item)

    with ThreadPoolExecutor(threads, "mimaface-beside", compute_with, (1,)) as pool:
        begun = (pool.submit(copy_context().run, one, item) for item in items)
        try:
            with closing(ahead(begun, threads)) as results:
                for result in results:
                    yield result.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _as_here(threads: int | None = None) -> Callable[[], AbstractContextManager[object]]:
    """Contexts in which another thread has this one's modes (ComfyUI's nodes run in inference mode) and GPU.

    threads: of PyTorch, as many as usual when None.
    """
    inference, grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    gpu = torch.cuda.current_device() if torch.cuda.is_initialized() else None

    def enter() -> ExitStack:
        if threads is not None:
            compute_with(threads)
        modes = ExitStack()
        modes.enter_context(torch.inference_mode(inference))
        modes.enter_context(torch.set_grad_enabled(grad))
        if gpu is not None:
            modes.enter_context(torch.cuda.device(gpu))
        return modes

    return enter
