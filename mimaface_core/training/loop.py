"""The training loop all stages share: seeded steps, averaged weights, time budget, checkpoints, loss log."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import host
from ..errors import Cancelled, InputError


class Training:
    """One stage in progress.

    name: of the stage; its files are `<name>.safetensors` (weights, averaged weights, optimizer) and `<name>.jsonl`.
    modules: name → module, all of whose parameters are kept. trained: the parameters that learn.
    settings: `steps`, `minutes` (whichever ends first), `rate` (learning rate), `average` (of the weights), `save_minutes`.
    """

    def __init__(self, name: str, out: Path, modules: dict[str, nn.Module], trained: list[nn.Parameter], settings: dict) -> None:
        self.path, self.log_path = out / f"{name}.safetensors", out / f"{name}.jsonl"
        self.name, self.modules, self.settings, self.trained = name, modules, settings, trained
        self.values = {f"{m}.{k}": v for m, module in modules.items() for k, v in module.state_dict(keep_vars=True).items()}
        self.learning = {k for k, v in self.values.items() if any(v is p for p in trained)}
        self.average = {k: self.values[k].detach().clone() for k in sorted(self.learning)}
        self.optimizer = torch.optim.AdamW(trained, lr=settings["rate"], betas=(0.9, 0.98), weight_decay=0.0)
        self.step, self.seconds = 0, 0.0
        out.mkdir(parents=True, exist_ok=True)
        if self.path.is_file():
            self._resume()

    @property
    def progress(self) -> float:
        """0–1, by steps or by time, whichever is further."""
        return min(1.0, max(self.step / self.settings["steps"], self.seconds / 60 / self.settings["minutes"]))

    def run(self, loss_of: Callable[[torch.Generator], Tensor], check: Callable[[], dict] | None = None) -> None:
        """Train to the end. loss_of: one step's loss from its own random generator; check: measures, logged with
        every save. Raises Cancelled, with the checkpoint saved, when asked to stop."""
        try:
            self._run(loss_of, check)
        except Cancelled:
            self.save()
            raise

    def _run(self, loss_of: Callable[[torch.Generator], Tensor], check: Callable[[], dict] | None) -> None:
        saved, logged, losses, steps_since = time.monotonic(), time.monotonic(), [], self.step
        with host.current().progress(self.settings["steps"], self.name) as bar:
            bar.update(self.step)
            while self.progress < 1:
                start = time.monotonic()
                generator = torch.Generator().manual_seed(self.settings.get("seed", 0) * 1_000_003 + self.step)
                for group in self.optimizer.param_groups:
                    group["lr"] = self.settings["rate"] * self._pace()
                loss = loss_of(generator)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(self.trained, 1.0)
                self.optimizer.step()
                self.step += 1
                self._follow()
                losses.append(float(loss.detach()))
                self.seconds += time.monotonic() - start
                bar.update()
                now = time.monotonic()
                if now - logged > 10 or self.progress >= 1:
                    rate = (self.step - steps_since) / (now - logged)
                    self._log({"step": self.step, "loss": sum(losses) / len(losses), "steps_a_second": rate, "minutes": self.seconds / 60})
                    logged, losses, steps_since = now, [], self.step
                if now - saved > 60 * self.settings["save_minutes"]:
                    self.save()
                    saved = now
                    if check:
                        self._log({"step": self.step, **check()})
        self.save()
        if check:
            self._log({"step": self.step, **check()})

    def _pace(self) -> float:
        """Learning rate against its full value: a short start, then half a cosine down to 5 %."""
        return min(1.0, (self.step + 1) / 50) * (0.05 + 0.95 * (1 + math.cos(math.pi * self.progress)) / 2)

    @torch.no_grad()
    def _follow(self) -> None:
        keep = min(self.settings["average"], (1 + self.step) / (10 + self.step))
        for key, mean in self.average.items():
            mean.lerp_(self.values[key].detach(), 1 - keep)

    def _log(self, entry: dict) -> None:
        with self.log_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({k: round(v, 6) if isinstance(v, float) else v for k, v in entry.items()}) + "\n")

    def save(self) -> None:
        """Write the checkpoint; the one before stays until it is complete."""
        from safetensors.torch import save_file

        tensors = {f"weights/{k}": v.detach().contiguous() for k, v in self.values.items()}
        tensors |= {f"average/{k}": v.contiguous() for k, v in self.average.items()}
        names = {id(self.values[k]): k for k in self.learning}
        for parameter, state in self.optimizer.state.items():
            for field, value in state.items():
                tensors[f"optimizer/{field}/{names[id(parameter)]}"] = value.contiguous()
        part = self.path.with_name(self.path.name + ".part")
        save_file(tensors, part, {"step": str(self.step), "seconds": str(self.seconds)})
        os.replace(part, self.path)

    def _resume(self) -> None:
        tensors, meta = read_checkpoint(self.path)
        wanted = {f"weights/{k}" for k in self.values} | {f"average/{k}" for k in self.average}
        if not wanted <= tensors.keys():
            raise InputError(f"{self.path} belongs to another configuration; choose another folder or delete it.")
        with torch.no_grad():
            for key, value in self.values.items():
                value.copy_(tensors[f"weights/{key}"])
            for key, value in self.average.items():
                value.copy_(tensors[f"average/{key}"])
        for key in self.learning:
            state = {f: tensors[f"optimizer/{f}/{key}"] for f in ("step", "exp_avg", "exp_avg_sq") if f"optimizer/{f}/{key}" in tensors}
            if state:
                self.optimizer.state[self.values[key]] = state
        self.step, self.seconds = int(meta["step"]), float(meta["seconds"])


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a checkpoint. Raises InputError when it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise InputError(f"The checkpoint {path} cannot be read ({error}); run the stage before again.") from error


def load_averaged(path: Path, modules: dict[str, nn.Module]) -> None:
    """Fill modules with the averaged weights of a checkpoint (plain weights where none are averaged)."""
    tensors, _ = read_checkpoint(path)
    for name, module in modules.items():
        state = {}
        for key in module.state_dict():
            full = f"{name}.{key}"
            state[key] = tensors.get(f"average/{full}", tensors.get(f"weights/{full}"))
            if state[key] is None:
                raise InputError(f"{path} lacks {full}; it belongs to another configuration.")
        module.load_state_dict(state)
