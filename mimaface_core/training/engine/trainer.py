"""The training loop of all stages: seeded steps, averaged weights, time budget, checkpoints, log."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ... import host
from ...errors import Cancelled, InputError
from ..config import LoopConfig
from .accelerator import open_accelerator
from .checkpoint import check_same, read_checkpoint, write_checkpoint, written
from .plots import plot_losses
from .record import defaults, recorded

Batch = dict[str, Any]  # arguments of the model: tensors, seeds
Draw = Callable[[torch.Generator], Batch]
Validate = Callable[[int], dict[str, float]]

BUDGET = ("steps", "minutes", "save_minutes")  # settings that may change when a stage resumes
LOG_SECONDS = 10  # between two lines of the log
WARMUP_STEPS = 50  # in which the learning rate rises to its peak
LAST_RATE = 0.05  # share of the peak learning rate at the end
BETAS = (0.9, 0.98)  # of AdamW
MAX_GRADIENT_NORM = 1.0
SEED_STRIDE = 1_000_003  # random seeds of a stage: its seed times this, plus the number of the batch


class Trainer:
    """One stage in training, on one CPU, one GPU or several (see `accelerator.open_accelerator`).

    Attributes:
        step: optimizer steps so far.
        seconds: training time so far, the mean over all processes.

    Args:
        name: of the stage. Its files are `<name>.safetensors` (weights, averaged weights, optimizer), `<name>.jsonl`
            (log) and `<name>-loss.png`.
        out: folder of these files; a checkpoint in it is resumed.
        model: called with a batch, returns its losses by name; `loss` is minimised. Parameters that require a
            gradient are trained.
        saved: names of the model's children and buffers that the checkpoint holds.
        settings: the loop's settings, which the checkpoint records.
        precision: `fp32`, `bf16` or `fp16`.
        depends: further settings, by name, that must not change when the stage resumes.

    Raises:
        InputError: the checkpoint is damaged or of other settings, or the device cannot train in this precision.
    """

    def __init__(
        self,
        name: str,
        out: Path,
        model: nn.Module,
        saved: tuple[str, ...],
        settings: LoopConfig,
        precision: str,
        depends: Mapping[str, object] | None = None,
    ) -> None:
        self.path, self.log_path = out / f"{name}.safetensors", out / f"{name}.jsonl"
        self.name, self.settings = name, settings
        sections = {name: settings, "precision": precision, **(depends or {})}
        self.record = {key: recorded(section) for key, section in sections.items()}
        self._defaults = {key: x for at, section in sections.items() for key, x in defaults(section, at).items()}
        self.accelerator = open_accelerator(precision, settings.accumulate)
        model.to(self.accelerator.device)
        state = model.state_dict(keep_vars=True)
        self.state = {key: value for key, value in state.items() if key.split(".")[0] in saved}
        self.trained = [p for p in model.parameters() if p.requires_grad]
        trained = {id(p) for p in self.trained}
        self.averages = {k: v.detach().clone() for k, v in sorted(self.state.items()) if id(v) in trained}
        self.adam = torch.optim.AdamW(self.trained, lr=settings.rate, betas=BETAS, weight_decay=0.0)
        self.step, self.seconds = 0, 0.0
        self._saved_step: int | None = None
        self._own_seconds = 0.0  # of this process
        out.mkdir(parents=True, exist_ok=True)
        if self.path.is_file():
            self._resume()
        self.model, self.optimizer = self.accelerator.prepare(model, self.adam)

    @property
    def progress(self) -> float:
        """0–1, by steps or by time, whichever is further."""
        return min(1.0, max(self.step / self.settings.steps, self.seconds / 60 / self.settings.minutes))

    def run(self, draw: Draw, validate: Validate | None = None) -> None:
        """Train to the end.

        Args:
            draw: makes one batch from its own random generator.
            validate: measures the model with averaged weights after every save, given the step; its result is logged.

        Raises:
            Cancelled: the user has asked to stop; the checkpoint is saved.
            InputError: a loss is not finite, or the disk is full; the last good checkpoint is kept.
        """
        try:
            self._run(draw, validate)
        except Cancelled:
            self.save()
            raise

    def _run(self, draw: Draw, validate: Validate | None) -> None:
        saved_at = logged_at = time.monotonic()
        losses: list[dict[str, float]] = []
        logged_step = self.step
        with host.current().progress(self.settings.steps, self.name) as bar:
            bar.update(self.step)
            while self.progress < 1:
                losses.append(self._one_step(draw))
                bar.update()
                now = time.monotonic()
                if now - logged_at > LOG_SECONDS or self.progress >= 1:
                    means = {name: sum(x[name] for x in losses) / len(losses) for name in losses[0]}
                    rate = (self.step - logged_step) / (now - logged_at)
                    self._log({"step": self.step, **means, "steps_a_second": rate, "minutes": self.seconds / 60})
                    logged_at, losses, logged_step = now, [], self.step
                if now - saved_at > 60 * self.settings.save_minutes and self.progress < 1:
                    self._save_and_validate(validate)
                    saved_at = time.monotonic()
        if self._saved_step != self.step:
            self._save_and_validate(validate)

    def _one_step(self, draw: Draw) -> dict[str, float]:
        """Train on one batch, or on several where gradients are accumulated; returns the mean losses."""
        from accelerate.utils import send_to_device

        start = time.monotonic()
        for group in self.adam.param_groups:
            group["lr"] = self.settings.rate * self._rate_factor()
        total: dict[str, float] = {}
        for number in range(self.settings.accumulate):
            batch = send_to_device(draw(self.generator(self.step, number)), self.accelerator.device)
            with self.accelerator.accumulate(self.model):
                losses = self.model(**batch)
                self.accelerator.backward(losses["loss"])
                norm = None
                if self.accelerator.sync_gradients:
                    norm = self.accelerator.clip_grad_norm_(self.trained, MAX_GRADIENT_NORM)
                means = self._mean_losses(losses)  # only now, since it waits for the device
                self._refuse_not_finite(means["loss"], "loss")
                if norm is not None and self.accelerator.scaler is None:  # a scaler skips such a step by itself
                    self._refuse_not_finite(float(norm), "gradient")
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
            total = {name: total.get(name, 0.0) + value / self.settings.accumulate for name, value in means.items()}
        self.step += 1
        self._update_averages()
        self._own_seconds += time.monotonic() - start
        return total

    def generator(self, step: int, number: int = 0) -> torch.Generator:
        """The random generator of batch `number` of a step, another one in each process."""
        batch = step * self.settings.accumulate + number
        batch = batch * self.accelerator.num_processes + self.accelerator.process_index
        return torch.Generator().manual_seed(self.settings.seed * SEED_STRIDE + batch)

    def _mean_losses(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """Losses as the mean of all processes; training times too, so that all processes end together."""
        values = torch.stack([loss.detach().float() for loss in losses.values()])
        values = torch.cat([values, values.new_tensor([self._own_seconds])])
        if self.accelerator.num_processes > 1:
            values = self.accelerator.reduce(values, "mean")
        *means, self.seconds = values.tolist()
        return dict(zip(losses, means, strict=True))

    def _refuse_not_finite(self, value: float, name: str) -> None:
        if not math.isfinite(value):
            raise InputError(
                f"Stage {self.name} stopped at step {self.step + 1}: its {name} is {value}. {self._last_save()}"
                f"lower {self.name}.rate ({self.settings.rate}), or train with precision fp32."
            )

    def _last_save(self) -> str:
        """The clause of a refusal about the checkpoint that is kept."""
        if self._saved_step is None:
            return "Nothing had been saved yet; "
        return f"The last good state, of step {self._saved_step}, is kept in {self.path}; "

    def _rate_factor(self) -> float:
        """Learning rate relative to its peak: a linear warm-up, then half a cosine down to `LAST_RATE`."""
        cosine = LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * self.progress)) / 2
        return min(1.0, (self.step + 1) / WARMUP_STEPS) * cosine

    @torch.no_grad()
    def _update_averages(self) -> None:
        # torch's, not diffusers' EMAModel: that has the same warm-up, but rounds otherwise, copies all weights at every
        # step and takes five times as long (18 ms instead of 3.5 ms for 9.4 M weights on one CPU thread)
        decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
        if self.averages:
            get_ema_multi_avg_fn(decay)(list(self.averages.values()), [self.state[key] for key in self.averages], 0)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """A context in which the model has its averaged weights."""
        own = {key: self.state[key].detach().clone() for key in self.averages}
        with torch.no_grad():
            for key, mean in self.averages.items():
                self.state[key].copy_(mean)
        try:
            yield
        finally:
            with torch.no_grad():
                for key, value in own.items():
                    self.state[key].copy_(value)

    def _save_and_validate(self, validate: Validate | None) -> None:
        """Save, measure, and plot the losses so far."""
        self.save()
        if self.accelerator.is_main_process:
            if validate:
                with self.averaged():
                    self._log({"step": self.step, **validate(self.step)})
            plot_losses(self.log_path)
        self.accelerator.wait_for_everyone()

    def _log(self, entry: dict[str, float]) -> None:
        if self.accelerator.is_main_process:
            line = json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in entry.items()})
            try:
                with self.log_path.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            except OSError as error:
                raise InputError(
                    f"{self.log_path} cannot be written ({error}). {self._last_save()}make room and go on."
                ) from error

    def save(self) -> None:
        """Write the checkpoint; the one before stays until it is complete.

        Raises:
            InputError: it cannot be written, for instance when the disk is full.
        """
        if not self.accelerator.is_main_process:
            return
        tensors = {f"weights/{k}": v for k, v in self.state.items()}
        tensors |= {f"average/{k}": v for k, v in self.averages.items()}
        names = {id(self.state[key]): key for key in self.averages}
        for parameter, state in self.adam.state.items():
            for field, value in state.items():
                tensors[f"optimizer/{field}/{names[id(parameter)]}"] = value
        metadata = {"step": str(self.step), "seconds": str(self.seconds), "config": json.dumps(self.record)}
        last = "" if self._saved_step is None else f"the last good state, of step {self._saved_step}, is kept; "
        write_checkpoint(self.path, tensors, metadata, last)
        self._saved_step = self.step

    def _resume(self) -> None:
        tensors, meta = read_checkpoint(self.path)
        free = {f"{self.name}.{key}" for key in BUDGET}
        check_same(self.path, meta.get("config"), self.record, free, self._defaults)
        needed = {f"weights/{k}" for k in self.state} | {f"average/{k}" for k in self.averages}
        if not needed <= tensors.keys():
            raise InputError(
                f"{self.path} belongs to another version of this program; choose another folder or delete it."
            )
        with torch.no_grad():
            for key, value in self.state.items():
                value.copy_(tensors[f"weights/{key}"])
            for key, value in self.averages.items():
                value.copy_(tensors[f"average/{key}"])
        for key in self.averages:
            fields = {f: tensors.get(f"optimizer/{f}/{key}") for f in ("step", "exp_avg", "exp_avg_sq")}
            values = {
                f: x if f == "step" else x.to(self.accelerator.device) for f, x in fields.items() if x is not None
            }
            if "step" in values:
                self.adam.state[self.state[key]] = values
        self.step, self.seconds = int(meta["step"]), float(meta["seconds"])
        self._own_seconds, self._saved_step = self.seconds, self.step
        self._shorten_log()

    def _shorten_log(self) -> None:
        """Remove the lines after the checkpoint from the log: these steps will be trained again."""
        if self.accelerator.is_main_process and self.log_path.is_file():
            lines = self.log_path.read_text(encoding="utf-8").splitlines(keepends=True)
            trained = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= self.step]
            with written(self.log_path) as part:
                part.write_text("".join(trained), encoding="utf-8")
