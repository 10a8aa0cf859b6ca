"""Items made ahead, and beside each other, in threads: the same items, not too many, and nothing left running."""

import threading
import time
from contextlib import closing

import pytest
import torch

from mimaface.mimaface_core.ahead import ahead, compute_with, side_by_side


def running():
    return [thread for thread in threading.enumerate() if thread.name.startswith(("mimaface-ahead", "mimaface-beside"))]


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


def threads_of_a_new_thread():
    """PyTorch's threads in a thread that begins now."""
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_work_side_by_side_comes_in_order_and_not_too_much_is_begun(threads):
    taken = []

    def items():
        for number in range(30):
            taken.append(number)
            yield number

    def work(number):
        time.sleep(0.01 if number % 3 == 0 else 0)  # some take longer
        return 10 * number

    for given, made in enumerate(side_by_side(work, items(), threads)):
        assert made == 10 * given
        assert len(taken) <= given + 1 + threads + 2  # given, waiting, and one that is handed on
    assert len(taken) == 30 and not running()


def test_two_work_at_the_same_time_each_with_one_of_pytorchs_threads():
    both, usual = threading.Barrier(2, timeout=20), torch.get_num_threads()

    def work(number):
        both.wait()  # ends when two are there
        return torch.get_num_threads(), torch.is_inference_mode_enabled()

    with torch.inference_mode():
        assert list(side_by_side(work, range(4), 2)) == [(1, True)] * 4
    assert torch.get_num_threads() == usual == threads_of_a_new_thread()


def test_a_thread_computes_with_as_many_threads_as_it_is_told():
    usual = torch.get_num_threads()
    assert list(ahead((torch.get_num_threads() for _ in range(2)), 1, usual + 1)) == [usual + 1] * 2
    assert torch.get_num_threads() == usual == threads_of_a_new_thread()


def test_many_threads_that_are_told_at_once_leave_the_usual_number():
    usual = torch.get_num_threads()
    for _ in range(20):
        together = threading.Barrier(8)

        def told(together=together):
            together.wait()
            compute_with(1)

        threads = [threading.Thread(target=told) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert torch.get_num_threads() == usual == threads_of_a_new_thread()


@pytest.mark.parametrize("where", ["work", "item"])
def test_a_fault_side_by_side_comes_after_the_results_before_it(where):
    def fail_at_three(number):
        if number == 3:
            raise ValueError("three")
        return number

    of_items = where == "item"
    items = map(fail_at_three, range(9)) if of_items else range(9)
    coming = side_by_side((lambda number: number) if of_items else fail_at_three, items, 2)
    assert [next(coming) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(coming)
    assert not running()


def test_closing_ends_the_threads_that_work():
    with closing(side_by_side(lambda number: number, iter(range(10**9)), 2)) as coming:
        assert next(coming) == 0
    assert not running()
