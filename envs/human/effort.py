"""What a motion costs the person, from what an engine shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float

from mjx_msm.dynamics.metabolics import UCHIDA_2016, UMBERGER_2003, Bhargava2004, Contraction, Umberger2010
from mjx_msm.envs.engines.kinetics import Kinetics

METABOLIC_MODELS: Mapping[str, Any] = {
    "bhargava2004": Bhargava2004(),
    "umberger2003": UMBERGER_2003,
    "umberger2010": Umberger2010(),
    "uchida2016": UCHIDA_2016,
}
"""By the name an environment takes."""


def metabolic_power(model: Any, excitation: Float[Any, "muscle"], seen: Kinetics) -> Float[Any, "muscle"]:
    """Metabolic power of every muscle [W], without the body's basal rate."""
    force = seen.muscles.max_isometric_force
    state = Contraction(
        excitation=excitation,
        activation=seen.activation,
        fiber_length=seen.fiber_length,
        fiber_velocity=seen.fiber_velocity,
        active_force_length=seen.isometric / force,
        active_force=seen.tension - seen.passive_tension,
        passive_force=seen.passive_tension,
    )
    return model.power(seen.muscles, state)
