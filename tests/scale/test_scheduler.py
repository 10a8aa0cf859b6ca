"""Scheduling with simulated workers: nothing is lost or doubled, nobody is idle, deaths and failures are settled."""

import heapq
import random
import time
from collections import Counter

from support.machine import slower

from mimaface.scale.scheduler import Event, Scheduler, drive

PAIRS, SOURCES, WORKERS, DEATHS = 10_000, 400, 50, 0.05
PAIR_SECONDS, START_SECONDS = (40.0, 80.0), 10.0


class Simulated:
    """Workers in simulated time: each attempt takes a random time; `fate(item)` says how it ends."""

    def __init__(self, fate, seed=0):
        self.fate, self.random = fate, random.Random(seed)
        self.now, self.busy, self.starts = 0.0, 0.0, Counter()
        self.events = []
        self.given = []
        self.last = {}
        self.switches = 0

    def start(self, worker):
        self.starts[worker] += 1
        self._later(START_SECONDS, Event(worker, "ready"))

    def give(self, worker, item):
        self.given.append(item)
        self.switches += self.last.get(worker) != item[0]
        self.last[worker] = item[0]
        seconds = self.random.uniform(*PAIR_SECONDS)
        kind = self.fate(item, self.random)
        if kind == "died":
            seconds *= self.random.random()
        self.busy += seconds
        again = kind == "failed"
        self._later(seconds, Event(worker, "failed" if kind == "refused" else kind, "It went wrong; try again.", again))

    def wait(self):
        self.now, _, event = heapq.heappop(self.events)
        return event

    def _later(self, seconds, event):
        heapq.heappush(self.events, (self.now + seconds, len(self.given) + sum(self.starts.values()), event))


def items(count=PAIRS, sources=SOURCES):
    return [((f"source{i % sources}", i), f"source{i % sources}") for i in range(count)]


def same(_, event):
    return event


def test_ten_thousand_pairs_on_fifty_dying_workers():
    workers = Simulated(lambda item, chance: "died" if chance.random() < DEATHS else "done", seed=7)
    put = Counter()

    def settle(item, event):
        put[item] += event.kind == "done"
        return event

    scheduler = Scheduler(items())
    started = time.perf_counter()
    drive(scheduler, workers, WORKERS, settle)
    overhead = (time.perf_counter() - started) / PAIRS
    utilisation = workers.busy / (workers.now * WORKERS)
    deaths = sum(workers.starts.values()) - WORKERS
    print(
        f"\n{len(scheduler.done)} done, {len(scheduler.failed)} set aside, {deaths} deaths; utilisation"
        f" {utilisation:.3f}, {overhead * 1000:.3f} ms a pair, {workers.switches} changes of source"
    )
    failed = [item for item, _ in scheduler.failed]
    assert sorted(scheduler.done + failed) == sorted(item for item, _ in items())
    assert all(put[item] == 1 for item in scheduler.done) and not any(put[item] for item in failed)
    attempts = Counter(workers.given)
    assert all(attempts[item] == 2 for item in failed) and max(attempts.values()) == 2
    assert 0.03 < deaths / PAIRS < 0.07 and 0 < len(failed) < 60
    assert utilisation >= 0.95 and overhead <= 0.020 * slower()
    assert workers.switches < 3 * SOURCES


def test_a_worker_stays_with_its_source():
    workers = Simulated(lambda *_: "done")
    drive(Scheduler(items(60, 3)), workers, 3, same)
    assert workers.switches <= 3 + 2  # at the end, those that have nothing left help


def test_failures_are_retried_and_refusals_are_not():
    for retries, fate, attempts in ((2, "failed", 3), (0, "failed", 1), (2, "refused", 1)):
        workers = Simulated(lambda item, _, fate=fate: fate if item[1] == 1 else "done")
        scheduler = Scheduler(items(3, 1), retries)
        drive(scheduler, workers, 1, same)
        assert Counter(workers.given)["source0", 1] == attempts
        assert [item[1] for item, _ in scheduler.failed] == [1] and len(scheduler.done) == 2


def test_a_pair_that_kills_two_workers_is_set_aside_with_its_reason():
    workers = Simulated(lambda item, _: "died" if item[1] == 1 else "done")
    scheduler = Scheduler(items(4, 2), retries=0)
    drive(scheduler, workers, 2, same)
    ((item, reason),) = scheduler.failed
    assert item[1] == 1 and reason == "Set aside, since 2 workers died with it. It went wrong; try again."
    assert len(scheduler.done) == 3 and sum(workers.starts.values()) == 4


def test_a_result_that_cannot_be_put_in_place_is_a_failure():
    scheduler = Scheduler(items(2, 1), retries=1)
    workers = Simulated(lambda *_: "done")
    drive(scheduler, workers, 1, lambda item, event: Event(event.worker, "failed", "No room; make some.", item[1] == 0))
    assert len(scheduler.failed) == 2 and len(workers.given) == 3


def test_workers_that_never_get_ready_end_the_batch():
    class Broken(Simulated):
        def start(self, worker):
            self.starts[worker] += 1
            self._later(1, Event(worker, "died", "No torch; install it."))

    scheduler, workers = Scheduler(items(5)), Broken(None)
    drive(scheduler, workers, 3, same)
    assert len(scheduler.failed) == 5 and scheduler.failed[0][1] == "No torch; install it."
    assert set(workers.starts.values()) == {2}


def test_a_worker_that_dies_idle_is_not_given_a_pair():
    class Fragile(Simulated):
        def give(self, worker, item):
            assert worker not in self.dead
            super().give(worker, item)

        def start(self, worker):
            self.dead.discard(worker)
            super().start(worker)

        def wait(self):
            event = super().wait()
            if event.kind == "died":
                self.dead.add(event.worker)
            return event

    workers = Fragile(lambda item, chance: "died" if item[1] == 0 and workers.now < 60 else "done")
    workers.dead = set()
    workers._later(12, Event(1, "died", "Killed; see the log."))  # worker 1 has nothing to do when it dies
    scheduler = Scheduler(items(1))
    drive(scheduler, workers, 2, same)
    assert len(scheduler.done) + len(scheduler.failed) == 1


def test_it_stops_when_asked():
    scheduler, workers = Scheduler(items(100)), Simulated(lambda *_: "done")
    drive(scheduler, workers, 2, same, stopped=lambda: len(scheduler.done) >= 10)
    assert len(scheduler.done) == 10 and scheduler.left == 90
