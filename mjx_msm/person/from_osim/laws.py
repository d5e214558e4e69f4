"""The law of an OpenSim model's muscles, and what of it is not the law's own here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mjx_msm.common.compiled import float64
from mjx_msm.person import millard
from mjx_msm.person.degroote import PASSIVE_STRAIN, TENDON_STRAIN
from mjx_msm.person.from_osim.opened import OpenedModel
from mjx_msm.person.kept_law import NONE

ALIKE = 1e-6
"""Of F0, up to which a curve is the same."""


def own_laws(opened: OpenedModel, offsets: Mapping[str, float]) -> tuple[str, dict[str, dict[str, float]], list[str]]:
    """The name of the muscles' law, its values by muscle (as `keep_law` takes them), and in words what to know.

    **Arguments:** `offsets`: of every muscle, what our path is longer than OpenSim's [m]. Its tendon is, too, and so
    stretches by less over its length, to be as long at F0 as theirs.
    """
    found = {name: _own(opened, name, offset) for name, offset in offsets.items()}
    laws = sorted({law for law, _, _ in found.values()})
    if len(laws) > 1 or laws == [NONE]:
        kinds = sorted({opened.muscles[name].getConcreteClassName() for name in found})
        values = {name: own for name, (_, own, _) in found.items()}
        return NONE, _shared(values), [f"muscles are {', '.join(kinds)}, whose law is left to muscle = …"]
    kind = opened.muscles[next(iter(found))].getConcreteClassName()
    notes = [f'muscles are {kind}: muscle = "{laws[0]}" keeps their law']
    other = {name: apart for name, (_, _, apart) in found.items() if apart > ALIKE}
    if other:
        worst = max(other, key=lambda name: other[name])
        notes.append(
            f"curves of {len(other)} muscles are shaped by constants that the law does not have here; they differ by "
            f"{other[worst]:.2g} F0 at most ({worst})"
        )
    return laws[0], {name: own for name, (_, own, _) in found.items()}, notes


def _shared(values: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """The columns that all muscles have."""
    common = set.intersection(*(set(own) for own in values.values()))
    return {name: {c: x for c, x in own.items() if c in common} for name, own in values.items()}


def _own(opened: OpenedModel, name: str, offset: float) -> tuple[str, dict[str, float], float]:
    """Law, values, and how far a curve of the file is from the law's [F0]."""
    muscle = opened.muscles[name]
    slack = muscle.get_tendon_slack_length()
    shorter = slack / (slack + offset) if slack + offset > 0 else 1.0
    values = {
        "pennation_angle": muscle.get_pennation_angle_at_optimal(),
        "passive_fiber_strain": PASSIVE_STRAIN,
    }
    for kind, law, read in (
        ("Millard2012EquilibriumMuscle", "millard", _of_millard),
        ("Thelen2003Muscle", "thelen", _of_thelen),
        ("DeGrooteFregly2016Muscle", "degroote", _of_degroote),
    ):
        exact = getattr(opened.opensim, kind).safeDownCast(muscle)
        if exact is not None:
            own, apart = read(exact)
            end = "" if exact.get_ignore_tendon_compliance() else "-compliant"
            return f"{law}{end}", {**values, **own, "tendon_strain": own["tendon_strain"] * shorter}, apart
    return NONE, {**values, "tendon_strain": TENDON_STRAIN * shorter}, 0.0


def _of_millard(muscle: Any) -> tuple[dict[str, float], float]:
    active, passive = muscle.get_ActiveForceLengthCurve(), muscle.get_FiberForceLengthCurve()
    tendon, velocity = muscle.get_TendonForceLengthCurve(), muscle.get_ForceVelocityCurve()
    own = {
        "passive_fiber_strain": passive.get_strain_at_one_norm_force(),
        "tendon_strain": tendon.get_strain_at_one_norm_force(),
        "fiber_damping": muscle.get_fiber_damping(),
        "least_active": active.get_minimum_value(),
    }
    length, speed, stretched = np.linspace(0.3, 1.9, 33), np.linspace(-1.1, 1.1, 23), np.linspace(1.001, 1.09, 19)
    with float64():
        pairs = (
            (active, length, millard.active_force_length(length, own["least_active"])),
            (velocity, speed, millard.force_velocity(speed)),
            (passive, length, millard.passive_force_length(length, own["passive_fiber_strain"])),
            (tendon, stretched, millard.MillardTendon().force(stretched, own["tendon_strain"])),
        )
        apart = max(float(np.abs([c.calcValue(v) for v in x] - np.asarray(ours)).max()) for c, x, ours in pairs)
    return own, apart


def _of_thelen(muscle: Any) -> tuple[dict[str, float], float]:
    return {
        "passive_fiber_strain": muscle.get_FmaxMuscleStrain(),
        "tendon_strain": muscle.get_FmaxTendonStrain(),
        "active_width": muscle.get_KshapeActive(),
        "passive_stiffness": muscle.get_KshapePassive(),
        "curvature": muscle.get_Af(),
        "lengthening": muscle.get_Flen(),
    }, 0.0


def _of_degroote(muscle: Any) -> tuple[dict[str, float], float]:
    return {
        "passive_fiber_strain": muscle.get_passive_fiber_strain_at_one_norm_force(),
        "tendon_strain": muscle.get_tendon_strain_at_one_norm_force(),
        "fiber_damping": muscle.get_fiber_damping(),
    }, abs(muscle.get_active_force_width_scale() - 1.0)
