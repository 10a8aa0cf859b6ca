"""Items made ahead in a thread: the same items, not too many, and nothing left running."""

import threading
import time
from contextlib import closing

import pytest
import torch

from mimaface.mimaface_core.ahead import ahead


def running():
    return [thread for thread in threading.enumerate() if thread.name == "mimaface-ahead"]


def test_all_items_come_in_order_and_no_more_than_asked_are_made_ahead():
    made = []

    def items():
        for number in range(50):
            made.append(number)
            yield number

    for taken, number in enumerate(ahead(items(), 3)):
        assert number == taken
        assert len(made) <= taken + 1 + 3 + 1  # taken, waiting, and one in the making
    assert len(made) == 50 and not running()


def test_a_fault_is_raised_where_the_item_is_asked_for():
    def items():
        yield 1
        raise ValueError("no more")

    coming = ahead(items(), 2)
    assert next(coming) == 1
    with pytest.raises(ValueError, match="no more"):
        next(coming)
    assert not running()


def test_closing_ends_the_thread_that_waits():
    with closing(ahead(iter(range(1000)), 2)) as coming:
        assert next(coming) == 0
        time.sleep(0.05)
    assert not running()
    assert list(ahead([], 2)) == []


def test_a_thread_is_in_inference_mode_where_its_reader_is():
    def items():
        yield torch.is_inference_mode_enabled()

    with torch.inference_mode():
        assert list(ahead(items(), 1)) == [True]
    assert list(ahead(items(), 1)) == [False]
