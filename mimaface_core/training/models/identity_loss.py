"""Identity modulation: photometric changes of the source, a memory bank of ID tokens, and the contrastive loss L_id."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import InputError
from ..engine.accelerator import MISSING

EMPTY = -1  # in place of a person, where the bank is not filled yet


class Photometric(nn.Module):
    """Changes how a picture was taken and not who is in it.

    Grey, colour, edges, sharpness, blur, light, noise, vignette and contrast, each with a probability of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        try:
            import kornia.augmentation as K
        except ImportError as error:
            raise InputError(MISSING) from error
        # no changes are kept, so the order is that of a camera: light, lens, sensor, development
        self.light = nn.Sequential(
            K.RandomLinearIllumination(gain=(0.05, 0.35), p=0.4), K.RandomGaussianIllumination(gain=(0.05, 0.35), p=0.3)
        )
        self.lens = K.RandomGaussianBlur((7, 7), (0.4, 2.0), p=0.3)
        self.sensor = K.RandomGaussianNoise(std=0.04, p=0.3)
        self.development = nn.Sequential(
            K.ColorJitter(0.3, 0.3, 0.3, 0.06, p=0.5),
            K.RandomContrast((0.7, 1.3), p=0.3),
            K.RandomGrayscale(p=0.15),
            K.RandomSharpness((0.3, 2.0), p=0.3),
        )

    @torch.no_grad()
    def forward(self, pictures: Tensor, seed: int) -> Tensor:
        """Changed pictures [N, 3, S, S] in 0–1, float32; the same seed gives the same changes."""
        with torch.random.fork_rng(), torch.autocast(pictures.device.type, enabled=False):
            torch.manual_seed(seed)
            lit = self.light(pictures)
            seen = vignette(self.lens(lit), _drawn(pictures, 0.3, 0.7))
            made = self.development(self.sensor(seen).clamp(0, 1))
            return edge_enhance(made, _drawn(pictures, 0.3, 0.5)).clamp(0, 1)


def _drawn(pictures: Tensor, share: float, most: float) -> Tensor:
    """A strength for each picture [N, 1, 1, 1]: 0 … most for a `share` of them, 0 for the others."""
    chosen, strength = torch.rand(2, len(pictures), 1, 1, 1)
    return (most * strength * (chosen < share)).to(pictures)


def vignette(pictures: Tensor, strength: Tensor) -> Tensor:
    """Pictures [N, 3, S, S] darker towards their corners, by `strength` [N, 1, 1, 1] of 0–1 in the corners."""
    across = torch.linspace(-1, 1, pictures.shape[-1], device=pictures.device)
    radius = (across[:, None].square() + across.square()) / 2
    return pictures * (1 - strength * radius)


def edge_enhance(pictures: Tensor, strength: Tensor) -> Tensor:
    """Pictures [N, 3, S, S] with their Laplacian taken off, by `strength` [N, 1, 1, 1]."""
    from kornia.filters import laplacian

    return pictures - strength * laplacian(pictures, 3, normalized=False) / 4


class IdentityLoss(nn.Module):
    """L_id, equation 2 of the paper: a person's ID token is nearer to its positives than to everybody else's tokens.

    The ID token is the encoder's class token. Positives are the token of the same picture, photometrically changed,
    and that of another picture of the same person. Negatives are the tokens of other persons in the batch and in a
    memory bank, a queue of tokens of former steps (He et al. 2020); the bank's tokens of the same person are left out.

    width: of the tokens. bank: tokens remembered. temperature: τ.
    """

    def __init__(self, width: int, bank: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.register_buffer("tokens", torch.zeros(bank, width))
        self.register_buffer("persons", torch.full((bank,), EMPTY))
        self.register_buffer("next", torch.zeros((), dtype=torch.long))

    def forward(self, token: Tensor, positives: list[Tensor], person: Tensor) -> Tensor:
        """The loss of ID tokens [B, D] with their positives, each [B, D], of persons [B]; remembers the tokens."""
        token, *positives = (F.normalize(x.float(), dim=-1) for x in (token, *positives))
        others = torch.cat([self.tokens, token.detach()])
        known = torch.cat([self.persons, person])
        negative = (known[None] != person[:, None]) & (known != EMPTY)
        apart = (token @ others.T).masked_fill(~negative, -torch.inf)
        losses = []
        for positive in positives:
            near = (token * positive).sum(-1, keepdim=True)
            losses.append(-torch.log_softmax(torch.cat([near, apart], 1) / self.temperature, 1)[:, 0].mean())
        self._remember(token.detach(), person)
        return torch.stack(losses).mean()

    @torch.no_grad()
    def _remember(self, token: Tensor, person: Tensor) -> None:
        places = (self.next + torch.arange(len(token), device=token.device)) % len(self.tokens)
        self.tokens[places], self.persons[places] = token, person
        self.next.copy_((self.next + len(token)) % len(self.tokens))


def identity_accuracy(tokens: Tensor, person: Tensor) -> float:
    """How well tokens [N, D] tell persons [N] apart: how often two of one person are nearer than two of different ones.

    1 is always, 0.5 by chance (the area under the ROC curve over all pairs). NaN without both kinds of pairs.
    """
    near = F.normalize(tokens.float(), dim=-1) @ F.normalize(tokens.float(), dim=-1).T
    first, second = torch.triu_indices(len(tokens), len(tokens), 1)
    same = person[first] == person[second]
    one, other = near[first, second][same], near[first, second][~same]
    if not len(one) or not len(other):
        return float("nan")
    return float(((one[:, None] > other).float() + 0.5 * (one[:, None] == other).float()).mean())
