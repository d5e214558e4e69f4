"""Draws every curve of the muscle laws beside its source, for the page docs/pages/understand/muscles.md.

    python examples/pictures/muscle_curves.py [PATH]

Lines are this package's curves; dots are other programs' own: SymPy's `biomechanics` for De Groote and Fregly 2016, C
MuJoCo's `mju_muscleGain` and `mju_muscleBias` for the native muscle, OpenSim's `Thelen2003Muscle` for Thelen 2003 and
its curves of `Millard2012EquilibriumMuscle` for Millard 2013. What is left between them stands in the titles.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import opensim
import sympy
from jaxtyping import Float
from matplotlib import pyplot as plt
from sympy.physics import biomechanics

from mjx_msm.person import degroote, millard, thelen
from mjx_msm.person.muscle import (
    FPMAX,
    AnyArray,
    mujoco_active_force_length,
    mujoco_force_velocity,
    mujoco_passive_force_length,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "pages" / "understand"
INK, BLUE, RED, GREEN, GOLD = "#222222", "#1f5fa8", "#c0392b", "#3f8f4f", "#c98a1b"
Samples = Float[np.ndarray, "sample"]


def of_sympy(curve: type, *constants: float | sympy.Expr) -> Callable[[Samples], Samples]:
    x = sympy.Symbol("x")
    return sympy.lambdify(x, curve(x, *constants).doit(), "numpy")


def native(length: float, velocity: float, *, passive: bool) -> float:
    """Of C MuJoCo's default muscle at a fiber length and velocity [l_opt, vmax], over F0."""
    unit = np.array([0.0, 1.0])
    prm = np.array([0.0, 1.0, 1.0, 1.0, 0.5, 1.6, 1.0, FPMAX, 1.2])  # lengths of path and fiber are the same
    if passive:
        return -mujoco.mju_muscleBias(length, unit, 1.0, prm)
    return -mujoco.mju_muscleGain(length, velocity, unit, 1.0, prm)


def of_opensim() -> dict[str, tuple[Samples, Samples]]:
    """Points of the curves of OpenSim's `Thelen2003Muscle`, fully active, and where they are."""
    opensim.Logger.removeFileSink()
    opensim.Logger.setLevelString("error")
    model, slack = opensim.Model(), 2.0
    body = opensim.Body("body", 1.0, opensim.Vec3(0), opensim.Inertia(1, 1, 1))
    model.addBody(body)
    joint = opensim.SliderJoint("joint", model.getGround(), body)
    model.addJoint(joint)
    muscle = opensim.Thelen2003Muscle("muscle", 1.0, 1.0, slack, 0.0)
    muscle.addNewPathPoint("origin", model.updGround(), opensim.Vec3(0))
    muscle.addNewPathPoint("insertion", body, opensim.Vec3(0))
    model.addForce(muscle)
    state = model.initSystem()
    muscle = opensim.Thelen2003Muscle.safeDownCast(model.getMuscles().get(0))

    def at(fiber: float, strain: float) -> opensim.Thelen2003Muscle:
        model.updCoordinateSet().get(0).setValue(state, fiber + slack * (1 + strain), False)
        muscle.setActivation(state, 1.0)
        muscle.setFiberLength(state, fiber)
        model.realizeDynamics(state)
        return muscle

    lengths, strains = np.linspace(0.3, 1.8, 20), np.linspace(0.0, 0.06, 20)
    active = [at(x, 0.01).getActiveForceLengthMultiplier(state) for x in lengths]
    passive = [at(x, 0.01).getPassiveForceMultiplier(state) for x in lengths]
    moving = [(at(1.0, e).getNormalizedFiberVelocity(state), muscle.getForceVelocityMultiplier(state)) for e in strains]
    tendon = [at(1.0, e).getTendonForce(state) for e in strains]
    return {
        "active force–length": (lengths, np.array(active)),
        "passive force–length": (lengths, np.array(passive)),
        "force–velocity": (np.array(moving)[:, 0], np.array(moving)[:, 1]),
        "tendon force–length": (1 + strains, np.array(tendon)),
    }


THELEN: dict[str, Callable[[Samples], AnyArray]] = {
    "active force–length": thelen.active_force_length,
    "passive force–length": lambda x: thelen.passive_force_length(x, degroote.PASSIVE_STRAIN),
    "force–velocity": lambda x: thelen.force_velocity(x, np.ones_like(x)),
    "tendon force–length": lambda x: thelen.ThelenTendon().force(x, 0.04),
}


