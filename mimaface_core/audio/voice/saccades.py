"""Saccades: where the eyes look while speaking and listening.

Sizes, directions, durations and intervals of glances are those of Lee, Badler and Badler 2002.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .prosody import Prosody
from .temperament import Temperament
from .timing import Array, Clock, steps

GLANCE_LIMITS = (2.0, 14.0)  # degrees
_LARGE = 8.0  # degrees: larger glances bring a blink and turn the head
_MEAN_SIZE = 6.9  # degrees
_VERTICAL = 0.7  # factor of a glance's height
_DIRECTIONS = np.array(
    [15.54, 6.46, 17.69, 7.44, 16.80, 7.89, 20.38, 7.79]
)  # %, every 45° from the image's right, up next
# Mean seconds at the viewer and away, while talking and while listening; at least so long.
_AT_VIEWER_TALKING, _AT_VIEWER_LISTENING, _AT_VIEWER_SHORTEST = 3.1, 7.9, 0.6
_AWAY_TALKING, _AWAY_LISTENING, _AWAY_SHORTEST = 0.93, 0.43, 0.2
# Fixations: from eye to eye and mouth of the viewer, and about the place of a glance.
_FIXATION_SECONDS, _AWAY_FIXATION_SECONDS = 0.8, 0.6  # mean, beyond the shortest
_FIXATION_SHORTEST, _FIXATION_END = 0.15, 0.2  # seconds: least duration; none begins so late before the next glance
_FIXATION_DEGREES, _FIXATION_LIMIT = 0.6, 1.5  # deviation and limit of its distance from the place
# Duration of a saccade: 25 ms and 2.4 ms a degree.
_SECONDS, _SECONDS_A_DEGREE = 0.025, 0.0024


@dataclass(frozen=True)
class Saccades:
    """Shifts of gaze, in time.

    Attributes:
        times: [E], seconds.
        targets: [E, 2], where each one leads, degrees to the image's right and up from the viewer.
    """

    times: Array
    targets: Array

    @property
    def away(self) -> Array:
        """[E], true where the target is far from the viewer."""
        return np.hypot(*self.targets.T) > _LARGE

    @property
    def sizes(self) -> Array:
        """[E], degrees from the target before; the first one starts at the viewer."""
        return np.hypot(*np.diff(self.targets, axis=0, prepend=0).T)

    @property
    def large(self) -> Array:
        """Seconds [S] of the large ones that lead away."""
        return self.times[self.away & (self.sizes > _LARGE)]

    def directions(self, times: Array) -> Array:
        """Direction of the gaze in the world at `times` [N]: [N, 2], degrees as in `targets`."""
        return steps(times, self.times, self.targets, _SECONDS + _SECONDS_A_DEGREE * self.sizes)


def draw_saccades(prosody: Prosody, temperament: Temperament, rng: np.random.Generator) -> Saccades:
    """Glances away from the viewer and back, with fixations in between.

    Args:
        prosody: of the speech; talkers look away more than listeners.
        temperament: its `glances` scales their size.
        rng: draws them.
    """
    grid, activity, end = prosody.grid, prosody.activity, prosody.seconds
    at_viewer = Clock(grid, 1 / (_AT_VIEWER_LISTENING + (_AT_VIEWER_TALKING - _AT_VIEWER_LISTENING) * activity))
    elsewhere = Clock(grid, 1 / (_AWAY_LISTENING + (_AWAY_TALKING - _AWAY_LISTENING) * activity))
    times: list[float] = []
    targets: list[Array] = []

    def shift(time: float, target: Array) -> None:
        times.append(time)
        targets.append(target)

    def fixate(start: float, stop: float, centre: Array, seconds: float) -> None:
        time = start + seconds * rng.gamma(4, 0.25) + _FIXATION_SHORTEST
        while time < min(stop - _FIXATION_END, end):
            shift(time, centre + rng.normal(0, _FIXATION_DEGREES, 2).clip(-_FIXATION_LIMIT, _FIXATION_LIMIT))
            time += seconds * rng.gamma(4, 0.25) + _FIXATION_SHORTEST

    now = 0.0
    while now < end:
        leave = max(at_viewer.after(now, rng.gamma(2, 0.5)), now + _AT_VIEWER_SHORTEST)
        fixate(now, leave, np.zeros(2), _FIXATION_SECONDS)
        target = _glance(temperament, rng)
        back = max(elsewhere.after(leave, rng.gamma(3, 1 / 3)), leave + _AWAY_SHORTEST)
        shift(leave, target)
        fixate(leave, back, target, _AWAY_FIXATION_SECONDS)
        shift(back, rng.normal(0, _FIXATION_DEGREES / 2, 2))
        now = back
    within = np.array(times) < end
    return Saccades(np.array(times)[within], np.array(targets)[within].reshape(-1, 2))


def _glance(temperament: Temperament, rng: np.random.Generator) -> Array:
    """Target [2] of a glance, in degrees."""
    size = np.clip(temperament.glances * rng.exponential(_MEAN_SIZE), *GLANCE_LIMITS)
    sector = rng.choice(len(_DIRECTIONS), p=_DIRECTIONS / _DIRECTIONS.sum())
    angle = np.radians(45 * sector + rng.uniform(-22.5, 22.5))
    return size * np.array([np.cos(angle), _VERTICAL * np.sin(angle)])
