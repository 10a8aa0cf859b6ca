"""Speech features by a wav2vec 2.0 or HuBERT of transformers, of a voice of any length in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import host
from ..audio.speech import SAMPLE_RATE
from ..audio.streams import streamed
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

    def features(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Features of a voice, two tokens a frame.

        Args:
            blocks: samples [n] at 16 kHz, one after another.

        Yields:
            [2n, V] for frames of 25 a second, as many as cover the voice.
        """
        return streamed(EncodedSpeech(self.network), blocks)


class EncodedSpeech:
    """The last hidden states of an encoder of a voice that comes in blocks of samples at 16 kHz: [2n, V].

    Args:
        network: the encoder.
        chunk: frames that are encoded at once; fewer are known sooner, and cost more.
        context: frames to either side that are encoded with them.

    Attributes:
        ahead: seconds of voice that a frame waits for.
    """

    def __init__(self, network: nn.Module, chunk: int = CHUNK, context: int = CONTEXT) -> None:
        self.network, self.chunk, self.context = network, chunk, context
        self.ahead = (chunk + context) * FRAME / SAMPLE_RATE
        self._before, self._pending = torch.zeros(0), torch.zeros(0)
        config: Any = network.config
        self._nothing = torch.zeros(0, config.hidden_size)

    def add(self, block: Tensor) -> Tensor:
        """The tokens that are known after the next samples [n]."""
        self._pending = torch.cat([self._pending, block])
        tokens = [self._nothing]
        while len(self._pending) >= (self.chunk + self.context) * FRAME:
            tokens.append(self._encode(self._pending[: (self.chunk + self.context) * FRAME], self.chunk))
            done, self._pending = self._pending[: self.chunk * FRAME], self._pending[self.chunk * FRAME :]
            self._before = torch.cat([self._before, done])[-CONTEXT * FRAME :]
        return torch.cat(tokens)

    def finish(self) -> Tensor:
        """The tokens that are left, to a whole frame."""
        frames = -(-len(self._pending) // FRAME)
        if not frames:
            return self._nothing
        return self._encode(torch.cat([self._pending, torch.zeros(frames * FRAME - len(self._pending))]), frames)

    @torch.no_grad()
    def _encode(self, samples: Tensor, frames: int) -> Tensor:
        """Tokens [2·frames, V] of the samples' first frames, heard after those before."""
        current = host.current()
        current.check_cancelled()
        heard = torch.cat([self._before, samples])
        heard = (heard - heard.mean()) / heard.std().clamp(min=MIN_DEVIATION)
        heard = torch.cat([heard, torch.zeros(FIELD - TOKEN)])  # so that each TOKEN samples give a token
        with current.load(self.network):
            tokens = self.network(heard[None].to(current.device)).last_hidden_state[0].float().cpu()
        first = len(self._before) // TOKEN
        return tokens[first : first + 2 * frames]
