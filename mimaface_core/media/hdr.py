"""High dynamic range (PQ and HLG, BT.2020) as sRGB, by a tone map with a knee.

Diffuse white is 203 cd/m² (ITU-R BT.2408) and the brightest highlight that keeps a trace is 1000 cd/m².
"""

from __future__ import annotations

import torch
from torch import Tensor

# Transfer characteristics by their number in ITU-T H.273.
PQ, HLG = 16, 18
_WHITE_NITS, _PEAK_NITS = 203.0, 1000.0
_KNEE = 0.5  # of diffuse white; darker is not changed
_TO_BT709 = torch.tensor([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
_LUMINANCE = torch.tensor([0.2627, 0.6780, 0.0593])  # of BT.2020's primaries


def to_sdr(values: Tensor, transfer: int) -> Tensor:
    """Coded values of a frame as sRGB.

    Args:
        values: float32 [H, W, 3] in 0–1, BT.2020, coded by `transfer`.
        transfer: `PQ` or `HLG`.

    Returns:
        uint8 [H, W, 3].
    """
    light = _pq(values) if transfer == PQ else _hlg(values)
    # The curve is applied to the brightest channel, and the others keep their ratio to it: hues stay.
    brightest = light.amax(-1, keepdim=True).clamp_min(1e-6)
    light = light * (_mapped(brightest) / brightest)
    linear = (light @ _TO_BT709.T).clamp(0, 1)
    coded = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(1e-9) ** (1 / 2.4) - 0.055)
    return (coded * 255).round().to(torch.uint8)


def _pq(values: Tensor) -> Tensor:
    """SMPTE ST 2084's curve: light, 1 at diffuse white."""
    power = values.clamp(0, 1) ** (1 / 78.84375)
    nits = 10000 * ((power - 0.8359375).clamp_min(0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
    return nits / _WHITE_NITS


def _hlg(values: Tensor) -> Tensor:
    """ARIB STD-B67's curve with the system gamma of a 1000 cd/m² display: light, 1 at diffuse white."""
    values = values.clamp(0, 1)
    scene = torch.where(values <= 0.5, values**2 / 3, (((values - 0.55991073) / 0.17883277).exp() + 0.28466892) / 12)
    gain = (scene @ _LUMINANCE).clamp_min(1e-6)[..., None] ** 0.2
    return scene * gain * _PEAK_NITS / _WHITE_NITS


def _mapped(light: Tensor) -> Tensor:
    """As ITU-R BT.2390 shapes it: unchanged up to a knee, above it compressed (extended Reinhard) to 1 at the peak."""
    above = (light - _KNEE).clamp_min(0) / (1 - _KNEE)
    peak = (_PEAK_NITS / _WHITE_NITS - _KNEE) / (1 - _KNEE)
    mapped = _KNEE + (1 - _KNEE) * above * (1 + above / peak**2) / (1 + above)
    return torch.where(light <= _KNEE, light, mapped).clamp(0, 1)
