"""What a motion asks for: the value that people, robots and motions pass to each other."""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxtyping import Float


class Goal(NamedTuple):
    """Of joints, a tool or a beam, at an instant or, with a leading axis, at several."""

    position: Float[Any, "*time axis"]
    """[rad or m]."""
    velocity: Float[Any, "*time axis"]
    """[rad/s or m/s]."""
    acceleration: Float[Any, "*time axis"]
    """[rad/s² or m/s²]."""
