"""Whether the output still shows the source's person: CSIM by CurricularFace, and a weak stand-in for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ... import host, weights
from ...appearance.identity import CurricularFace
from ..scores import HIGHER, Score, Weights, absent, measured
from .crops import recognition_face

CURRICULAR = Weights("CurricularFace_Backbone.pth", "https://huggingface.co/MIMAFace/MIMAFace (models/ArcFace)")
CSIM = "cosine of CurricularFace (IR-101) embeddings of output and source, five points onto ArcFace's 112 pixels"
# Areas under the curve by benchmarks/identity.py, on ten people in real photographs and clips: frames of one
# recording against other people, and frames under another light against other people under it.
STAND_IN = (
    "class token of the bundled appearance encoder, cosine to the source's (bundled, weak: it tells recordings "
    "apart, AUC 0.97, but not people under another light, AUC 0.57; never to be read as CSIM)"
)
Encoder = Callable[[Tensor], Tensor]  # crops [N, 3, H, W] in ±1 → tokens [N, T, D], class token first


class Identity:
    """Cosines between the embeddings of the output's frames and of the source.

    embed: pictures [3, H, W] in ±1 and landmarks [478, 3] to a vector [D].
    """

    def __init__(self, embed: Callable[[Tensor, Tensor], Tensor], source: Tensor, landmarks: Tensor) -> None:
        self._embed = embed
        self._source = embed(source, landmarks)
        self._cosines: list[float] = []

    def see(self, picture: Tensor, landmarks: Tensor) -> None:
        """Look at a frame of the output, [3, H, W] in ±1."""
        self._cosines.append(float(F.cosine_similarity(self._embed(picture, landmarks), self._source, dim=0)))

    @property
    def mean(self) -> float:
        """Over the frames."""
        return sum(self._cosines) / len(self._cosines)


@torch.no_grad()
def load_csim() -> tuple[Callable[[Tensor, Tensor], Tensor] | None, Path | str]:
    """CurricularFace's embedding and where its weights are; None and the reason where they are absent.

    Raises InputError when the file is damaged or holds other weights.
    """
    file = CURRICULAR.find()
    if file is None:
        return None, CURRICULAR.wanted
    net = CurricularFace()
    weights.fill(net, weights.read(file, CURRICULAR.wanted), file, CURRICULAR.wanted)
    net.eval().requires_grad_(False)
    host.current().load(net)

    def embed(picture: Tensor, landmarks: Tensor) -> Tensor:
        crop = recognition_face(picture, landmarks).to(host.current().device)
        return net.output_layer(net(crop).view(1, 512, 7, 7))[0].cpu()

    return embed, file


def identity_scores(csim: Identity | None, where: Path | str, stand_in: Identity | None) -> dict[str, Score]:
    """CSIM, or why there is none; and the stand-in's score under its own name, where there is one."""
    if csim is None:
        found = {"csim": absent("CSIM", CSIM, str(where))}
    else:
        found = {"csim": measured(csim.mean, "CSIM", "", HIGHER, CSIM, where)}
    if stand_in is not None:
        title = "appearance similarity (bundled, weak)"
        found["appearance_similarity_bundled"] = measured(stand_in.mean, title, "", HIGHER, STAND_IN, "bundled pack")
    return found
