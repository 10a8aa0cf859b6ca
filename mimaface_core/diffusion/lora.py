"""A low-rank adaptation (LoRA, Hu et al. 2021) of Stable Diffusion 1.5, merged: W + strength·alpha/rank·up·down.

Its file names layers as kohya's scripts do: `lora_unet_` and diffusers' name with underscores, followed by
`.lora_down.weight`, `.lora_up.weight` and `.alpha`. LCM-LoRA (Luo et al. 2023) and AnimateLCM (Wang et al. 2024) are
published so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import weights
from ..errors import InputError

UNET_PREFIX, TEXT_PREFIX = "lora_unet_", "lora_te_"
DOWN, UP, ALPHA = "lora_down.weight", "lora_up.weight", "alpha"
LCM_SAMPLING = {"scheduler": "lcm", "steps": 4, "guidance": 1.0}  # what an LCM LoRA is trained for
REMEDY = "use a LoRA for Stable Diffusion 1.5's U-Net, such as lcm-lora-sdv1-5"


@dataclass(frozen=True)
class Lora:
    """The U-Net's part of a LoRA; made by `load`.

    Attributes:
        path: its file.
        strength: factor of the change.
        layers: name in the file → `DOWN` [r, in, …], `UP` [out, r, …], and `ALPHA` [] where it is not the rank r.
    """

    path: Path
    strength: float
    layers: dict[str, dict[str, Tensor]]

    @classmethod
    def load(cls, path: Path, strength: float = 1.0) -> Lora:
        """Read a file; what it holds for the text encoder is left out.

        Raises:
            InputError: the file cannot be read, a key is not of a LoRA's, half of a layer is missing, or the strength
                is no number.
        """
        if not isinstance(strength, (int, float)) or not math.isfinite(strength):
            raise InputError(f"The LoRA's strength must be a number, not {strength!r}; use 1 for the LoRA as it is.")
        layers: dict[str, dict[str, Tensor]] = {}
        for key, value in weights.read(path, REMEDY).items():
            if key.startswith(TEXT_PREFIX):
                continue
            name, _, kind = key.partition(".")
            if not name.startswith(UNET_PREFIX) or kind not in (DOWN, UP, ALPHA):
                raise InputError(f"{path} is no LoRA that is read here: '{key}' is unknown; {REMEDY}.")
            layers.setdefault(name, {})[kind] = value
        if not layers:
            raise InputError(f"{path} does not change the U-Net; {REMEDY}.")
        for name, layer in layers.items():
            for kind in (DOWN, UP):
                if kind not in layer:
                    raise InputError(f"{path} is not whole: '{name}.{kind}' is missing; download it again.")
        return cls(path, strength, layers)

    def merge_into(self, unet: nn.Module) -> None:
        """Give the layers of a released U-Net new weights, in the precision of the former ones.

        Raises:
            InputError: the U-Net lacks a layer, or has it in another shape; its weights are as before.
        """
        known = {
            UNET_PREFIX + name.replace(".", "_"): module
            for name, module in unet.named_modules()
            if isinstance(module, (nn.Linear, nn.Conv2d))
        }
        for name, layer in self.layers.items():
            if name not in known:
                raise InputError(f"{self.path} does not fit: the U-Net has no layer for '{name}'; {REMEDY}.")
            self._check_shape(name, layer, known[name].weight)
        for name, layer in self.layers.items():
            weight = known[name].weight
            change = self._change(layer).reshape(weight.shape)
            known[name].weight = nn.Parameter((weight.float() + change).to(weight.dtype), requires_grad=False)

    def _check_shape(self, name: str, layer: dict[str, Tensor], weight: Tensor) -> None:
        down, up = layer[DOWN], layer[UP]
        expected, shape = list(weight.shape), [*up.shape[:1], *down.shape[1:]]
        if shape != expected:
            raise InputError(
                f"{self.path} does not fit: '{name}' changes weights of shape {shape}, the U-Net's are {expected}; "
                f"{REMEDY}."
            )
        if up.ndim < 2 or up[0].numel() != len(down) or layer.get(ALPHA, up.new_zeros(())).numel() != 1:
            raise InputError(f"{self.path} is damaged: the parts of '{name}' do not fit each other; download it again.")

    def _change(self, layer: dict[str, Tensor]) -> Tensor:
        """What is added to a layer's weights, as a matrix [out, in·…], float32."""
        down, up = layer[DOWN].float().flatten(1), layer[UP].float().flatten(1)
        rank = len(down)
        alpha = float(layer.get(ALPHA, torch.tensor(rank)))
        return self.strength * alpha / rank * (up @ down)
