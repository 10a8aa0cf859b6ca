"""A pack for implicit motion: generator, motion transformer and the way speech is heard, loaded on first use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from .. import host
from ..audio.speech import Speech
from ..errors import InputError
from ..face.extract_by_fit import FitExtractor
from ..implicit.face_codes import FaceMovements
from ..implicit.generator import Generator
from ..implicit.groups import Groups
from ..implicit.speech import SpeakSettings
from ..implicit.speech_encoder import EncodedSpeech, SpeechEncoder
from ..implicit.transformer import MotionTransformer
from ..implicit.voice_features import VoiceFeatures, voice_features
from ..morphable.bundled.face import bundled_face
from .entries import MANIFEST, REMEDY
from .files import fill
from .implicit_manifest import BUNDLED_SPEECH, ImplicitManifest, read_implicit_manifest
from .pack import BUNDLED_PACK, ModelPack

BUNDLED_IMPLICIT = Path(__file__).parent / "bundled_implicit"

Network = TypeVar("Network", bound=nn.Module)
# What hears a live voice waits for: mel frames of the bundled network; frames of an encoder, and of what follows them.
LIVE_CHUNK, LIVE_FRAMES, LIVE_CONTEXT = 8, 5, 10


class ImplicitPack:
    """What animates a face by implicit motion, behind one manifest.

    Opening a pack reads its manifest only. The parts are loaded when first used, in evaluation mode and without
    gradients; in float32 whatever the file's precision, the generator on a GPU in float16.

    Args:
        folder: the folder of the manifest and the weights.
        manifest: its manifest.

    Raises:
        InputError: a file that the manifest names is missing.
    """

    def __init__(self, folder: Path, manifest: ImplicitManifest) -> None:
        self.folder, self.manifest = folder, manifest
        manifest.check_files(folder)

    @classmethod
    def load(cls, folder: str | Path) -> ImplicitPack:
        """Open the pack in a folder.

        Raises:
            InputError: there is none, it is not usable, or it is of a face model.
        """
        return cls(Path(folder), read_implicit_manifest(Path(folder)))

    @property
    def name(self) -> str:
        """The pack's name."""
        return self.manifest.name

    @property
    def groups(self) -> Groups:
        """Dimensions of the motion codes by the part of the face that they move; empty where they mix them."""
        return self.manifest.groups

    @property
    def image_size(self) -> int:
        """Side of finished frames in pixels."""
        return self.manifest.image_size or self.generator.size

    def speaking(self, **changes: Any) -> SpeakSettings:
        """How motion is made of speech: the pack's own settings, with those that are given in place of them.

        Args:
            changes: of `SpeakSettings`; None for the pack's own.

        Raises:
            InputError: a value that is out of range.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        return SpeakSettings(**{**vars(self.manifest.speaking), **given})

    @cached_property
    def generator(self) -> Generator:
        """Stage 1: encodes a source, measures motion, draws it."""
        on_gpu = host.current().device.type == "cuda"
        return self._part("generator", Generator, torch.float16 if on_gpu else torch.float32)

    @cached_property
    def transformer(self) -> MotionTransformer:
        """Stage 2: motion from speech. Raises InputError when the pack has none."""
        return self._part("transformer", MotionTransformer)

    @cached_property
    def movements(self) -> FaceMovements | None:
        """The face's movements that the codes stand for; None where the generator alone knows them."""
        file = self.manifest.movements
        return None if file is None else FaceMovements.load(self.folder / file)

    def speech_features(self, speech: Speech) -> Iterator[Tensor]:
        """Features of a voice in blocks [2n, V], two tokens a frame of 25 a second.

        Raises:
            InputError: the speech encoder that the pack names is not there.
        """
        if self.manifest.speech == BUNDLED_SPEECH:
            return voice_features(speech, self._voice.audio)
        return self._encoder.features(speech.blocks())

    def live_features(self) -> VoiceFeatures | EncodedSpeech:
        """Features of a voice that comes in blocks of samples at 16 kHz, as soon as they can be told.

        Raises:
            InputError: the speech encoder that the pack names is not there.
        """
        if self.manifest.speech == BUNDLED_SPEECH:
            return VoiceFeatures(self._voice.audio, LIVE_CHUNK)
        return EncodedSpeech(self._encoder.network, LIVE_FRAMES, LIVE_CONTEXT)

    def verify(self) -> dict[str, dict[str, int]]:
        """Load every part, one after another.

        Returns:
            Part → `parameters` and `bytes` of its file.

        Raises:
            InputError: a part does not load; the message names file, key and remedy.
        """
        report = {}
        for part, file in self.manifest.weight_files.items():
            if part == "movements":
                count = 0 if self.movements is None else self.movements.face.numel()
            else:
                network: nn.Module = self.generator if part == "generator" else self.transformer
                count = sum(parameter.numel() for parameter in network.parameters())
            report[part] = {"parameters": count, "bytes": (self.folder / file).stat().st_size}
        return report

    @property
    def extractor(self) -> FitExtractor:
        """Measures faces for packs whose codes have names, in crops of the pack's own share."""
        return FitExtractor(bundled_face(), self.manifest.face_share)

    @cached_property
    def _voice(self) -> ModelPack:
        """The bundled pack, for its voice network."""
        return ModelPack.load(BUNDLED_PACK)

    @cached_property
    def _encoder(self) -> SpeechEncoder:
        name = self.manifest.speech
        places = [self.folder / name, *(models / name for models in (self.folder.parent, *_models()))]
        for place in places:
            if (place / "config.json").is_file():
                return SpeechEncoder.load(place)
        raise InputError(
            f"The pack '{self.name}' hears speech by {name}, which is not there; put that folder of transformers (with"
            f" config.json) into {self.folder}."
        )

    def _part(self, part: str, build: Callable[..., Network], dtype: torch.dtype = torch.float32) -> Network:
        """Build a part from its configuration and fill it from its file."""
        entry = self.manifest.parts.get(part)
        if entry is None:
            raise InputError(
                f"The pack '{self.name}' has no {part}, which makes motion of speech; choose one that brings it, or"
                " drive by a video."
            )
        network = _built(build, entry.config, f"{self.folder / MANIFEST}: {part}.config")
        fill(network, self.folder / entry.file, dtype)
        return network.eval().requires_grad_(False)


def _models() -> list[Path]:
    return host.current().models_folders()


def _built(build: Callable[..., Network], config: dict[str, Any], where: str) -> Network:
    try:
        with torch.device("meta"):
            return build(**config)
    except Exception as error:  # PyTorch refuses values in many ways
        raise InputError(f"{where} cannot be built ({type(error).__name__}: {error}); {REMEDY}.") from error
