"""Thelen's muscle against OpenSim's `Thelen2003Muscle`: curves at random states, tension and fiber length at rest."""

import jax
import jax.numpy as jnp
import numpy as np
import opensim
import pytest

from mjx_msm.person import thelen
from mjx_msm.person.compliant_tendon import CompliantTendon
from mjx_msm.person.muscle import MuscleParameters
from mjx_msm.person.thelen import Thelen2003, ThelenTendon

opensim.Logger.removeFileSink()
opensim.Logger.setLevelString("error")
pytestmark = pytest.mark.usefixtures("x64")

F0, OPTIMAL, SLACK, PENNATION, STRAIN = 1000.0, 0.1, 0.2, 0.3, 0.04


@pytest.fixture(scope="module")
def theirs():
    """States of one muscle along a slider: what OpenSim has of it, by the names of its getters."""
    model = opensim.Model()
    body = opensim.Body("body", 1.0, opensim.Vec3(0), opensim.Inertia(1, 1, 1))
    model.addBody(body)
    joint = opensim.SliderJoint("joint", model.getGround(), body)
    joint.updCoordinate().setName("x")
    model.addJoint(joint)
    muscle = opensim.Thelen2003Muscle("muscle", F0, OPTIMAL, SLACK, PENNATION)
    muscle.addNewPathPoint("origin", model.updGround(), opensim.Vec3(0))
    muscle.addNewPathPoint("insertion", body, opensim.Vec3(0))
    model.addForce(muscle)
    state = model.initSystem()
    coordinate = model.updCoordinateSet().get("x")
    muscle = opensim.Thelen2003Muscle.safeDownCast(model.getMuscles().get(0))
    getters = {
        "length": muscle.getNormalizedFiberLength, "velocity": muscle.getNormalizedFiberVelocity,
        "strain": muscle.getTendonStrain, "active": muscle.getActiveForceLengthMultiplier,
        "passive": muscle.getPassiveForceMultiplier, "speed": muscle.getForceVelocityMultiplier,
        "tension": muscle.getTendonForce, "cosine": muscle.getCosPennationAngle, "fibers": muscle.getFiberForce,
    }  # fmt: skip
    rng, rows = np.random.default_rng(0), []
    for k in range(120):
        path, speed, a = SLACK + rng.uniform(0.5, 1.4) * OPTIMAL, rng.uniform(-0.3, 0.3) * (k % 2), rng.uniform(0.02, 1)
        coordinate.setValue(state, path, False)
        coordinate.setSpeedValue(state, speed)
        muscle.setActivation(state, a)
        model.realizeVelocity(state)
        muscle.computeEquilibrium(state)
        model.realizeDynamics(state)
        rows.append({"path": path, "moving": k % 2, "a": a, **{name: get(state) for name, get in getters.items()}})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def test_curves_are_opensims(theirs):
    at = theirs
    np.testing.assert_allclose(thelen.active_force_length(at["length"]), at["active"], atol=1e-12)
    np.testing.assert_allclose(thelen.passive_force_length(at["length"], 0.6), at["passive"], atol=1e-12)
    np.testing.assert_allclose(thelen.force_velocity(at["velocity"], at["a"]), at["speed"], atol=1e-12)
    assert np.ptp(at["velocity"]) > 0.3
    tendon = ThelenTendon()
    np.testing.assert_allclose(tendon.force(1.0 + at["strain"], STRAIN), at["tension"] / F0, atol=1e-12)
    force = np.linspace(tendon.least, 2.0, 40)
    np.testing.assert_allclose(tendon.force(tendon.length(force, STRAIN), STRAIN), force, atol=1e-12)
    far = np.linspace(-1.5, 3.0, 90)  # however fast; where fibers stand still it has a corner
    slope = jax.vmap(jax.grad(lambda v: thelen.force_velocity(v, 0.5)))(jnp.asarray(far))
    assert np.isfinite(slope).all()
    np.testing.assert_allclose(
        slope[1:-1], (thelen.force_velocity(far + 1e-6, 0.5) - thelen.force_velocity(far - 1e-6, 0.5))[1:-1] / 2e-6,
        atol=0.02 * float(np.max(slope)),
    )  # fmt: skip


def test_tension_at_rest_is_opensims(theirs):
    """Behind a tendon that yields, to the tolerance of their solver; and of a rigid one, on the path it leaves."""
    still = theirs["moving"] == 0
    at = {name: jnp.asarray(x[still])[:, None] for name, x in theirs.items()}
    one = np.ones(1)
    p = MuscleParameters(
        F0 * one, OPTIMAL * one, SLACK * one, 10 * one, one, PENNATION * one, 0.01 * one, 0.04 * one, 0.6 * one,
        STRAIN * one,
    )  # fmt: skip
    law = CompliantTendon(Thelen2003(), ThelenTendon())
    tension = law.tension(p, at["a"], at["path"], 0.0 * at["path"])
    assert np.abs(tension - at["tension"]).max() < 1e-5 * F0
    rigid = Thelen2003().tension(p, at["a"], at["path"] - SLACK * at["strain"], 0.0 * at["path"])
    assert np.abs(rigid - at["tension"]).max() < 1e-5 * F0
    cosine = Thelen2003().cosine(p, at["path"] - SLACK * at["strain"])
    np.testing.assert_allclose(cosine, at["cosine"], atol=1e-5)
    np.testing.assert_allclose(rigid / cosine, at["fibers"], atol=1e-5 * F0)
