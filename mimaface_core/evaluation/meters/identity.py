"""Identity similarity of output and source: CSIM by CurricularFace, and a weak bundled stand-in."""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from ... import host, weights
from ...appearance.identity import CurricularFace
from ..scores import HIGHER, Loaded, Missing, Score, WeightsFile, absent, measured
from .crops import framed_face, framing, recognition_face

CURRICULAR = WeightsFile("CurricularFace_Backbone.pth", "https://huggingface.co/MIMAFace/MIMAFace (models/ArcFace)")
CSIM = "cosine of CurricularFace (IR-101) embeddings of output and source, five points onto ArcFace's 112 pixels"
# Areas under the ROC curve by benchmarks/identity.py, on ten people in real photographs and videos: frames of one
# recording against other people, and frames under another light against other people under it.
STAND_IN = (
    "class token of the bundled appearance encoder, cosine to the source's (bundled, weak: it tells recordings "
    "apart, AUC 0.97, but not people under another light, AUC 0.57; never to be read as CSIM)"
)
Encoder = Callable[[Tensor], Tensor]  # crops [N, 3, H, W] in ±1 → tokens [N, T, D], class token first
Embedding = Callable[[Tensor, Tensor], Tensor]  # image [3, H, W] in ±1, landmarks [478, 3] → vector [D]


class IdentityMeter:
    """Cosine similarity between the embeddings of the output's frames and of the source.

    Args:
        embed: the embedding.
        source: the source's image, [3, H, W] in ±1.
        landmarks: the source's landmarks, [478, 3] in pixels.
    """

    def __init__(self, embed: Embedding, source: Tensor, landmarks: Tensor) -> None:
        self._embed = embed
        self._source = embed(source, landmarks)
        self._cosines: list[float] = []

    def update(self, image: Tensor, landmarks: Tensor) -> None:
        """Compare the next frame of the output, [3, H, W] in ±1, with landmarks [478, 3] in pixels."""
        self._cosines.append(float(F.cosine_similarity(self._embed(image, landmarks), self._source, dim=0)))

    @property
    def mean(self) -> float:
        """Mean cosine over the frames, in ±1."""
        return sum(self._cosines) / len(self._cosines)


@torch.no_grad()
def load_csim() -> Loaded[Embedding] | Missing:
    """CurricularFace's embedding, with the recognition head.

    Raises:
        InputError: the file is damaged or holds other weights.
    """
    file = CURRICULAR.find()
    if file is None:
        return Missing(CURRICULAR.remedy)
    net = CurricularFace()
    weights.fill(net, weights.read(file, CURRICULAR.remedy), file, CURRICULAR.remedy)
    net.eval().requires_grad_(False)
    host.current().load(net)

    def embed(image: Tensor, landmarks: Tensor) -> Tensor:
        crop = recognition_face(image, landmarks).to(host.current().device)
        return net.output_layer(rearrange(net(crop), "n (c h w) -> n c h w", c=512, h=7))[0].cpu()

    return Loaded(embed, file)


def class_token(encoder: Encoder) -> Embedding:
    """Embedding by an appearance encoder: the class token of the framed face."""

    @torch.no_grad()
    def embed(image: Tensor, landmarks: Tensor) -> Tensor:
        return encoder(framed_face(image, framing(landmarks))[None])[0, 0].cpu()

    return embed


def identity_scores(csim: Loaded[IdentityMeter] | Missing, stand_in: IdentityMeter | None) -> dict[str, Score]:
    """CSIM, or the reason why it is absent, and the stand-in under its own name.

    Args:
        csim: the meter of CurricularFace's embedding.
        stand_in: the meter of the bundled encoder's, None without an encoder.
    """
    if isinstance(csim, Missing):
        scores = {"csim": absent("CSIM", CSIM, csim.reason)}
    else:
        scores = {"csim": measured(csim.net.mean, "CSIM", "", HIGHER, CSIM, csim.weights)}
    if stand_in is not None:
        title = "appearance similarity (bundled, weak)"
        scores["appearance_similarity_bundled"] = measured(stand_in.mean, title, "", HIGHER, STAND_IN, "bundled pack")
    return scores
