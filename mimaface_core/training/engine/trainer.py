"""The training loop all stages share: seeded steps, averaged weights, time budget, checkpoints, loss log."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ... import host
from ...errors import Cancelled, InputError
from .accelerator import open_machine
from .checkpoint import check_same, read_checkpoint, write_checkpoint
from .plots import plot_losses

Draw = Callable[[torch.Generator], dict]
Check = Callable[[int], dict]

BUDGET = ("steps", "minutes", "save_minutes")  # settings that a run may go on with other values of
LOG_SECONDS = 10


class Training:
    """One stage in progress, on one CPU, one GPU or several (see `machine.open_machine`).

    name: of the stage, and of its section of the configuration; its files are `<name>.safetensors` (weights, averaged
    weights, optimizer), `<name>.jsonl` (log) and `<name>-loss.png`.
    model: called with what `draw` gives, it returns a dict of losses, of which `loss` is made small; those of its
    parameters that want a gradient learn. kept: names of its children and buffers that the checkpoint holds.
    config: the configuration; its section has `steps`, `minutes` (whichever ends first), `rate` (learning rate),
    `average` (of the weights), `save_minutes`, `seed`, and where wanted `accumulate` (batches to a step).
    depends: further settings, by name, under which alone a checkpoint may be gone on from.
    """

    def __init__(
        self, name: str, out: Path, model: nn.Module, kept: tuple[str, ...], config: dict, depends: dict | None = None
    ) -> None:
        self.path, self.log_path = out / f"{name}.safetensors", out / f"{name}.jsonl"
        self.name, self.settings = name, config[name]
        self.record = {name: self.settings, "precision": config["precision"], **(depends or {})}
        self.parts = self.settings.get("accumulate", 1)
        self.machine = open_machine(config["precision"], self.parts)
        model.to(self.machine.device)
        state = model.state_dict(keep_vars=True)
        self.values = {key: value for key, value in state.items() if key.split(".")[0] in kept}
        self.trained = [p for p in model.parameters() if p.requires_grad]
        learns = {id(p) for p in self.trained}
        self.average = {k: v.detach().clone() for k, v in sorted(self.values.items()) if id(v) in learns}
        self.adam = torch.optim.AdamW(self.trained, lr=self.settings["rate"], betas=(0.9, 0.98), weight_decay=0.0)
        self.step, self.seconds, self.kept_step = 0, 0.0, None
        self.own_seconds = 0.0  # of this process; `seconds` is the mean over all
        out.mkdir(parents=True, exist_ok=True)
        if self.path.is_file():
            self._resume()
        self.model, self.optimizer = self.machine.prepare(model, self.adam)

    @property
    def progress(self) -> float:
        """0–1, by steps or by time, whichever is further."""
        return min(1.0, max(self.step / self.settings["steps"], self.seconds / 60 / self.settings["minutes"]))

    def run(self, draw: Draw, check: Check | None = None) -> None:
        """Train to the end.

        Args:
            draw: the tensors of one batch from its own random generator.
            check: measures the averaged weights after every save, given the step; what it returns is logged.

        Raises:
            Cancelled: the user has asked to stop; the checkpoint is saved.
            InputError: a loss is no number any more, or the disk is full; the last good checkpoint is kept.
        """
        try:
            self._run(draw, check)
        except Cancelled:
            self.save()
            raise

    def _run(self, draw: Draw, check: Check | None) -> None:
        saved, logged, losses, steps_before = time.monotonic(), time.monotonic(), [], self.step
        with host.current().progress(self.settings["steps"], self.name) as bar:
            bar.update(self.step)
            while self.progress < 1:
                losses.append(self._one_step(draw))
                bar.update()
                now = time.monotonic()
                if now - logged > LOG_SECONDS or self.progress >= 1:
                    means = {name: sum(x[name] for x in losses) / len(losses) for name in losses[0]}
                    rate = (self.step - steps_before) / (now - logged)
                    self._log({"step": self.step, **means, "steps_a_second": rate, "minutes": self.seconds / 60})
                    logged, losses, steps_before = now, [], self.step
                if now - saved > 60 * self.settings["save_minutes"] and self.progress < 1:
                    self._report(check)
                    saved = time.monotonic()
        if self.kept_step != self.step:
            self._report(check)

    def _one_step(self, draw: Draw) -> dict[str, float]:
        """Learn from one batch, or from several where gradients are accumulated; returns the mean losses."""
        from accelerate.utils import send_to_device

        start = time.monotonic()
        for group in self.adam.param_groups:
            group["lr"] = self.settings["rate"] * self._pace()
        total: dict[str, float] = {}
        for part in range(self.parts):
            batch = send_to_device(draw(self._generator(part)), self.machine.device)
            with self.machine.accumulate(self.model):
                losses = self.model(**batch)
                seen = self._agree(losses)
                self._refuse_broken(seen["loss"], "loss")
                self.machine.backward(losses["loss"])
                if self.machine.sync_gradients:
                    norm = self.machine.clip_grad_norm_(self.trained, 1.0)
                    if self.machine.scaler is None:  # which leaves out a broken step by itself
                        self._refuse_broken(float(norm), "gradient")
                self.optimizer.step()
                self.optimizer.zero_grad(set_to_none=True)
            total = {name: total.get(name, 0.0) + value / self.parts for name, value in seen.items()}
        self.step += 1
        self._follow()
        self.own_seconds += time.monotonic() - start
        return total

    def _generator(self, part: int) -> torch.Generator:
        """Random numbers of one batch of this step, other ones in each process."""
        count, number = self.machine.num_processes, self.machine.process_index
        batch = (self.step * self.parts + part) * count + number
        return torch.Generator().manual_seed(self.settings.get("seed", 0) * 1_000_003 + batch)

    def _agree(self, losses: dict[str, Tensor]) -> dict[str, float]:
        """Mean losses of all processes, which also agree on the seconds trained, so that all of them end together."""
        values = torch.stack([loss.detach().float() for loss in losses.values()])
        values = torch.cat([values, values.new_tensor([self.own_seconds])])
        if self.machine.num_processes > 1:
            values = self.machine.reduce(values, "mean")
        *means, self.seconds = values.tolist()
        return dict(zip(losses, means, strict=True))

    def _refuse_broken(self, value: float, what: str) -> None:
        if not math.isfinite(value):
            raise InputError(
                f"Stage {self.name} stopped at step {self.step + 1}: its {what} is {value}. {self._kept()}"
                f"lower {self.name}.rate ({self.settings['rate']}), or train with precision fp32."
            )

    def _kept(self) -> str:
        if self.kept_step is None:
            return "Nothing had been saved yet; "
        return f"The last good state, of step {self.kept_step}, is kept in {self.path}; "

    def _pace(self) -> float:
        """Learning rate against its full value: a short start, then half a cosine down to 5 %."""
        return min(1.0, (self.step + 1) / 50) * (0.05 + 0.95 * (1 + math.cos(math.pi * self.progress)) / 2)

    @torch.no_grad()
    def _follow(self) -> None:
        keep = min(self.settings["average"], (1 + self.step) / (10 + self.step))
        for key, mean in self.average.items():
            mean.lerp_(self.values[key].detach(), 1 - keep)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """While it lasts, the model has the averaged weights."""
        own = {key: self.values[key].detach().clone() for key in self.average}
        with torch.no_grad():
            for key, mean in self.average.items():
                self.values[key].copy_(mean)
        try:
            yield
        finally:
            with torch.no_grad():
                for key, value in own.items():
                    self.values[key].copy_(value)

    def _report(self, check: Check | None) -> None:
        """Save, measure, and draw the losses so far."""
        self.save()
        if self.machine.is_main_process:
            if check:
                with self.averaged():
                    self._log({"step": self.step, **check(self.step)})
            plot_losses(self.log_path)
        self.machine.wait_for_everyone()

    def _log(self, entry: dict) -> None:
        if self.machine.is_main_process:
            line = json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in entry.items()})
            try:
                with self.log_path.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            except OSError as error:
                raise InputError(
                    f"{self.log_path} cannot be written ({error}). {self._kept()}make room and go on."
                ) from error

    def save(self) -> None:
        """Write the checkpoint; the one before stays until it is complete. Raises InputError when the disk is full."""
        if not self.machine.is_main_process:
            return
        tensors = {f"weights/{k}": v for k, v in self.values.items()}
        tensors |= {f"average/{k}": v for k, v in self.average.items()}
        names = {id(self.values[key]): key for key in self.average}
        for parameter, state in self.adam.state.items():
            for field, value in state.items():
                tensors[f"optimizer/{field}/{names[id(parameter)]}"] = value
        metadata = {"step": str(self.step), "seconds": str(self.seconds), "config": json.dumps(self.record)}
        kept = "" if self.kept_step is None else f"the last good state, of step {self.kept_step}, is kept; "
        write_checkpoint(self.path, tensors, metadata, kept)
        self.kept_step = self.step

    def _resume(self) -> None:
        tensors, meta = read_checkpoint(self.path)
        check_same(self.path, meta.get("config"), self.record, {f"{self.name}.{key}" for key in BUDGET})
        wanted = {f"weights/{k}" for k in self.values} | {f"average/{k}" for k in self.average}
        if not wanted <= tensors.keys():
            raise InputError(
                f"{self.path} belongs to another version of this program; choose another folder or delete it."
            )
        with torch.no_grad():
            for key, value in self.values.items():
                value.copy_(tensors[f"weights/{key}"])
            for key, value in self.average.items():
                value.copy_(tensors[f"average/{key}"])
        for key in self.average:
            fields = {f: tensors.get(f"optimizer/{f}/{key}") for f in ("step", "exp_avg", "exp_avg_sq")}
            if fields["step"] is not None:
                own = {f: x if f == "step" else x.to(self.machine.device) for f, x in fields.items()}
                self.adam.state[self.values[key]] = own
        self.step, self.seconds = int(meta["step"]), float(meta["seconds"])
        self.own_seconds, self.kept_step = self.seconds, self.step
        self._shorten_log()

    def _shorten_log(self) -> None:
        """Take out of the log what came after the checkpoint: it will be trained again."""
        if self.machine.is_main_process and self.log_path.is_file():
            lines = self.log_path.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= self.step]
            self.log_path.write_text("".join(kept), encoding="utf-8")
