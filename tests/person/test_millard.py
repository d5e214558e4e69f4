"""Millard's muscle against OpenSim's curves and its `Millard2012EquilibriumMuscle`, and in rollouts."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import opensim
import pytest

from mjx_msm.common.compiled import jit
from mjx_msm.dynamics.simulation import initial_state, rollout
from mjx_msm.person import millard
from mjx_msm.person.bent_lines import place
from mjx_msm.person.compliant_tendon import CompliantTendon
from mjx_msm.person.millard import Millard2012, MillardTendon
from mjx_msm.person.model import load_model
from mjx_msm.person.muscle import MuscleParameters

opensim.Logger.removeFileSink()
opensim.Logger.setLevelString("error")
pytestmark = pytest.mark.usefixtures("x64")

F0, OPTIMAL, SLACK, PENNATION = 1000.0, 0.1, 0.2, 0.3
STIFF = 1.375, 2.0 / 3.0, 0.5
"""Of OpenSim's tendon: stiffness over strain at F0, force at the end of the toe, curviness."""


def slope(curve, order=1):
    for _ in range(order):
        curve = jax.grad(curve)
    return jit(jax.vmap(curve))


CASES = {
    "active": (np.linspace(0.2, 2.0, 721), lambda x: millard.active_force_length(x), opensim.ActiveForceLengthCurve),
    "active, nothing outside": (
        np.linspace(0.2, 2.0, 721), lambda x: millard.active_force_length(x, 0.0),
        lambda: opensim.ActiveForceLengthCurve(0.4441, 0.73, 1.8123, 0.8616, 0.0),
    ),
    "force-velocity": (np.linspace(-1.3, 1.3, 521), lambda v: millard.force_velocity(v), opensim.ForceVelocityCurve),
    "passive": (np.linspace(0.4, 2.2, 721), lambda x: millard.passive_force_length(x), opensim.FiberForceLengthCurve),
    "passive, stiff": (
        np.linspace(0.4, 2.2, 721), lambda x: millard.passive_force_length(x, 0.35),
        lambda: opensim.FiberForceLengthCurve(0.0, 0.35, 0.2, 2.0 / 0.35, 0.75),
    ),
    "tendon": (
        np.linspace(1.001, 1.09, 401), lambda x: MillardTendon().force(x, 0.049), opensim.TendonForceLengthCurve,
    ),
    "tendon, soft": (
        np.linspace(1.001, 1.2, 401), lambda x: MillardTendon().force(x, 0.1),
        lambda: opensim.TendonForceLengthCurve(0.1, STIFF[0] / 0.1, *STIFF[1:]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_curves_and_their_derivatives_are_opensims(name):
    """To the last digits: far within 1e-6 of F0."""
    x, ours, make = CASES[name]
    theirs = make()
    np.testing.assert_allclose(ours(x), [theirs.calcValue(v) for v in x], atol=1e-12)
    for order, close in ((1, 1e-10), (2, 1e-8)):
        expected = np.array([theirs.calcDerivative(v, order) for v in x])
        np.testing.assert_allclose(slope(ours, order)(jnp.asarray(x)), expected, atol=close * np.abs(expected).max())


def test_derivatives_by_strains_are_differences():
    """Forwards and backwards; places where pieces meet included."""
    x, step = jnp.linspace(1.0, 1.8, 161), 1e-6
    for curve, at in (
        (millard.passive_force_length, 0.6), (lambda x, e: MillardTendon().force(1 + 0.1 * (x - 1), e), 0.05),
        (millard.active_force_length, 0.05),
    ):  # fmt: skip
        one = jax.jvp(lambda e, curve=curve: curve(x, e), (at,), (1.0,))[1]
        difference = (curve(x, at + step) - curve(x, at - step)) / (2 * step)
        np.testing.assert_allclose(one, difference, atol=1e-6 * float(jnp.abs(difference).max()))
        np.testing.assert_allclose(jax.jacrev(lambda e, curve=curve: curve(x, e))(at), one, atol=1e-12)


def test_the_tendon_has_its_inverse_and_never_stops_pulling_less():
    tendon = MillardTendon()
    force = np.concatenate([np.linspace(tendon.least, 3.0, 200), np.geomspace(1e-8, 1.0, 50)])
    for strain in (0.02, 0.049, 0.12):
        np.testing.assert_allclose(tendon.force(tendon.length(force, strain), strain), force, atol=1e-12)
    length = np.linspace(0.5, 1.1, 400)
    assert (np.diff(tendon.force(length, 0.049)) > 0).all()


def test_places_along_any_piece_are_found():
    """As sharp as a corner may be, further than any muscle's curve."""
    for curviness in (0.1, 0.5, 0.82, 0.9):
        for turn in np.linspace(0.08, 0.92, 22):
            first, second = curviness * turn, 1 - curviness * (1 - turn)
            u = np.linspace(0, 1, 101)
            v = 1 - u
            share = first * (5 * v**4 * u + 10 * v**3 * u**2) + second * (10 * v**2 * u**3 + 5 * v * u**4) + u**5
            np.testing.assert_allclose(place(jnp.asarray(share), first, second), u, rtol=0, atol=1e-7)


@pytest.fixture(scope="module", params=[0.1, 0.0], ids=["damped", "undamped"])
def theirs(request):
    """States of one muscle along a slider: what OpenSim has of it, by the names of its getters."""
    model = opensim.Model()
    body = opensim.Body("body", 1.0, opensim.Vec3(0), opensim.Inertia(1, 1, 1))
    model.addBody(body)
    joint = opensim.SliderJoint("joint", model.getGround(), body)
    joint.updCoordinate().setName("x")
    model.addJoint(joint)
    muscle = opensim.Millard2012EquilibriumMuscle("muscle", F0, OPTIMAL, SLACK, PENNATION)
    muscle.setFiberDamping(request.param)
    muscle.addNewPathPoint("origin", model.updGround(), opensim.Vec3(0))
    muscle.addNewPathPoint("insertion", body, opensim.Vec3(0))
    model.addForce(muscle)
    state = model.initSystem()
    coordinate = model.updCoordinateSet().get("x")
    muscle = opensim.Millard2012EquilibriumMuscle.safeDownCast(model.getMuscles().get(0))
    getters = {
        "length": muscle.getNormalizedFiberLength, "velocity": muscle.getNormalizedFiberVelocity,
        "strain": muscle.getTendonStrain, "active": muscle.getActiveForceLengthMultiplier,
        "passive": muscle.getPassiveForceMultiplier, "speed": muscle.getForceVelocityMultiplier,
        "tension": muscle.getTendonForce, "cosine": muscle.getCosPennationAngle, "fibers": muscle.getFiberForce,
        "along": muscle.getFiberVelocityAlongTendon,
    }  # fmt: skip
    rng, rows = np.random.default_rng(0), []
    for k in range(120):
        path, a = SLACK + rng.uniform(0.6, 1.4) * OPTIMAL, rng.uniform(0.02, 1)
        coordinate.setValue(state, path, False)
        muscle.setActivation(state, a)
        model.realizeVelocity(state)
        muscle.computeEquilibrium(state)
        if k % 2:  # fibers that are not where they would rest
            muscle.setFiberLength(state, muscle.getFiberLength(state) + rng.uniform(-0.005, 0.005))
        model.realizeDynamics(state)
        rows.append({"path": path, "moving": k % 2, "a": a, **{name: get(state) for name, get in getters.items()}})
    return request.param, {name: np.array([row[name] for row in rows]) for name in rows[0]}


def parameters() -> MuscleParameters:
    one = np.ones(1)
    return MuscleParameters(
        F0 * one, OPTIMAL * one, SLACK * one, 10 * one, one, PENNATION * one, 0.01 * one, 0.04 * one, 0.7 * one,
        0.049 * one,
    )  # fmt: skip


def test_tension_of_moving_fibers_is_opensims(theirs):
    """On the path that their tendon leaves, at the rate their fibers have: force-velocity, damping, pennation."""
    damping, at = theirs[0], {name: jnp.asarray(x)[:, None] for name, x in theirs[1].items()}
    assert np.ptp(at["velocity"]) > 0.3
    law = Millard2012(fiber_damping=damping)
    left = at["path"] - SLACK * at["strain"]
    ours = jit(law.tension)(parameters(), at["a"], left, at["along"])
    # without damping OpenSim has the rate from the inverse of a curve that is steeper at its ends, and so another one
    compared = at["moving"] < (2 if damping else 1)
    assert np.abs(ours - at["fibers"] * at["cosine"])[compared].max() < 1e-6 * F0
    np.testing.assert_allclose(law.cosine(parameters(), left), at["cosine"], atol=1e-9)


def test_tension_at_rest_is_opensims(theirs):
    """Behind a tendon that yields, to the tolerance of their solver."""
    damping, still = theirs[0], theirs[1]["moving"] == 0
    at = {name: jnp.asarray(x[still])[:, None] for name, x in theirs[1].items()}
    law = CompliantTendon(Millard2012(fiber_damping=damping), MillardTendon())
    tension = jit(law.tension)(parameters(), at["a"], at["path"], 0.0 * at["path"])
    assert np.abs(tension - at["tension"]).max() < 1e-5 * F0


def test_slack_muscles_at_rest_have_derivatives():
    """Nothing pulls: neither activation nor passive fibers; the tendon is as long as nothing makes it."""
    law = CompliantTendon(Millard2012(), MillardTendon())

    def tension(x):
        return law.tension(parameters(), x[:1], x[1:2], x[2:])[0]

    for activation in (0.0, 0.01):
        value, gradient = jit(jax.value_and_grad(tension))(jnp.array([activation, SLACK + 0.8 * OPTIMAL, 0.0]))
        assert abs(value) < 0.02 * F0
        assert np.isfinite(gradient).all()


@pytest.mark.slow
def test_a_rollout_has_derivatives_by_everything():
    arm = load_model("arm", muscle="millard-compliant")
    start = initial_state(arm, {"elbow_flex": 0.8}, 0.2)
    drive = 0.3 + 0.2 * jnp.sin(jnp.arange(40.0)[:, None] / 5 + jnp.arange(len(arm.muscles)))
    fields = ("tendon_strain", "passive_fiber_strain", "tendon_slack_length", "optimal_fiber_length")
    long_head = arm.muscles.index("TRIlong")

    @jit
    def end(factors):
        own = {f: jnp.asarray(getattr(arm.nominal.muscle, f)) for f in fields}
        own = {f: x.at[long_head].multiply(factors[k]) for k, (f, x) in enumerate(own.items())}
        changed = dataclasses.replace(arm.nominal, muscle=dataclasses.replace(arm.nominal.muscle, **own))
        return rollout(arm, changed, start, drive).position[-1, 1]

    at, step = jnp.ones(len(fields)), 1e-5
    gradient = jit(jax.jacfwd(end))(at)
    for k in range(len(fields)):
        h = step * (jnp.arange(len(fields)) == k)
        difference = (end(at + h) - end(at - h)) / (2 * step)
        assert gradient[k] == pytest.approx(float(difference), rel=1e-4, abs=1e-7)
