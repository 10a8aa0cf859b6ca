"""CLIP's image encoder: its pre-processing, and the transformers model built from a plain configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from transformers import CLIPVisionModel

# Mean and standard deviation of CLIP's training images (Radford et al. 2021).
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def clip_pixels(crop: Tensor, size: int) -> Tensor:
    """Face crops pre-processed for CLIP.

    Args:
        crop: [B, 3, H, W] in ±1, square.
        size: side of CLIP's input in pixels.

    Returns:
        [B, 3, size, size], normalised by CLIP's mean and standard deviation.

    Raises:
        ValueError: the crop is not a batch of RGB images.

    Example:
        >>> clip_pixels(torch.zeros(1, 3, 512, 512), 224).shape
        torch.Size([1, 3, 224, 224])
    """
    if crop.ndim != 4 or crop.shape[1] != 3:
        raise ValueError(f"CLIP reads RGB images [B, 3, H, W], not {list(crop.shape)}")
    pixels = (crop + 1) / 2
    if pixels.shape[-2:] != (size, size):
        pixels = F.interpolate(pixels, (size, size), mode="bicubic", antialias=True)
    pixels = pixels.clamp(0, 1)
    mean, std = (pixels.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return (pixels - mean) / std


def build_vision(config: dict[str, Any]) -> CLIPVisionModel:
    """Build CLIP's vision transformer, without the text half and without the projection.

    Args:
        config: arguments of transformers' `CLIPVisionConfig`.

    Returns:
        A module whose call gives `last_hidden_state` [B, 1 + patches, hidden], class token first, before the
        post layer norm. Its keys are the same in every generation of transformers (older ones wrap the model
        once more).
    """
    from transformers import CLIPVisionConfig, CLIPVisionModel

    model = CLIPVisionModel(CLIPVisionConfig(**config))
    model = getattr(model, "vision_model", model)
    # Not in any file, so they must hold their values even where the rest is built without memory.
    embeddings = model.embeddings
    positions = torch.arange(embeddings.num_positions, device="cpu")[None]
    embeddings.register_buffer("position_ids", positions, persistent=False)
    return model


def input_size(vision: CLIPVisionModel) -> int:
    """Side of the encoder's square input in pixels."""
    size = vision.config.image_size
    assert isinstance(size, int), "CLIP's images are square"
    return size


def vision_tokens(vision: CLIPVisionModel, crop: Tensor) -> Tensor:
    """CLIP tokens [B, 1 + patches, hidden], class token first, of crops [B, 3, H, W] in ±1."""
    weight = vision.embeddings.patch_embedding.weight
    pixels = clip_pixels(crop.float(), input_size(vision))
    return vision(pixel_values=pixels.to(weight.device, weight.dtype)).last_hidden_state