MILLARD: dict[str, tuple[Callable[[Samples], AnyArray], opensim.Function]] = {
    "active force–length": (millard.active_force_length, opensim.ActiveForceLengthCurve()),
    "passive force–length": (millard.passive_force_length, opensim.FiberForceLengthCurve()),
    "force–velocity": (millard.force_velocity, opensim.ForceVelocityCurve()),
    "tendon force–length": (lambda x: millard.MillardTendon().force(x, 0.049), opensim.TendonForceLengthCurve()),
}


def main(path: Path) -> None:
    opensims = of_opensim()
    length, velocity, tendon = np.linspace(0.2, 1.8, 400), np.linspace(-1.2, 1.2, 400), np.linspace(0.98, 1.06, 400)
    at, speed = jnp.asarray(length), jnp.asarray(velocity)
    active = [constant for row in degroote.ACTIVE for constant in row]
    steep, strain = degroote.PASSIVE_STIFFNESS, degroote.PASSIVE_STRAIN
    offset, peak = np.exp(steep * (0.2 - 1) / strain), np.exp(steep)
    paper = of_sympy(biomechanics.FiberForceLengthPassiveDeGroote2016, strain, steep)
    stiffness = sympy.log(6) / degroote.TENDON_STRAIN
    panels = [
        ("active force–length", "fiber length [l_opt]", length, degroote.active_force_length(length),
         of_sympy(biomechanics.FiberForceLengthActiveDeGroote2016, *active), mujoco_active_force_length(at),
         lambda x: [native(v, 0.0, passive=False) for v in x]),
        ("force–velocity", "fiber velocity [v_max]", velocity, degroote.force_velocity(velocity),
         of_sympy(biomechanics.FiberForceVelocityDeGroote2016, *degroote.FORCE_VELOCITY),
         mujoco_force_velocity(speed), lambda x: [native(1.0, v, passive=False) for v in x]),
        ("passive force–length", "fiber length [l_opt]", length, degroote.passive_force_length(length),
         lambda x: (paper(x) * (peak - 1) + 1 - offset) / (peak - offset), mujoco_passive_force_length(at),
         lambda x: [native(v, 0.0, passive=True) for v in x]),
        ("tendon force–length", "tendon length [l_slack]", tendon,
         degroote.DeGrooteTendon().force(tendon, degroote.TENDON_STRAIN),
         of_sympy(biomechanics.TendonForceLengthDeGroote2016, *degroote.TENDON, stiffness), None, None),
    ]  # fmt: skip
    figure, axes = plt.subplots(2, 2, figsize=(12, 7.5), constrained_layout=True)
    for ax, (name, label, x, ours, theirs, own, c) in zip(axes.flat, panels, strict=True):
        off = float(np.abs(np.asarray(ours) - theirs(x)).max())
        ax.plot(x, ours, color=BLUE, label="degroote")
        ax.plot(x[::20], theirs(x[::20]), "o", ms=4.5, mfc="none", color=BLUE, label="SymPy")
        title = f"{name}\ndegroote − SymPy ≤ {off:.0e}"
        if own is not None:
            of_c = np.array(c(x))
            ax.plot(x, own, color=RED, label="mujoco")
            ax.plot(x[::20], of_c[::20], "s", ms=4.5, mfc="none", color=RED, label="C MuJoCo")
            title += f",   mujoco − C ≤ {float(np.abs(np.asarray(own) - of_c).max()):.0e}"
        where, points = opensims[name]
        shown = (where >= x[0]) & (where <= x[-1])
        ax.plot(x, np.asarray(THELEN[name](x)), color=GREEN, label="thelen")
        ax.plot(where[shown], points[shown], "^", ms=4.5, mfc="none", color=GREEN, label="OpenSim")
        title += f"\nthelen − OpenSim ≤ {float(np.abs(np.asarray(THELEN[name](where)) - points).max()):.0e}"
        law, source = MILLARD[name]
        marked = x[10::20]
        # a tendon shorter than its slack length is the one place where the law is not OpenSim's
        there = marked[marked > 1.0] if name == "tendon force–length" else marked
        of_millard = np.array([source.calcValue(v) for v in there])
        ax.plot(x, np.asarray(law(x)), color=GOLD, label="millard")
        ax.plot(there, of_millard, "D", ms=4, mfc="none", color=GOLD, label="OpenSim")
        title += f",   millard − OpenSim ≤ {float(np.abs(np.asarray(law(there)) - of_millard).max()):.0e}"
        ax.set(xlabel=label, ylabel="force [F0]", ylim=(-0.25, 2.0))
        ax.set_title(title, fontsize=8.5, color=INK)
        ax.axhline(0, color=INK, lw=0.5)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False, fontsize=8, ncols=2 if "tendon" in name else 1)
    figure.savefig(path, dpi=80)
    print(f"{path}: {len(panels)} curves")


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE / "muscle_curves.png")
