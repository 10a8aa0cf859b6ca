"""Life beside speech: blinks, glances, head and brows, drawn from what is known of people who talk or listen.

All is first laid out as events in seconds, then looked up at the frames: the course is the same at every frame rate, and
a longer clip starts as a shorter one. The figures come from
- blinks: Bentivoglio et al. 1997 (17 a minute at rest, 26 in conversation, intervals log-normal), Doughty 2001 (8–21 in
  silence, 10–32 in conversation), VanderWerf et al. 2003 (lids shut in about 0.1 s and open in twice that), Nakano and
  Kitazawa 2010 (they come at the ends of phrases), Evinger et al. 1994 (and with large shifts of gaze);
- glances: Lee, Badler and Badler 2002 (sizes, directions, durations and times between them, talking and listening);
- head: Hadar et al. 1983, Munhall et al. 2004 and Busso et al. 2007 (a few degrees; the head hardly rests in speech, moves
  with its accents, and is quiet in pauses), Guitton and Volle 1987 (the head takes a part of large shifts of gaze);
- brows: Flecha-García 2010 (they rise just before an accent).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError
from ...morphable.bundled.geometry import EYE_RADIUS

STYLES = 46
GRID = 100  # steps a second, on which rates are summed up
Array = np.ndarray
Wave = Callable[[Array], Array]

# what a temperament may be, from the calmest to the liveliest
BLINKS_SILENT = (12.5, 16.5)  # a minute
BLINKS_TALKING = (14.5, 19.0)
NODS = (0.6, 1.4)  # against the usual
SWAY = (0.65, 1.35)
GLANCES = (0.55, 1.0)  # size against Lee et al., who measured people free to look about
BROWS = (0.4, 1.0)
FOLLOWS = (0.15, 0.35)  # share of a glance that the head takes

BLINK_SPREAD = 0.4  # standard deviation of the logarithm of the time between blinks
BLINK_REST = 0.5  # seconds at least from one to the next
PHRASE_END, WITH_GLANCE = 3.5, 6.0  # how much likelier a blink is there
BLINK_MEMORY = 20.0  # seconds over which likelier moments are made up for
PAUSE = 0.3  # seconds of silence that end a phrase

LOOK_TALKING, LOOK_LISTENING = 3.1, 7.9  # seconds at the viewer, mean
AWAY_TALKING, AWAY_LISTENING = 0.93, 0.43  # and elsewhere
GLANCE, GLANCE_LIMITS = 6.9, (2.0, 14.0)  # degrees
DIRECTIONS = np.array(
    [15.54, 6.46, 17.69, 7.44, 16.80, 7.89, 20.38, 7.79]
)  # %, every 45° from the picture's right, up next
FIXATION, WITHIN_FACE = 0.8, 0.6  # seconds; degrees: from eye to eye and mouth of the viewer
LARGE = 8.0  # degrees: glances from here on bring a blink
LID_FOLLOWS = 0.018  # closure a degree that the eyes look down

# degrees of pitch, yaw, roll: slow sway, the rhythm of speech, the posture of a phrase, an accent
SWAY_DEGREES, RHYTHM_DEGREES = np.array([1.1, 1.4, 0.9]), np.array([0.7, 0.65, 0.45])
POSTURE_DEGREES, ACCENT_DEGREES = np.array([0.9, 1.5, 0.9]), np.array([3.2, 1.0, 1.1])
SILENT_SWAY, SILENT_RHYTHM = 0.45, 0.1  # of what they are in speech
ACCENT, BROW_ACCENT = 0.25, 0.4  # stress from which on the head nods, and the brows rise
START = 1.5  # seconds in which the movement begins


@dataclass(frozen=True)
class Life:
    """What a living face does besides speaking, for N frames; all of it to be added to the source's own.

    lids: [N, 2], closure of the right and the left eye, 0–1; lowered: [N], what of it goes with glances down. gaze: [N, 4], eye widths as in MotionTrack; it takes back
    what the head turns, so that the eyes stay on the viewer. angles: [N, 3], radians as in FaceCoefficients. brows: [N], 0–1.
    """

    lids: Tensor
    lowered: Tensor
    gaze: Tensor
    angles: Tensor
    brows: Tensor


def live(
    count: int,
    fps: Fraction | float,
    style: int,
    seed: int,
    speaking: Tensor,
    stress: Tensor,
    blinks: float = 1.0,
) -> Life:
    """The life of `count` frames, frame i at (i + 0.5) / fps seconds.

    style: 0–45, a temperament within the ranges above; 0 is the middle of all. seed: the course of events.
    speaking: [N], 0–1, whether there is speech; stress: [N], 0–1, how strong its accents are.
    blinks: how often the eyes blink, 0 never, 1 as people do.
    Raises InputError for a style that does not exist, or other lengths than `count`.
    """
    if not 0 <= style < STYLES:
        raise InputError(f"There is no style {style}; choose 0–{STYLES - 1}.")
    talk, accents = (torch.as_tensor(x).double().numpy().clip(0, 1) for x in (speaking, stress))
    if talk.shape != (count,) or accents.shape != (count,):
        raise InputError(
            f"{count} frames need as many values of speaking and stress, not {list(talk.shape)} and {list(accents.shape)}."
        )
    t = (np.arange(count) + 0.5) / float(fps)
    grid = np.arange(int(count / float(fps) * GRID) + 2) / GRID
    temper = _temperament(style)
    draw = [np.random.default_rng([seed, style, part]) for part in range(4)]

    talk, accents = np.interp(grid, t, talk), np.interp(grid, t, accents)
    activity = _smoothed(talk, 0.35)
    starts, ends = _phrases(grid, talk)
    shifts, targets = _glances(grid, activity, temper, draw[0])
    peaks = _peaks(grid, _smoothed(accents, 0.04))

    head = _head(t, np.interp(t, grid, activity), starts, peaks, temper, draw[1])
    large = np.hypot(*targets.T) > LARGE
    head[:, [1, 0]] += temper["follows"] * _steps(
        t, shifts + 0.03, targets * large[:, None] * [1, -1], np.full(len(shifts), 0.55)
    )
    head *= _ease(t / START)[:, None]

    # eyes: where they look in the world, less where the head has turned
    jump = np.hypot(*np.diff(targets, axis=0, prepend=0).T)
    world = _steps(t, shifts, targets, 0.025 + 0.0024 * jump)
    eyes = world - head[:, [1, 0]] * [1, -1]
    turn = EYE_RADIUS * np.sin(np.radians(eyes))

    leaving = shifts[large & (jump > LARGE)]
    closed = _blinks(t, grid, activity, ends, leaving, blinks, temper, draw[2])
    lowered = (-LID_FOLLOWS * eyes[:, 1]).clip(0, 0.3)
    lids = 1 - (1 - closed) * (1 - lowered)
    values = np.stack([lids, lids], 1), lowered, np.tile(turn, 2), np.radians(head), _brows(t, peaks, temper, draw[3])
    return Life(*(torch.from_numpy(np.ascontiguousarray(v)).float() for v in values))


def _temperament(style: int) -> dict[str, float]:
    """A style's place in each range: spread evenly over them by additive recurrence, style 0 in the middle."""
    ranges = {
        "silent": BLINKS_SILENT, "talking": BLINKS_TALKING, "nods": NODS, "sway": SWAY, "glances": GLANCES, "brows": BROWS, "follows": FOLLOWS,
    }  # fmt: skip
    steps = np.sqrt([2, 2, 3, 5, 7, 11, 13])  # who blinks much does so in silence as well
    return {
        name: low + (high - low) * ((0.5 + style * step) % 1)
        for (name, (low, high)), step in zip(ranges.items(), steps, strict=True)
    }


