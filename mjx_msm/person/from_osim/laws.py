"""The law of an OpenSim model's muscles, and what of it is not the law's own here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from mjx_msm.common.compiled import float64
from mjx_msm.person import degroote, millard
from mjx_msm.person.degroote import PASSIVE_STRAIN, TENDON_STRAIN
from mjx_msm.person.from_osim.opened import OpenedModel
from mjx_msm.person.kept_law import NONE, PARAMETERS

ALIKE = 1e-6
"""Of F0, up to which a curve is the same."""
_LENGTH, _SPEED, _STRETCHED = np.linspace(0.3, 1.9, 33), np.linspace(-1.1, 1.1, 23), np.linspace(1.001, 1.09, 19)
"""Of fibers [l_opt] and [l_opt vmax], and of tendons [l_slack], where curves are compared."""


def own_laws(opened: OpenedModel, offsets: Mapping[str, float]) -> tuple[str, dict[str, dict[str, float]], list[str]]:
    """The name of the muscles' law, its values by muscle (as `keep_law` takes them), and in words what to know.

    **Arguments:** `offsets`: of every muscle, what our path is longer than OpenSim's [m]. Its tendon is, too, and so
    stretches by less over its length, to be as long at F0 as theirs.
    """
    found = {name: _own(opened, name, offset) for name, offset in offsets.items()}
    fibers = {law.partition("-")[0] for law, _, _ in found.values()}
    classes = Counter(opened.muscles[name].getConcreteClassName() for name in found)
    if len(fibers) > 1 or fibers == {NONE}:
        listed = ", ".join(f"{n} {kind}" if len(classes) > 1 else kind for kind, n in sorted(classes.items()))
        values = {name: {c: own[c] for c in PARAMETERS} for name, (_, own, _) in found.items()}
        return NONE, values, [f"muscles are {listed}, whose law is left to muscle = …"]
    kind, (law,) = ", ".join(sorted(classes)), fibers
    yielding, rigid = f"{law}-compliant", [name for name, (own, _, _) in found.items() if own == law]
    if rigid and len(rigid) < len(found):
        listed = ", ".join(rigid[:6]) + (", …" if len(rigid) > 6 else "")
        notes = [
            f"muscles are {kind}, the tendons of {len(rigid)} of {len(found)} rigid ({listed}): their fibers' law is "
            f'kept by muscle = "{law}", with which no tendon yields, and "{yielding}", with which all do'
        ]
    else:
        law = law if rigid else yielding
        notes = [f'muscles are {kind}: muscle = "{law}" keeps their law']
    other = {name: apart for name, (_, _, apart) in found.items() if apart > ALIKE}
    if other:
        worst = max(other, key=lambda name: other[name])
        notes.append(
            f"curves of {len(other)} muscles are shaped by constants that the law does not have here; they differ by "
            f"{other[worst]:.2g} F0 at most ({worst})"
        )
    return law, {name: own for name, (_, own, _) in found.items()}, notes


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
    with float64():
        pairs = (
            (active.calcValue, _LENGTH, millard.active_force_length(_LENGTH, own["least_active"])),
            (velocity.calcValue, _SPEED, millard.force_velocity(_SPEED)),
            (passive.calcValue, _LENGTH, millard.passive_force_length(_LENGTH, own["passive_fiber_strain"])),
            (tendon.calcValue, _STRETCHED, millard.MillardTendon().force(_STRETCHED, own["tendon_strain"])),
        )
        return own, _apart(pairs)


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
    own = {
        "passive_fiber_strain": muscle.get_passive_fiber_strain_at_one_norm_force(),
        "tendon_strain": muscle.get_tendon_strain_at_one_norm_force(),
        "fiber_damping": muscle.get_fiber_damping(),
    }
    tendon = degroote.DeGrooteTendon()
    pairs = (
        (muscle.calcActiveForceLengthMultiplier, _LENGTH, degroote.active_force_length(_LENGTH)),
        (muscle.calcForceVelocityMultiplier, _SPEED, degroote.force_velocity(_SPEED)),
        (
            (lambda _: 0.0) if muscle.get_ignore_passive_fiber_force() else muscle.calcPassiveForceMultiplier,
            _LENGTH, degroote.passive_force_length(_LENGTH, own["passive_fiber_strain"]),
        ),
        (muscle.calcTendonForceMultiplier, _STRETCHED, tendon.force(_STRETCHED, own["tendon_strain"])),
    )  # fmt: skip
    return own, _apart(pairs)


def _apart(curves: Iterable[tuple[Callable[[float], float], np.ndarray, Any]]) -> float:
    """How far a file's curves are from the law's at most [F0]; given each, where it is taken, and the law's there."""
    return max(float(np.abs([theirs(float(v)) for v in at] - np.asarray(ours)).max()) for theirs, at, ours in curves)
