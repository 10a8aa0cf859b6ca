"""The ablation: the same training without one part of the method at a time, over several seeds, on held-out people."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import torch

from .. import host
from ..diffusion.clip_schedule import clip_schedule
from ..errors import InputError
from ..files import read_json
from .config import AblateConfig, TrainingConfig
from .engine.checkpoint import load_averaged, written
from .models.estimators import Estimators, score, train_estimators
from .models.image_video import train_image, train_video, trained_image
from .models.latent_cache import Latents
from .models.networks import split_latents
from .models.validation import TrackSampler
from .recipe import run_stage

# Variant → its text in the report; all but `base` are switches of `config.AblateConfig`.
VARIANTS = {
    "base": "everything",
    "motion": "no motion modulation",
    "identity": "no L_id",
    "render": "no render",
    "ica": "nothing carried from clip to clip",
    "average": "one context for a clip, the mean",
}


class Metric(NamedTuple):
    """A measure in the report: its text, and whether a higher value is better."""

    text: str
    higher_is_better: bool

    @property
    def sign(self) -> int:
        """−1 where a higher value is better, so that sign × change is positive for what is worse."""
        return -1 if self.higher_is_better else 1


# Fields of `estimators.Scores` → how the report shows them.
METRICS = {
    "expression": Metric("expression error (σ)", False),
    "pose": Metric("pose error (°)", False),
    "identity": Metric("identity similarity", True),
    "distance": Metric("FVD-like distance", False),
    "jump": Metric("boundary jump", False),
}
# What the paper finds worse without a part (Figure 7, Table 2); the released code averages the context of a clip.
CLAIMS = {
    "motion": ("expression", "pose"),
    "identity": ("identity",),
    "render": ("expression", "pose"),
    "ica": ("jump", "distance"),
    "average": ("expression",),
}
CONFIDENCE = 0.95
Runs = dict[str, dict[int, dict[str, float]]]  # variant → seed → metric → value


def run_ablation(config: TrainingConfig, data: Path, out: Path) -> None:
    """Make data, autoencoder and estimators, train and measure every variant with every seed, write the report.

    Called again, it resumes. Leaves `ablation.md` and `ablation.json` in `out`.

    Args:
        config: with the sections `estimators` and `ablation`.
        data: folder of the training data.
        out: folder of checkpoints and report.

    Raises:
        InputError: a section is missing, or a stage refuses.
    """
    for name in ("estimators", "ablation"):
        if getattr(config, name) is None:
            raise InputError(f"The configuration lacks the section '{name}'; take configs/ablation.json for a pattern.")
    assert config.estimators is not None
    assert config.ablation is not None
    for stage in ("data", "vae"):
        run_stage(stage, config, data, out)
    learned, held, key = split_latents(config, data, out)
    estimators = train_estimators(config.estimators, config.precision, config.latents, learned, key, out)
    clips = held.clips.tolist()
    references = {
        name: asdict(score(estimators, [held.samples[i][kind].float() for i in clips], held, []))
        for name, kind in (("truth", "target"), ("render alone", "render"))
    }
    runs: Runs = {}
    seeds = config.ablation.seeds
    with host.current().progress(len(seeds) * len(VARIANTS), "trainings") as progress:
        for seed in seeds:
            for variant in VARIANTS:
                one = variant_config(config, variant, seed, out)
                scores = run_variant(one, estimators, held, data, out / f"{variant}-{seed}")
                runs.setdefault(variant, {})[seed] = scores
                write_report(out, references, runs)
                progress.update()


def variant_config(config: TrainingConfig, variant: str, seed: int, out: Path) -> TrainingConfig:
    """The configuration of one variant: one switch and the seed differ, autoencoder and latents are those in `out`.

    Args:
        config: of the ablation.
        variant: of `VARIANTS`.
        seed: from which those of the stages `image` and `video` are made.
        out: folder of the ablation.
    """
    return replace(
        config,
        common=str(out),
        ablate=AblateConfig() if variant == "base" else AblateConfig(**{variant: True}),
        image=replace(config.image, seed=2 * seed),
        video=replace(config.video, seed=2 * seed + 1),
    )


def run_variant(
    config: TrainingConfig, estimators: Estimators, held: Latents, data: Path, folder: Path
) -> dict[str, float]:
    """Train one variant and measure it, or read its measures where they were written.

    Args:
        config: of the variant.
        estimators: that measure.
        held: held-out latents.
        data: folder of the training data.
        folder: of the variant's checkpoints and measures.

    Returns:
        the fields of `estimators.Scores`.
    """
    measured = folder / "measured.json"
    # a finished training is opened again too, so that another configuration is refused
    train_image(config, data, folder)
    train_video(config, data, folder)
    if not measured.is_file():
        networks, _, _ = trained_image(config, folder)
        load_averaged(folder / "video.safetensors", {"unet": networks.unet})
        for network in networks.modules().values():
            network.to(host.current().device).eval()
        sampler = TrackSampler.of(config)
        tracks = [sampler.sample(networks, held, clip) for clip in held.clips.tolist()]
        first_frames = boundaries(len(tracks[0]), config.clip_frames, config.overlap)
        scores = asdict(score(estimators, tracks, held, first_frames))
        with written(measured) as part:
            part.write_text(json.dumps(scores), encoding="utf-8")
    return read_json(measured)


def boundaries(total: int, frames: int, overlap: int) -> list[int]:
    """First new frames of every clip but the first.

    Args:
        total: frames of the track.
        frames: F, of a clip.
        overlap: k.
    """
    return [clip[overlap] for clip in clip_schedule(total, frames, overlap)[1:]]


def interval(values: list[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval by Student's t (infinite for a single value)."""
    from scipy.stats import t

    x = torch.tensor(values, dtype=torch.float64)
    if len(x) < 2:
        return float(x.mean()), float("inf")
    quantile = t.ppf((1 + CONFIDENCE) / 2, len(x) - 1)
    return float(x.mean()), float(quantile * x.std() / len(x) ** 0.5)