# --- speech


def _smoothed(x: Array, seconds: float) -> Array:
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(x, seconds * GRID, mode="nearest")


def _phrases(grid: Array, talk: Array) -> tuple[Array, Array]:
    """Starts and ends (seconds) of phrases: speech between silences of at least PAUSE."""
    spoken = np.concatenate([[False], _smoothed(talk, 0.05) > 0.5, [False]])
    change = np.flatnonzero(np.diff(spoken.astype(int)))
    starts, ends = change[::2], change[1::2]
    apart = starts[1:] - ends[:-1] >= PAUSE * GRID
    kept_starts = starts[np.concatenate([[True], apart])[: len(starts)]]
    kept_ends = ends[np.concatenate([apart, [True]])[: len(ends)]]
    return grid[kept_starts], grid[kept_ends[kept_ends < len(grid)]]


def _peaks(grid: Array, stress: Array) -> tuple[Array, Array]:
    """Times and strengths of accents: the highest stress within 0.17 s to either side."""
    from scipy.ndimage import maximum_filter1d

    rising = np.diff(stress, prepend=stress[:1]) > 0
    top = (stress >= maximum_filter1d(stress, int(0.34 * GRID) + 1)) & rising & (stress > ACCENT)
    return grid[top], stress[top]


# --- shapes in time


