"""How each kind of parameter is estimated: unit, transform, default bounds and prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """How one kind of parameter is estimated: unit, transform, default bounds and prior scale.

    `log` parameters are positive: bounds are factors of the prior mean, which is nominal unless a prior says
    otherwise; the prior scale is relative. `linear` ones have bounds and prior scale in their own unit (around the
    prior mean where `offset` is set).
    """

    unit: str
    transform: str
    lower: float
    upper: float
    prior_scale: float
    offset: bool = False


# Bounds and scales in use: fiber and tendon lengths 0.6–1.4 (NMSM Pipeline) and 0.85–1.15 (CEINMS), strength
# 0.5–2.5 (PMC3399054), EMG shape −3…0 (Lloyd & Besier 2003, doi 10.1016/S0021-9290(03)00010-1). Delay: 20 to 100 ms in
# knee extensors of 176 people (Zhou et al. 1995, J Hum Mov Stud 28:127), the latter two standard deviations from none.
# Fiber strain at passive F0: 0.6 in young and 0.5 in older adults (Thelen 2003, doi 10.1115/1.1531112), 0.7 in Millard
# et al. 2013. Tendon strain at F0: 0.033 (Zajac 1989), 0.049 ± 0.01 (Maganaris & Paul 2002, J Biomech 35:1639), 0.1 for
# the Achilles tendon (Arnold et al. 2010, doi 10.1007/s10439-009-9852-5).
# Segment mass and CoM spread: see `mjx_msm.person.anthropometry`.
KINDS: Mapping[tuple[str, str], Kind] = {
    ("muscle", "max_isometric_force"): Kind("N", "log", 0.5, 2.5, 0.3),
    ("muscle", "optimal_fiber_length"): Kind("m", "log", 0.6, 1.4, 0.15),
    ("muscle", "tendon_slack_length"): Kind("m", "log", 0.85, 1.15, 0.05),
    ("muscle", "max_contraction_velocity"): Kind("1/s", "log", 0.4, 2.5, 0.3),
    ("muscle", "passive_force_scale"): Kind("-", "log", 0.05, 20.0, 0.7),
    ("muscle", "pennation_angle"): Kind("rad", "linear", 0.0, 1.2, 0.1),
    ("muscle", "activation_time_constant"): Kind("s", "log", 0.4, 2.5, 0.3),
    ("muscle", "deactivation_time_constant"): Kind("s", "log", 0.4, 2.5, 0.3),
    ("muscle", "passive_fiber_strain"): Kind("-", "log", 0.5, 1.7, 0.15),
    ("muscle", "tendon_strain"): Kind("-", "log", 0.4, 2.5, 0.25),
    ("body", "mass"): Kind("kg", "log", 0.5, 2.0, 0.15),
    ("body", "com"): Kind("m", "linear", -0.1, 0.1, 0.02, offset=True),
    ("body", "inertia"): Kind("kg·m²", "inertia", -1.0, 1.0, 0.15, offset=True),
    ("joint", "damping"): Kind("N·m·s/rad", "linear", 0.0, 20.0, 0.5),
    ("joint", "stiffness"): Kind("N·m/rad", "linear", 0.0, 200.0, 5.0),
    ("joint", "lower_passive_moment"): Kind("N·m", "log", 0.02, 20.0, 0.7),
    ("joint", "lower_passive_steepness"): Kind("1/rad", "log", 0.3, 3.0, 0.3),
    ("joint", "upper_passive_moment"): Kind("N·m", "log", 0.02, 20.0, 0.7),
    ("joint", "upper_passive_steepness"): Kind("1/rad", "log", 0.3, 3.0, 0.3),
    ("joint", "biarticular_passive_moment"): Kind("N·m", "log", 0.02, 20.0, 0.7),
    ("joint", "biarticular_passive_steepness"): Kind("1/rad", "log", 0.3, 3.0, 0.3),
    ("emg", "gain"): Kind("-", "log", 0.05, 10.0, 1.0),
    ("emg", "delay"): Kind("s", "linear", 0.0, 0.1, 0.05),
    ("emg", "shape"): Kind("-", "linear", -3.0, 0.0, 1.0),
    ("strap", "lever"): Kind("m", "log", 0.5, 2.0, 0.1),
}


def kind_of(path: str) -> Kind:
    """Of a parameter by its path, of one component of it, too ("body/forearm/inertia/xx")."""
    group, _, rest = path.partition("/")
    *_, before, last = ("", *rest.split("/"))
    return KINDS.get((group, last)) or KINDS[group, before]
