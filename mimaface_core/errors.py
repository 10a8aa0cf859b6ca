"""The two ways a run ends early: an input that is refused, and a user who cancels."""


class InputError(ValueError):
    """An input that cannot be used. The message is one sentence: what is wrong and what to do about it."""


class Cancelled(Exception):
    """The user stopped the run. Nothing unfinished is left under a final name."""