def _ease(x: Array) -> Array:
    """From 0 at 0 to 1 at 1 with the least jerk (Flash and Hogan 1985)."""
    x = np.clip(x, 0, 1)
    return x**3 * (10 - 15 * x + 6 * x * x)


def _steps(t: Array, times: Array, values: Array, seconds: Array) -> Array:
    """A course [N, D] that goes at each of `times` [E] to the next of `values` [E, D] within `seconds` [E], from 0."""
    out = np.zeros((len(t), values.shape[1]))
    last = np.searchsorted(times, t, side="right") - 1
    before = np.concatenate([np.zeros((1, values.shape[1])), values])
    overlap = 6  # steps that may still be under way
    out += before[(last - overlap + 1).clip(0)]
    for k in range(overlap):
        at = last - k
        some = at >= 0
        e = at[some]
        out[some] += (before[e + 1] - before[e]) * _ease((t[some] - times[e]) / seconds[e])[:, None]
    return out


def _bumps(t: Array, times: Array, heights: Array, rise: float, hold: float, fall: float) -> Array:
    """The sum [N, D] of bumps of `heights` [E, D] that are at their height from `times` [E] on."""
    out = np.zeros((len(t), heights.shape[1]))
    for time, height in zip(times, heights):
        part = slice(*np.searchsorted(t, [time - rise, time + hold + fall]))
        since = t[part] - time
        shape = _ease(1 + since / rise) * _ease(1 - (since - hold) / fall)
        out[part] += shape[:, None] * height
    return out


def _wave(rng: np.random.Generator, low: float, high: float, parts: int = 12) -> Wave:
    """A smooth random course between two frequencies (Hz), of mean 0 and deviation 1."""
    edges = np.geomspace(low, high, parts + 1)
    frequency, phase = rng.uniform(edges[:-1], edges[1:]), rng.uniform(0, 2 * np.pi, parts)
    return lambda t: np.sqrt(2 / parts) * sum(np.sin(2 * np.pi * f * t + p) for f, p in zip(frequency, phase))


# --- what is done


def _head(
    t: Array, activity: Array, starts: Array, peaks: tuple[Array, Array], temper: dict, rng: np.random.Generator
) -> Array:
    """Pitch (down), yaw, roll [N, 3] in degrees."""
    sway, rhythm, posture, nod = (
        [_wave(rng, low, high) for _ in range(3)] for low, high in ((0.03, 0.25), (0.4, 1.5), (0.1, 2.0), (0.3, 3.0))
    )

    def all_of(waves: list[Wave], at: Array) -> Array:
        return np.stack([wave(at) for wave in waves], 1)

    slow = all_of(sway, t) * SWAY_DEGREES * (SILENT_SWAY + (1 - SILENT_SWAY) * activity[:, None])
    quick = all_of(rhythm, t) * RHYTHM_DEGREES * (SILENT_RHYTHM + (1 - SILENT_RHYTHM) * activity[:, None])
    new_posture = all_of(posture, starts).clip(-2, 2) * POSTURE_DEGREES
    held = _steps(t, starts - 0.2, new_posture, np.full(len(starts), 0.9))
    # an accent: mostly down, sometimes a tilt or a turn with it
    times, strength = peaks
    mood = all_of(nod, times)
    mood[:, 0] = (0.4 + 0.45 * mood[:, 0]).clip(-0.3, 1.2)
    nods = _bumps(t, times + 0.04, mood.clip(-1.5, 1.5) * strength[:, None] * ACCENT_DEGREES, 0.26, 0.0, 0.42)
    return temper["sway"] * (slow + quick + held) + temper["nods"] * nods


