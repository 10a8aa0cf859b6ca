"""Speech features by a wav2vec 2.0 or HuBERT of transformers, of a voice of any length in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import host
from ..errors import InputError
from ..weights import READ_ERRORS

FRAME = 640  # samples of a frame of 25 a second, at 16 kHz: two tokens
TOKEN = 320  # samples from token to token
FIELD = 400  # samples that a token sees in the first layers
CHUNK = 250  # frames that are encoded at once, 10 seconds
CONTEXT = 25  # frames to either side that are encoded with them
MIN_DEVIATION = 1e-5  # of a chunk's samples, which are normalised


class SpeechEncoder:
    """The last hidden states of a base-size encoder, 50 a second.

    Args:
        network: a model of transformers, which takes samples [B, T] and gives `last_hidden_state`.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: Path) -> SpeechEncoder:
        """The encoder in a folder of transformers; nothing is fetched, and no code of the folder is run.

        Raises:
            InputError: the folder holds no model that can be used.
        """
        from safetensors import SafetensorError
        from transformers import AutoModel

        try:
            network = AutoModel.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (*READ_ERRORS, SafetensorError) as error:
            raise InputError(
                f"{folder} holds no speech encoder that can be loaded ({error}); put a wav2vec 2.0 or HuBERT of"
                " transformers there."
            ) from error
        if getattr(network.config, "model_type", None) not in ("wav2vec2", "hubert"):
            raise InputError(f"{folder} holds no wav2vec 2.0 or HuBERT; put one of transformers there.")
        return cls(network)

    @torch.no_grad()
    def features(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Features of a voice, two tokens a frame.

        Args:
            blocks: samples [n] at 16 kHz, one after another.

        Yields:
            [2n, V] for frames of 25 a second, as many as cover the voice.
        """
        before, pending = torch.zeros(0), torch.zeros(0)
        with host.current().load(self.network):
            for block in blocks:
                pending = torch.cat([pending, block])
                while len(pending) >= (CHUNK + CONTEXT) * FRAME:
                    yield self._encode(before, pending[: (CHUNK + CONTEXT) * FRAME], CHUNK)
                    before = pending[(CHUNK - CONTEXT) * FRAME : CHUNK * FRAME]
                    pending = pending[CHUNK * FRAME :]
            frames = -(-len(pending) // FRAME)
            if frames:
                rest = torch.cat([pending, torch.zeros(frames * FRAME - len(pending))])
                yield self._encode(before, rest, frames)

    def _encode(self, before: Tensor, samples: Tensor, frames: int) -> Tensor:
        """Tokens [2·frames, V] of the samples' first frames, heard after those before."""
        host.current().check_cancelled()
        heard = torch.cat([before, samples])
        heard = (heard - heard.mean()) / heard.std().clamp(min=MIN_DEVIATION)
        heard = torch.cat([heard, torch.zeros(FIELD - TOKEN)])  # so that each TOKEN samples give a token
        tokens = self.network(heard[None].to(host.current().device)).last_hidden_state[0].float().cpu()
        first = len(before) // TOKEN
        return tokens[first : first + 2 * frames]
