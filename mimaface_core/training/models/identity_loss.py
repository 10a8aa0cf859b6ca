"""Equation 2 of the paper, L_id: InfoNCE over identities with temperature and memory bank; photometric positives."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import InputError
from ..engine.accelerator import MISSING

EMPTY = -1  # identity number of the bank's unused places


class IdentityLoss(nn.Module):
    """L_id, equation 2 of the paper: an ID token is nearer to its positives than to the tokens of other identities.

    L_id = −log( exp(z·z⁺/τ) / (exp(z·z⁺/τ) + Σ⁻ exp(z·z⁻/τ)) ), the mean over positives z⁺ and batch: InfoNCE
    (van den Oord et al. 2018) on unit vectors. The ID token z is the encoder's class token. Positives are the token of
    the same image, photometrically changed, and that of another image of the same person. Negatives z⁻ are the tokens
    of other persons in the batch and in a memory bank, a queue of tokens of former steps (MoCo, He et al. 2020);
    tokens of the same person are left out.

    Args:
        width: D, of the tokens.
        bank: tokens in the memory bank.
        temperature: τ.
    """

    # the memory bank, under the names that checkpoints hold
    tokens: Tensor
    persons: Tensor
    next: Tensor

    def __init__(self, width: int, bank: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.register_buffer("tokens", torch.zeros(bank, width))
        self.register_buffer("persons", torch.full((bank,), EMPTY))
        self.register_buffer("next", torch.zeros((), dtype=torch.long))

    def forward(self, token: Tensor, positives: list[Tensor], person: Tensor) -> Tensor:
        """The loss, a scalar; the tokens go into the memory bank.

        Args:
            token: [B, D], ID tokens.
            positives: [B, D] each.
            person: [B], identity numbers.
        """
        token, *positives = (F.normalize(x.float(), dim=-1) for x in (token, *positives))
        candidates = torch.cat([self.tokens, token.detach()])
        identities = torch.cat([self.persons, person])
        is_negative = (identities[None] != person[:, None]) & (identities != EMPTY)
        negatives = (token @ candidates.T).masked_fill(~is_negative, -torch.inf)
        losses = []
        for positive in positives:
            similarity = (token * positive).sum(-1, keepdim=True)
            logits = torch.cat([similarity, negatives], 1) / self.temperature
            losses.append(-torch.log_softmax(logits, 1)[:, 0].mean())
        self._enqueue(token.detach(), person)
        return torch.stack(losses).mean()

    @torch.no_grad()
    def _enqueue(self, token: Tensor, person: Tensor) -> None:
        places = (self.next + torch.arange(len(token), device=token.device)) % len(self.tokens)
        self.tokens[places], self.persons[places] = token, person
        self.next.copy_((self.next + len(token)) % len(self.tokens))


def verification_auc(tokens: Tensor, person: Tensor) -> float:
    """Area under the ROC curve of identity verification over all pairs: same person or not, by cosine similarity.

    Args:
        tokens: [N, D].
        person: [N], identity numbers.

    Returns:
        1 when every pair of one person is nearer than every pair of two, 0.5 by chance; NaN without both kinds.
    """
    unit = F.normalize(tokens.float(), dim=-1)
    similarity = unit @ unit.T
    first, second = torch.triu_indices(len(tokens), len(tokens), 1)
    is_same = person[first] == person[second]
    same, different = similarity[first, second][is_same], similarity[first, second][~is_same]
    if not len(same) or not len(different):
        return float("nan")
    return float(((same[:, None] > different).float() + 0.5 * (same[:, None] == different).float()).mean())


class Photometric(nn.Module):
    """Photometric augmentation for L_id: changes how an image was taken, not who is in it.

    Illumination, blur, vignette, noise, colour, contrast, grey, sharpness and edges, each with its own probability.

    Raises:
        InputError: kornia is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        try:
            import kornia.augmentation as K
        except ImportError as error:
            raise InputError(MISSING) from error
        # in the order of a camera: light, lens, sensor, development
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
    def forward(self, images: Tensor, seed: int) -> Tensor:
        """Changed images, float32.

        Args:
            images: [N, 3, S, S] in 0–1.
            seed: the same seed gives the same changes; the global random state stays as it was.
        """
        with torch.random.fork_rng(), torch.autocast(images.device.type, enabled=False):
            torch.manual_seed(seed)
            lit = self.light(images)
            shaded = vignette(self.lens(lit), _drawn_strength(images, 0.3, 0.7))
            developed = self.development(self.sensor(shaded).clamp(0, 1))
            return edge_enhance(developed, _drawn_strength(images, 0.3, 0.5)).clamp(0, 1)


def _drawn_strength(images: Tensor, probability: float, maximum: float) -> Tensor:
    """A random strength for each image [N, 1, 1, 1]: 0–maximum with that probability, else 0."""
    chosen, strength = torch.rand(2, len(images), 1, 1, 1)
    return (maximum * strength * (chosen < probability)).to(images)


def vignette(images: Tensor, strength: Tensor) -> Tensor:
    """Images that darken towards their corners.

    Args:
        images: [N, 3, S, S].
        strength: [N, 1, 1, 1], share of the light, 0–1, that the corners lose.
    """
    across = torch.linspace(-1, 1, images.shape[-1], device=images.device)
    radius = (across[:, None].square() + across.square()) / 2
    return images * (1 - strength * radius)


def edge_enhance(images: Tensor, strength: Tensor) -> Tensor:
    """Images minus their Laplacian.

    Args:
        images: [N, 3, S, S].
        strength: [N, 1, 1, 1], of the Laplacian.
    """
    from kornia.filters import laplacian

    return images - strength * laplacian(images, 3, normalized=False) / 4
