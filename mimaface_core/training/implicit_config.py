"""Typed configuration of IF-MDM's training, as `config` has it for MIMAFace's."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..packs.entries import PackNotes
from ..typed_config import read_config
from .config import LoopConfig, Precision, named_json

CONFIGS = Path(__file__).parent / "configs" / "implicit"


@dataclass(frozen=True, kw_only=True)
class MovesConfig:
    """Stage `moves`: images of people in motion, for stage `generator`."""

    people: int  # drawn ones
    frames: int  # images of each person
    portraits: str | None = None  # folder of photographs that are moved, one person each
    videos: str | None = None  # folder of videos of people; those who are heard are data of stage `transformer`, too
    size: int = 256  # pixels, side of the images; no less than the generator's


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig(LoopConfig):
    """Stage `generator`: IF-MDM's stage 1."""

    width: int  # see `implicit.generator.Generator`, as the following
    style: int
    refine: int = 0
    fill: bool = True
    sizes: dict[str, float]  # sides of the images, from small to large, each trained for a share of steps and minutes
    batch: int
    drawn: int | None = None  # side of what is drawn, see `implicit.generator.Generator`
    told: float = 0.5  # share of the images that are drawn by their true codes instead of measured ones
    vgg: str | None = None  # file of torchvision's VGG19, for the perceptual loss
    judged: bool = True  # by a discriminator, at the last size

    def __post_init__(self) -> None:
        super().__post_init__()
        sides = [int(side) for side in self.sizes]
        if not sides or any(2 * a != b for a, b in pairwise(sides)):
            raise ValueError("sizes must double from one to the next")

    def network(self, size: int) -> dict[str, Any]:
        """Arguments of `implicit.generator.Generator` for images of a side."""
        return {"size": size, **{name: getattr(self, name) for name in ("width", "style", "refine", "fill", "drawn")}}


@dataclass(frozen=True, kw_only=True)
class SpokenConfig:
    """Stage `spoken`: synthetic speech and the motion of people who speak it, for stage `transformer`."""

    items: int  # recordings; 0 where videos are enough
    seconds: float  # of each recording, at least
    takes: int  # people for each recording


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(LoopConfig):
    """Stage `transformer`: IF-MDM's stage 2."""

    variant: str  # of `implicit.transformer.VARIANTS`
    batch: int


@dataclass(frozen=True, kw_only=True)
class ImplicitPackConfig(PackNotes):
    """The pack that stage `implicit` writes.

    Attributes:
        picture_size: side of finished frames in pixels; the generator's when None.
    """

    name: str
    version: str
    picture_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class ImplicitConfig:
    """The whole configuration of a training of IF-MDM."""

    moves: MovesConfig
    generator: GeneratorConfig
    renderer: GeneratorConfig
    spoken: SpokenConfig
    transformer: TransformerConfig
    pack: ImplicitPackConfig
    precision: Precision = "fp32"


def load_implicit_config(name: str) -> ImplicitConfig:
    """A configuration by its name in `configs/implicit/`, or by the path of a JSON file.

    Raises:
        InputError: there is none, it lacks a setting, or it has one that is unknown or of another type.
    """
    return read_config(ImplicitConfig, *named_json(name, CONFIGS))