def verdict(runs: Runs, variant: str, metric: str) -> str:
    """The change of a metric against `base`, seed by seed, and whether it reproduces the paper's claim.

    Args:
        runs: measures of `base` and the variant.
        variant: of `VARIANTS`.
        metric: of `METRICS`.
    """
    base, other, sign = runs["base"], runs[variant], METRICS[metric].sign
    worse = [sign * (other[seed][metric] - base[seed][metric]) for seed in other if seed in base]
    mean, half = interval(worse)
    change = f"{sign * mean:+.3g}" + (f" ± {half:.2g}" if len(worse) > 1 else " (one seed)")
    if abs(mean) <= half:
        return f"{change}: not shown"
    return f"{change}: {'reproduces' if mean > 0 else 'the other way round'}"


def write_report(out: Path, references: dict[str, dict[str, float]], runs: Runs) -> None:
    """Write `ablation.json` and `ablation.md`: every measure, and a verdict for each of the paper's claims.

    Args:
        out: folder of the report.
        references: measures of the truth and of the bare render.
        runs: measures of all trainings so far.

    Raises:
        InputError: a file cannot be written.
    """
    with written(out / "ablation.json") as part:
        part.write_text(json.dumps({"known": references, "runs": runs}, indent=1) + "\n", encoding="utf-8")
    count = max(len(seeds) for seeds in runs.values())
    text = [
        "# Ablation\n",
        f"Same data, steps and seeds for all; {count} seed{'s' if count > 1 else ''}; mean and 95 % interval",
        "(Student's t) over seeds.",
        "Measured on held-out synthetic people, by this project's own estimators: small networks that regress motion,",
        "or identity, from an image's latents, trained on the truth of the same data; their output for sampled frames",
        "is compared with their output for the truth. None of these names means a published metric.\n",
        *_measure_rows(references, runs),
        "\n| without | | change against base |",
        "| --- | --- | --- |",
        *_claim_rows(runs),
    ]
    with written(out / "ablation.md") as part:
        part.write_text("\n".join(text) + "\n", encoding="utf-8")


def _measure_rows(references: dict[str, dict[str, float]], runs: Runs) -> list[str]:
    """The table of measures: a row for each variant, then for each reference."""
    head = [f"{metric.text} {'↑' if metric.higher_is_better else '↓'}" for metric in METRICS.values()]
    rows = [f"| | {' | '.join(head)} |", "| --- |" + " ---: |" * len(METRICS)]
    for variant, seeds in runs.items():
        cells = []
        for metric in METRICS:
            mean, half = interval([values[metric] for values in seeds.values()])
            cells.append(f"{mean:.3f}" + (f" ± {half:.3f}" if len(seeds) > 1 else ""))
        rows.append(f"| {variant}: {VARIANTS[variant]} | {' | '.join(cells)} |")
    for name, values in references.items():
        cells = [f"{values[m]:.3f}" if m != "jump" else "–" for m in METRICS]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return rows


def _claim_rows(runs: Runs) -> list[str]:
    """A row with the verdict for each of the paper's claims about the variants that were run."""
    return [
        f"| {VARIANTS[variant]} | {METRICS[metric].text} | {verdict(runs, variant, metric)} |"
        for variant, metrics in CLAIMS.items()
        for metric in metrics
        if variant in runs
    ]
