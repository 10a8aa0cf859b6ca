"""What a batch has to do: rows checked, finished pairs left out, time and disk estimated; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from ..mimaface_core.errors import InputError
from ..mimaface_core.host import use as use_host
from ..mimaface_core.terminal import TerminalHost
from .cloud import CloudResults
from .members import CrewOptions
from .pairs import FILE_COLUMNS, Fault, Pair, PairCheck
from .results import Results
from .rows import Row, cross_rows, read_rows
from .stores import fetch, is_url

MOST_SHOWN = 20  # faults that are printed; the JSON line has all
# of a pair, where none is finished yet: a clip of 100 frames with the bundled pack on two CPU cores
DEFAULT_SECONDS, DEFAULT_BYTES = 60.0, 500_000


@dataclass(frozen=True)
class BatchOptions:
    """What to run and how.

    Attributes:
        output: the output folder.
        store: address of an object store, where the results go in the end; `output` is then a folder of this batch.
        listed: path or address of a CSV or JSONL list; None with `sources` and `drivers`.
        sources: folder of photographs, each of which is paired with each of `drivers`.
        drivers: folder of clips and photographs.
        settings: for all pairs, as `TITLE.INPUT=VALUE`.
        result: title of the node that writes the result; see `Recipes`.
        crew: the workers.
        servers: addresses of ComfyUI servers, which run the pairs instead of worker processes.
        limit: the most pairs to run; all when None.
        only_failed: whether to run only those whose last attempt failed.
    """

    output: Path
    store: str | None = None
    listed: str | None = None
    sources: Path | None = None
    drivers: Path | None = None
    settings: Sequence[str] = ()
    result: str | None = None
    crew: CrewOptions = field(default_factory=CrewOptions)
    servers: Sequence[str] = ()
    limit: int | None = None
    only_failed: bool = False

    @property
    def count(self) -> int:
        """Number of workers; on Ray, at least that."""
        return len(self.servers) or max(1, self.crew.workers)


@dataclass
class Plan:
    """The pairs of a batch.

    Attributes:
        todo: pairs to run, in order.
        done: pairs whose results are there.
        faults: rows that cannot run.
        left_out: pairs that neither are done nor will be, by `limit` and `only_failed`.
    """

    todo: list[Pair]
    done: list[Pair]
    faults: list[Fault]
    left_out: int = 0


@dataclass(frozen=True)
class Estimate:
    """Time in seconds and disk in bytes that the pairs to run will need, as `pairs` finished ones tell it, or none."""

    seconds: float
    size: float
    pairs: int


def results_of(options: BatchOptions) -> Results:
    """Where the results of a batch are. Raises InputError where the object store cannot be used."""
    return Results(options.output) if options.store is None else CloudResults(options.output, options.store)


def check_batch(options: BatchOptions, host: TerminalHost) -> tuple[list[Pair], list[Fault]]:
    """Read and check all rows.

    Returns:
        Pairs that can run, and the rows that cannot.

    Raises:
        InputError: the list cannot be used, or none of its rows.
    """
    rows, base = _rows(options)
    with use_host(host):
        check = PairCheck(base, options.output, _settings(options.settings), options.result)
        with host.progress(len(rows), "checking pairs") as progress:
            pairs, faults = check.check(rows, progress)
    if not pairs:
        raise InputError("\n".join(shown_faults(faults)))
    return pairs, faults


def plan_batch(options: BatchOptions, pairs: Sequence[Pair], faults: Sequence[Fault], host: TerminalHost) -> Plan:
    """Find out which pairs are done, and which of the others are to run.

    Args:
        options: what to run and how.
        pairs: those that can run, as of `check_batch`.
        faults: rows that cannot.
        host: shows the progress.
    """
    plan = Plan([], [], list(faults))
    results = results_of(options)
    with host.progress(len(pairs), "looking for finished results") as progress:
        for pair in pairs:
            _sort_in(pair, plan, results)
            progress.update()
    if options.only_failed:
        failed = results.failed_names()
        _keep(plan, [pair for pair in plan.todo if pair.name in failed])
    if options.limit is not None:
        _keep(plan, plan.todo[: options.limit])
    return plan


def estimate(plan: Plan, options: BatchOptions) -> Estimate:
    """Estimate a batch by the mean of its finished results, or by the defaults where there are none."""
    results = results_of(options)
    records = [record for pair in plan.done if (record := results.record_of(pair.name)) is not None]
    seconds = fmean(float(record["seconds"]) for record in records) if records else DEFAULT_SECONDS
    size = fmean(int(record["bytes"]) for record in records) if records else DEFAULT_BYTES
    return Estimate(len(plan.todo) * seconds / options.count, len(plan.todo) * size, len(records))


def shown_faults(faults: Sequence[Fault]) -> list[str]:
    """Reasons for the terminal, cut short where there are very many."""
    more = [f"… and {len(faults) - MOST_SHOWN} more."] if len(faults) > MOST_SHOWN else []
    return [fault.reason for fault in faults[:MOST_SHOWN]] + more


def _rows(options: BatchOptions) -> tuple[list[Row], Path]:
    """The rows, and the folder that their paths start from."""
    if options.listed is not None:
        if options.sources or options.drivers:
            raise InputError("A list is given, and folders too; give either PAIRS, or --sources with --drivers.")
        return _listed_rows(options.listed)
    if not (options.sources and options.drivers):
        raise InputError("No pairs are given; name a .csv or .jsonl list, or two folders by --sources and --drivers.")
    return cross_rows(options.sources, options.drivers), Path.cwd()


def _listed_rows(listed: str) -> tuple[list[Row], Path]:
    """The rows of a list, and the folder that their paths start from; paths beside an address are made addresses."""
    if not is_url(listed):
        return read_rows(Path(listed)), Path(listed).absolute().parent
    beside = listed.rpartition("/")[0]
    rows = []
    for row in read_rows(fetch(listed)):
        files = {name: row.values[name] for name in FILE_COLUMNS if name in row.values}
        moved = {name: text if is_url(text) else f"{beside}/{text}" for name, text in files.items()}
        rows.append(Row(row.where, {**row.values, **moved}, row.fault))
    return rows, Path.cwd()


def _settings(given: Sequence[str]) -> dict[str, str]:
    settings = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (equals and "." in name):
            raise InputError(f"--set {text} cannot be read; write it TITLE.INPUT=VALUE.")
        settings[name] = value
    return settings


def _sort_in(pair: Pair, plan: Plan, results: Results) -> None:
    if results.is_done(pair):
        plan.done.append(pair)
        return
    try:
        results.refuse_foreign(pair)
    except InputError as refused:
        plan.faults.append(Fault(pair.name, f"{pair.where}: {refused}"))
    else:
        plan.todo.append(pair)


def _keep(plan: Plan, pairs: list[Pair]) -> None:
    plan.left_out += len(plan.todo) - len(pairs)
    plan.todo = pairs
