"""What a person may be asked to do."""

from __future__ import annotations

from dataclasses import dataclass

from mjx_msm.common.arguments import number
from mjx_msm.common.errors import InputError


@dataclass(frozen=True)
class Comfort:
    """What a person may be asked to do."""

    margin: float = 0.05
    """Free coordinates keep off both ends of their range by this part of it."""
    speed: float = 8.0
    """Of a free coordinate, at most [rad/s or m/s]."""
    excitation: tuple[float, float] = (0.01, 0.5)
    """Least and most of every channel, of a maximal voluntary contraction."""
    slope: float = 4.0
    """Of an excitation, at most [1/s]."""
    band: float = 2.5
    """Excitations hold frequencies up to about this [Hz]: their splines have a knot every half period."""

    def __post_init__(self) -> None:
        for name in ("margin", "speed", "slope", "band"):
            number(f"comfort.{name}", getattr(self, name))
        if not isinstance(self.excitation, list | tuple) or len(self.excitation) != 2:
            raise InputError(f"comfort.excitation must be two numbers, least and most, got {self.excitation}")
        low, high = (number("comfort.excitation", x) for x in self.excitation)
        if not 0 <= low < high <= 1:
            raise InputError(f"comfort.excitation {self.excitation} must be least and most within 0 and 1")
        if not 0 <= self.margin < 0.4:
            raise InputError(f"comfort.margin {self.margin:g} must be between 0 and 0.4 of the range; choose e.g. 0.05")
        for name in ("speed", "slope", "band"):
            if not getattr(self, name) > 0:
                raise InputError(f"comfort.{name} {getattr(self, name):g} must be positive")
