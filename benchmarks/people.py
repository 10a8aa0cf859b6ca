"""Synthetic people a second, as a training loop receives them: `python benchmarks/people.py --threads 1`."""

from __future__ import annotations

import argparse
import time
from itertools import islice

import torch

from mimaface.mimaface_core.training.data.torch_datasets import SyntheticFaces


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the speed of making synthetic people.")
    parser.add_argument("--people", type=int, default=5)
    parser.add_argument("--frames", type=int, default=12, help="of a clip")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of PyTorch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    people = iter(SyntheticFaces(options.frames))
    next(people)  # warm-up, which loads the face model
    clocks = (time.perf_counter, time.process_time)
    start = [clock() for clock in clocks]
    for _ in islice(people, options.people):
        pass
    seconds, busy = ((clock() - then) / options.people for clock, then in zip(clocks, start))
    print(f"{options.people} people × {options.frames} frames, {options.threads} threads, torch {torch.__version__}")
    print(f"{seconds:.2f} s a person ({busy:.2f} s of processor time), {options.frames / seconds:.2f} frames a second")


if __name__ == "__main__":
    main()
