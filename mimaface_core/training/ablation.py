"""The ablation: the same training without one part at a time, over several seeds, measured on people it never saw."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from pathlib import Path

import torch

from .. import host
from ..diffusion.clips import clip_schedule
from .engine.checkpoint import load_averaged, written
from .models.estimators import Estimators, score, train_estimators
from .models.image_video import train_image, train_video, trained_image
from .models.latent_cache import Latents, clip_frames
from .models.networks import split
from .models.validation import carried_frames, sample_track
from .recipe import run_stage

# What a variant leaves out of `base`.
VARIANTS = {
    "base": "everything",
    "motion": "no motion modulation",
    "identity": "no L_id",
    "render": "no render",
    "ica": "nothing carried from clip to clip",
    "average": "one context for a clip, the mean",
}
# What each number is, and whether more of it is better.
METRICS = {
    "expression": ("expression error (σ)", False),
    "pose": ("pose error (°)", False),
    "identity": ("identity similarity", True),
    "distance": ("FVD-like distance", False),
    "jump": ("boundary jump", False),
}
# What the paper finds worse without a part (Figure 7, Table 2); the released code averages the context of a clip.
CLAIMS = {
    "motion": ("expression", "pose"),
    "identity": ("identity",),
    "render": ("expression", "pose"),
    "ica": ("jump", "distance"),
    "average": ("expression",),
}
Runs = dict[str, dict[int, dict[str, float]]]


def run_ablation(config: dict, data: Path, out: Path) -> None:
    """Make data, autoencoder and estimators, train and measure every variant with every seed, write the report.

    Called again, it goes on where it was. Leaves `ablation.md` and `ablation.json` in `out`.
    """
    for stage in ("data", "vae"):
        run_stage(stage, config, data, out)
    learned, held, key = split(config, data, out)
    estimators = train_estimators(config, learned, key, out)
    bare = [held.samples[i]["render"].float() for i in held.clips.tolist()]
    truth = [held.samples[i]["target"].float() for i in held.clips.tolist()]
    known = {
        name: asdict(score(estimators, clips, held, [])) for name, clips in (("truth", truth), ("render alone", bare))
    }
    runs: Runs = {}
    seeds = config["ablation"]["seeds"]
    with host.current().progress(len(seeds) * len(VARIANTS), "trainings") as progress:
        for seed in seeds:
            for variant in VARIANTS:
                one = variant_config(config, variant, seed, out)
                runs.setdefault(variant, {})[seed] = run_variant(one, estimators, held, data, out / f"{variant}-{seed}")
                write_report(out, known, runs)
                progress.update()


def variant_config(config: dict, variant: str, seed: int, out: Path) -> dict:
    """The configuration of one variant: autoencoder and latents are those in `out`, only one switch and the seed differ."""
    one = copy.deepcopy(config)
    one["common"] = str(out)
    one["ablate"] = {} if variant == "base" else {variant: True}
    one["image"]["seed"], one["video"]["seed"] = 2 * seed, 2 * seed + 1
    return one


def run_variant(config: dict, estimators: Estimators, held: Latents, data: Path, folder: Path) -> dict[str, float]:
    """Train one variant and measure it, or read what was measured."""
    measured = folder / "measured.json"
    # a finished training is opened again too: another configuration is refused
    train_image(config, data, folder)
    train_video(config, data, folder)
    if not measured.is_file():
        parts, _, _ = trained_image(config, folder)
        load_averaged(folder / "video.safetensors", {"unet": parts["unet"]})
        for part in parts.values():
            part.to(host.current().device).eval()
        made = [sample_track(config, parts, held, clip) for clip in held.clips.tolist()]
        scored = asdict(score(estimators, made, held, boundaries(config, len(made[0]))))
        with written(measured) as part:
            part.write_text(json.dumps(scored), encoding="utf-8")
    return json.loads(measured.read_text(encoding="utf-8"))


def boundaries(config: dict, total: int) -> list[int]:
    """First new frames of every clip but the first, of so many frames."""
    overlap = carried_frames(config)
    return [clip[overlap] for clip in clip_schedule(total, clip_frames(config), overlap)[1:]]


def interval(values: list[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval by Student's t (infinite for a single value)."""
    from scipy.stats import t

    x = torch.tensor(values, dtype=torch.float64)
    if len(x) < 2:
        return float(x.mean()), float("inf")
    return float(x.mean()), float(t.ppf(0.975, len(x) - 1) * x.std() / len(x) ** 0.5)


def verdict(runs: Runs, variant: str, metric: str) -> str:
    """Whether a part is seen to help a metric: the variant against base, seed by seed."""
    base, other = runs["base"], runs[variant]
    worse = [
        (other[seed][metric] - base[seed][metric]) * (-1 if METRICS[metric][1] else 1) for seed in other if seed in base
    ]
    mean, half = interval(worse)
    sign = -1 if METRICS[metric][1] else 1
    change = f"{sign * mean:+.3g}" + (f" ± {half:.2g}" if len(worse) > 1 else " (one seed)")
    if abs(mean) <= half:
        return f"{change}: not shown"
    return f"{change}: {'reproduces' if mean > 0 else 'the other way round'}"


def write_report(out: Path, known: dict[str, dict], runs: Runs) -> None:
    """Write `ablation.json` and `ablation.md`: every number, and what they say of the paper's claims."""
    with written(out / "ablation.json") as part:
        part.write_text(json.dumps({"known": known, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    head = "| | " + " | ".join(f"{text} {'↑' if more else '↓'}" for text, more in METRICS.values()) + " |"
    lines = [head, "| --- |" + " ---: |" * len(METRICS)]
    for variant, seeds in runs.items():
        cells = []
        for metric in METRICS:
            mean, half = interval([values[metric] for values in seeds.values()])
            cells.append(f"{mean:.3f}" + (f" ± {half:.3f}" if len(seeds) > 1 else ""))
        lines.append(f"| {variant}: {VARIANTS[variant]} | {' | '.join(cells)} |")
    for name, values in known.items():
        cells = [f"{values[m]:.3f}" if m != "jump" else "–" for m in METRICS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    claims = [
        f"| {VARIANTS[variant]} | {METRICS[metric][0]} | {verdict(runs, variant, metric)} |"
        for variant, metrics in CLAIMS.items()
        for metric in metrics
        if variant in runs
    ]
    count = max(len(seeds) for seeds in runs.values())
    text = [
        "# Ablation\n",
        f"Same data, steps and seeds for all; {count} seed{'s' if count > 1 else ''}; mean and 95 % interval (Student's t) over seeds.",
        "Measured on synthetic people that were kept apart, by this project's own estimators: small networks that read",
        "motion, or who it is, from a picture's latents, trained on the truths of the same data; what they read from made",
        "frames is held against what they read from the truth. No published metric is meant by these names.\n",
        *lines,
        "\n| without | | change against base |",
        "| --- | --- | --- |",
        *claims,
    ]
    with written(out / "ablation.md") as part:
        part.write_text("\n".join(text) + "\n", encoding="utf-8")
