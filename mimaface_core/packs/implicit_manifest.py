"""The typed manifest of a pack for implicit motion (IF-MDM)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import InputError
from ..implicit.groups import check_groups
from ..typed_config import read_config
from .entries import IMPLICIT, MANIFEST, REMEDY, PackManifest, PartEntry, read_content

BUNDLED_SPEECH = "bundled"  # speech is heard by the bundled pack's voice network


@dataclass(frozen=True)
class SpeakingEntry:
    """Defaults of speaking: sampler, number of denoising steps, strength of guidance, mean of the motion."""

    sampler: Literal["ancestral", "ddim"] = "ancestral"
    steps: int = 50
    guidance: float = 2.5
    mean: Literal["free", "posture", "last frame"] = "posture"


@dataclass(frozen=True, kw_only=True)
class ImplicitManifest(PackManifest):
    """Content of `manifest.json` of a pack for implicit motion.

    Attributes:
        method: `implicit`, by which the two kinds of packs are told apart.
        generator: stage 1; `config` are the arguments of `implicit.generator.Generator`.
        transformer: stage 2, without which only clips drive; of `implicit.transformer.MotionTransformer`.
        speech: how the transformer hears: `bundled`, or the name of a folder with a wav2vec 2.0 or HuBERT of
            transformers, in the pack's folder or beside the packs.
        speaking: defaults of how motion is made of speech.
        groups: dimensions of the motion codes that belong together, by name (`implicit.groups.GROUPS`); none where
            directions mix them.
        movements: file of the face's movements that the codes stand for (`implicit.face_codes`), in packs whose codes
            have names; a tracker then measures them.
        image_size: side of finished frames in pixels, on which the source's own detail is carried along; the
            generator's frames as they are when None. In the file `picture_size`.
        face_share: share of the crop's side that the face's box fills; as in the authors' samples when left out.
    """

    method: str
    generator: PartEntry
    transformer: PartEntry | None = None
    speech: str = BUNDLED_SPEECH
    speaking: SpeakingEntry = field(default_factory=SpeakingEntry)
    groups: dict[str, list[int]] = field(default_factory=dict)
    movements: str | None = None
    image_size: int | None = field(default=None, metadata={"key": "picture_size"})
    face_share: float = 0.5

    def __post_init__(self) -> None:
        self.check_names()
        if Path(self.speech).name != self.speech:
            raise ValueError("'speech' is not the name of a folder")
        if self.image_size is not None and not 16 <= self.image_size <= 4096:
            raise ValueError(f"picture_size {self.image_size} is not from 16 to 4096")
        if self.transformer is not None and self.transformer.config.get("dimensions", 20) != self.dimensions:
            raise ValueError("generator.config.dimensions differs from transformer.config.dimensions")
        check_groups(self.groups, self.dimensions)

    @property
    def weight_files(self) -> dict[str, str]:
        """File names of the parts with weights, and of the movements."""
        files = super().weight_files
        return files if self.movements is None else {**files, "movements": self.movements}

    @property
    def dimensions(self) -> int:
        """K, of a motion code."""
        return self.generator.config.get("dimensions", 20)

    @property
    def remake(self) -> str:
        """How a converted pack is made again, from `FOLDER`."""
        return "`mimaface pack convert STAGE1 FOLDER` from the checkpoints of IF-MDM"


def read_implicit_manifest(folder: Path) -> ImplicitManifest:
    """The manifest in the folder of a pack for implicit motion.

    Raises:
        InputError: there is none, it is not usable, or it is of a pack with a face model.
    """
    content = read_content(folder)
    if content.get("method") != IMPLICIT:
        raise InputError(
            f"The pack {folder} has a face model and no implicit motion; choose one for implicit motion here, such as"
            " bundled-implicit."
        )
    return read_config(ImplicitManifest, content, str(folder / MANIFEST), REMEDY)
