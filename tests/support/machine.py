"""How fast this machine is, by which tests that bound a time wait longer on a slow one."""

import time

USUAL_SECONDS = 0.1  # of the loop on two cores of 2024


def slower(clock=time.perf_counter):
    """How many times slower than usual a fixed amount of Python is, the best of three; at least 1."""
    seconds = []
    for _ in range(3):
        started = clock()
        sum(range(4_000_000))
        seconds.append(clock() - started)
    return max(1.0, min(seconds) / USUAL_SECONDS)