def _glances(grid: Array, activity: Array, temper: dict, rng: np.random.Generator) -> tuple[Array, Array]:
    """Times [E] of saccades and what they go to [E, 2], degrees to the picture's right and up of the viewer."""
    looking = _clock(grid, 1 / (LOOK_LISTENING + (LOOK_TALKING - LOOK_LISTENING) * activity))
    elsewhere = _clock(grid, 1 / (AWAY_LISTENING + (AWAY_TALKING - AWAY_LISTENING) * activity))
    times, targets = [], []

    def look_about(start: float, end: float, centre: Array, mean: float) -> None:
        at = start + mean * rng.gamma(4, 0.25) + 0.15
        while at < min(end - 0.2, grid[-1]):
            times.append(at), targets.append(centre + rng.normal(0, WITHIN_FACE, 2).clip(-1.5, 1.5))
            at += mean * rng.gamma(4, 0.25) + 0.15

    now = 0.0
    while now < grid[-1]:
        away = max(_later(grid, looking, now, rng.gamma(2, 0.5)), now + 0.6)
        look_about(now, away, np.zeros(2), FIXATION)
        size = (temper["glances"] * rng.exponential(GLANCE)).clip(*GLANCE_LIMITS)
        angle = np.radians(45 * rng.choice(8, p=DIRECTIONS / DIRECTIONS.sum()) + rng.uniform(-22.5, 22.5))
        target = size * np.array([np.cos(angle), 0.7 * np.sin(angle)])
        back = max(_later(grid, elsewhere, away, rng.gamma(3, 1 / 3)), away + 0.2)
        times.append(away), targets.append(target)
        look_about(away, back, target, 0.6)
        times.append(back), targets.append(rng.normal(0, WITHIN_FACE / 2, 2))
        now = back
    order = np.array(times) < grid[-1]
    return np.array(times)[order], np.array(targets)[order].reshape(-1, 2)


def _clock(grid: Array, rate: Array) -> Array:
    """How much of a process that runs at `rate` a second has passed at each time of the grid."""
    return np.concatenate([[0.0], np.cumsum(rate)[:-1] / GRID])


def _later(grid: Array, clock: Array, now: float, amount: float) -> float:
    """When `amount` more of a process has passed; without end where the grid ends before."""
    return float(np.interp(np.interp(now, grid, clock) + amount, clock, grid, right=np.inf))


def _blinks(
    t: Array,
    grid: Array,
    activity: Array,
    ends: Array,
    glances: Array,
    often: float,
    temper: dict,
    rng: np.random.Generator,
) -> Array:
    """Closure [N] of the lids."""
    from scipy.signal import lfilter

    # likelier after phrases and with glances, as often on the whole
    likely = np.ones(len(grid))
    for times, factor, before, after in ((ends, PHRASE_END, 0.05, 0.45), (glances, WITH_GLANCE, 0.05, 0.1)):
        for time in times:
            likely[slice(*np.searchsorted(grid, [time - before, time + after]))] = factor
    keep = np.exp(-1 / (BLINK_MEMORY * GRID))
    likely = likely / lfilter([1 - keep], [1, -keep], likely, zi=[1.2 * keep])[0]
    rate = (temper["silent"] + (temper["talking"] - temper["silent"]) * activity) / 60
    clock = _clock(grid, often * rate * likely)

    closed = np.zeros(len(t))
    now, share = 0.0, rng.uniform(0.3, 1.0)  # the first one is on its way already
    while True:
        amount = np.exp(BLINK_SPREAD * rng.normal() - BLINK_SPREAD**2 / 2)
        now = max(_later(grid, clock, now, share * amount), now + BLINK_REST)
        if now >= grid[-1]:
            return closed
        shut, stay, open_ = rng.uniform(0.085, 0.115), rng.uniform(0.03, 0.055), rng.uniform(0.18, 0.26)
        depth = rng.uniform(0.75, 0.92) if rng.random() < 0.1 else 1.0
        part = slice(*np.searchsorted(t, [now, now + shut + stay + open_]))
        since = t[part] - now
        opening = ((since - shut - stay) / open_).clip(0, 1) ** 0.8  # soon begun, slow to end
        closed[part] = np.maximum(closed[part], depth * _ease(since / shut) * (1 - _ease(opening)))
        share = 1.0


def _brows(t: Array, peaks: tuple[Array, Array], temper: dict, rng: np.random.Generator) -> Array:
    """How far the brows are raised [N], 0–1."""
    times, strength = peaks
    often = (0.25 + 0.6 * _wave(rng, 0.2, 2.0)(times)).clip(0, 1)
    heights = temper["brows"] * often * _ease((strength - BROW_ACCENT) / 0.4)
    return np.tanh(_bumps(t, times - 0.06, heights[:, None], 0.2, 0.15, 0.45)[:, 0])
