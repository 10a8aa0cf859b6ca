"""Problems of a graph: each a place and one sentence, all of them refused together."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

from ..mimaface_core.errors import InputError


class Problem(NamedTuple):
    """One problem: the node or option, the input where it is one, and one sentence with the remedy."""

    place: str
    input: str | None
    text: str

    def __str__(self) -> str:
        place = self.place + (f", input '{self.input}'" if self.input else "")
        return f"{place}: {self.text}"


class GraphRefused(InputError):
    """A graph that cannot run; `problems` holds all of its problems, one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` with the closest known name, or the list of known names."""
    known = sorted(known)
    near = get_close_matches(wrong, known, n=1) or [name for name in known if name.lower() == wrong.lower()]
    if near:
        return f"did you mean '{near[0]}'?"
    return "there is " + (", ".join(f"'{name}'" for name in known) or "none") + "."
