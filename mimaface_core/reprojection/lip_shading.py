"""Shade of the lips on what lies behind them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LipShading:
    """Shade of the lips on the mouth's inside.

    Attributes:
        exponents: of the light that passes the lips, in red, green and blue: it reddens.
        loss: share of the light that full cover takes.
        reach: pixels, blur of the shade.
        drop: pixels by which it falls lower.
        pout_loss: share of the teeth's light that is lost with every model unit that lips are pushed forwards.
        usual_depth: model units from the lips to the teeth without that.
        max_pout: model units.
        wet: darkening of the lips where they roll in to an opening that the photograph does not show, in red, green
            and blue.
        wet_reach: pixels, blur of that darkening.
    """

    exponents: tuple[float, float, float] = (0.42, 0.58, 0.58)
    loss: float = 0.93
    reach: float = 5.0
    drop: int = 4
    pout_loss: float = 9.0
    usual_depth: float = 0.06
    max_pout: float = 0.1
    wet: tuple[float, float, float] = (0.3, 0.5, 0.45)
    wet_reach: float = 2.0


LIP_SHADING = LipShading()
