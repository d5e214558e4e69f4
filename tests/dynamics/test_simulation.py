"""Rollouts against C MuJoCo, closed forms and their own differences; failures as data; no second compilation."""

import fnmatch
import logging
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from jaxtyping import Array
from scipy.optimize import brentq

from mjx_msm import assets
from mjx_msm.common.compiled import COMPILER_OPTIONS
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.excitation import excitation as emg_to_excitation
from mjx_msm.dynamics.simulation import (
    State,
    activate,
    initial_state,
    rollout,
    rollout_segments,
)
from mjx_msm.person.degroote import DeGrooteFregly2016
from mjx_msm.person.model import load_model
from mjx_msm.person.muscle import AbstractMuscle, MujocoMuscle
from mjx_msm.person.space import parameter_space

pytestmark = pytest.mark.usefixtures("x64")

SECOND = {"arm": 500, "knee": 1000}

# position and velocity; the last two of each model run into their joint stops
POSTURES = {
    "arm": (
        ((0.0, 0.0), (0.0, 0.0)),
        ((0.6, 1.2), (1.0, -2.0)),
        ((2.5, 2.3), (4.0, 6.0)),
        ((-1.2, 0.05), (-3.0, -8.0)),
    ),
    "knee": (
        ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ((0.5, 1.0, 0.1), (-1.0, 2.0, 1.0)),
        ((2.0, 2.25, 0.54), (6.0, 20.0, 20.0)),
        ((-0.5, -0.05, -0.7), (-2.0, -4.0, -6.0)),
    ),
}


@pytest.fixture(scope="session")
def models(arm, knee):
    return {"arm": arm, "knee": knee}


def state_of(position, velocity, activation) -> State:
    return State(*(jnp.asarray(np.array(x, dtype=float)) for x in (position, velocity, activation)))


def stops(model) -> np.ndarray:
    """Lower and upper end of every coordinate's free range."""
    m = model.host.mj_model
    ends = np.full((len(model.coordinates), 2), np.nan)
    for t in range(m.ntendon):
        if m.wrap_type[m.tendon_adr[t]] == mujoco.mjtWrap.mjWRAP_JOINT:
            ends[m.wrap_objid[m.tendon_adr[t]]] = m.tendon_lengthspring[t]
    return ends


# The oracle ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["arm", "knee"])
def test_second_of_motion_is_that_of_c(name, models, step_in_c, smooth_excitation):
    model, steps = models[name], SECOND[name]
    ends = stops(model)
    hit = np.zeros_like(ends, dtype=bool)
    for seed, (position, velocity) in enumerate(POSTURES[name]):
        u = smooth_excitation(seed, model.timestep, steps, len(model.muscles))
        a = np.random.default_rng(seed).uniform(0, 1, len(model.muscles))
        result = rollout(model, model.nominal, state_of(position, velocity, a), jnp.asarray(u))
        q, v, act = step_in_c(model.host.mj_model, position, velocity, a, u)
        assert result.ok
        assert result.failure() is None
        np.testing.assert_allclose(result.position, q, rtol=0, atol=1e-10)
        np.testing.assert_allclose(result.velocity, v, rtol=0, atol=1e-8)
        np.testing.assert_allclose(result.activation, act, rtol=0, atol=1e-12)
        np.testing.assert_allclose(result.time, model.timestep * np.arange(steps + 1), rtol=1e-14)
        assert np.ptp(q, axis=0).min() > 0.02, "every coordinate has to move for the comparison to mean anything"
        hit |= np.stack([q.min(0) < ends[:, 0], q.max(0) > ends[:, 1]], -1)
    assert hit.all(), f"a stop was never reached: {hit}"


def test_prescribed_coordinate_follows_its_table_and_moves_the_rest_as_if_free(step_in_c, smooth_excitation):
    """Oracle: a free motion by Euler, whose shoulder is then prescribed. It starts where the shoulder has no
    acceleration, so that the table's first difference is the shoulder's velocity."""
    arm = load_model("arm", integrator="Euler")
    steps = SECOND["arm"]
    u = smooth_excitation(5, arm.timestep, steps, len(arm.muscles))

    def first_step(angle):
        return step_in_c(arm.host.mj_model, [angle, 1.0], [0.0, -1.0], np.zeros(6), u[:1])[1][1, 0]

    angle = brentq(first_step, -0.7, 0.7, xtol=1e-14)
    q, _, _ = step_in_c(arm.host.mj_model, [angle, 1.0], [0.0, -1.0], np.zeros(6), u)
    assert np.ptp(q, axis=0).min() > 0.1
    held = load_model("arm", prescribed=["shoulder_elev"], integrator="Euler")
    # The state's own shoulder angle and velocity do not matter: the table says both.
    start = state_of((9.0, 1.0), (9.0, -1.0), np.zeros(6))
    result = rollout(held, arm.nominal, start, jnp.asarray(u), prescribed=jnp.asarray(q[:, :1]))
    np.testing.assert_allclose(result.position[:, 0], q[:, 0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.position[:, 1], q[:, 1], rtol=0, atol=1e-9)
    with pytest.raises(InputError, match="shoulder_elev are prescribed"):
        rollout(held, arm.nominal, start, jnp.asarray(u))
    with pytest.raises(InputError, match=r"`prescribed` has shape \(500, 1\), expected \(501, 1\) for shoulder_elev"):
        rollout(held, arm.nominal, start, jnp.asarray(u), prescribed=jnp.asarray(q[:-1, :1]))


def test_locked_coordinate_is_a_welded_body(arm, step_in_c, smooth_excitation):
    """Oracle: C MuJoCo with the joint deleted and its angle built into the body."""
    angle, steps = 0.7, SECOND["arm"]
    spec = mujoco.MjSpec.from_file(str(assets.path("arm")))
    joint, humerus = spec.joint("shoulder_elev"), spec.body("humerus")
    np.testing.assert_array_equal(joint.pos, 0)
    turn, quat = np.zeros(4), np.zeros(4)
    mujoco.mju_axisAngle2Quat(turn, joint.axis / np.linalg.norm(joint.axis), angle)
    mujoco.mju_mulQuat(quat, humerus.quat, turn)
    humerus.quat = quat
    spec.delete(spec.tendon("shoulder_limit"))
    spec.delete(joint)
    u = smooth_excitation(6, arm.timestep, steps, len(arm.muscles))
    q, _, _ = step_in_c(spec.compile(), [1.0], [-1.0], np.zeros(6), u)
    locked = load_model("arm", locked={"shoulder_elev": angle})
    start = initial_state(locked, {"elbow_flex": 1.0})
    assert start.position[0] == angle
    start = eqx.tree_at(lambda s: s.velocity, start, jnp.array([3.0, -1.0]))
    result = rollout(locked, arm.nominal, start, jnp.asarray(u))
    np.testing.assert_array_equal(result.position[:, 0], angle)
    np.testing.assert_array_equal(result.velocity[:, 0], 0)
    np.testing.assert_allclose(result.position[:, 1], q[:, 0], rtol=0, atol=1e-10)


PENDULUM = """<mujoco>
  <option timestep="0.005" gravity="0 0 0"/>
  <worldbody>
    <site name="origin" pos="0.1 0 0"/>
    <body name="rod">
      <joint name="swing" axis="0 1 0"/>
      <inertial mass="2" pos="0 0 -0.5" diaginertia="0.3 0.3 0.01"/>
      <site name="insertion" pos="0.1 0 -0.2"/>
    </body>
  </worldbody>
  <tendon><spatial name="path"><site site="origin"/><site site="insertion"/></spatial></tendon>
  <actuator>
    <muscle name="pull" tendon="path" force="100" lengthrange="0.1 0.4"/>
  </actuator>
</mujoco>"""


def test_pendulum_under_constant_torque(tmp_path):
    """Semi-implicit Euler in closed form: I ω' = τ − d ω with the damping implicit, stiffness explicit."""
    path = tmp_path / "pendulum.xml"
    path.write_text(PENDULUM)
    model = load_model(path)
    h, n, torque = model.timestep, np.arange(201), 0.7
    total = 0.3 + 2 * 0.5**2
    u, applied = jnp.zeros((200, 1)), jnp.full((200, 1), torque)
    relaxed = model.nominal.updated({"muscle/pull/max_isometric_force": 0.0})

    result = rollout(model, relaxed, initial_state(model), u, applied=applied)
    np.testing.assert_allclose(result.velocity[:, 0], n * h * torque / total, rtol=1e-12)
    np.testing.assert_allclose(result.position[:, 0], n * (n + 1) / 2 * h * h * torque / total, rtol=1e-12)

    damping = 1.5
    result = rollout(model, relaxed.updated({"joint/swing/damping": damping}), initial_state(model), u, applied=applied)
    shrink = 1 / (1 + h * damping / total)
    np.testing.assert_allclose(result.velocity[:, 0], torque / damping * (1 - shrink**n), rtol=0, atol=1e-13)

    # A spring: q[k+1] − (2 − w²) q[k] + q[k−1] = 0 with w = h √(k/I); cosine of a slightly higher frequency.
    stiffness = 40.0
    start = initial_state(model, {"swing": 0.2})
    result = rollout(model, relaxed.updated({"joint/swing/stiffness": stiffness}), start, u, applied=0 * applied)
    phase = np.arccos(1 - h * h * stiffness / total / 2)
    expected = 0.2 * np.cos(phase * (n + 0.5)) / np.cos(phase / 2)
    np.testing.assert_allclose(result.position[:, 0], expected, rtol=0, atol=1e-12)


def energy(mj_model, position, velocity) -> np.ndarray:
    d, out = mujoco.MjData(mj_model), []
    for q, v in zip(position, velocity, strict=True):
        d.qpos[:], d.qvel[:] = q, v
        mujoco.mj_fwdPosition(mj_model, d)
        mujoco.mj_energyPos(mj_model, d)
        mujoco.mj_energyVel(mj_model, d)
        out.append(d.energy.sum())
    return np.array(out)


@pytest.mark.slow
def test_first_order_energy_and_convergence():
    """Halving Euler's step halves the error against C's Runge–Kutta and the energy error of the passive arm."""
    arm = load_model("arm", integrator="Euler")
    fine = load_model("arm", timestep=arm.timestep / 2, integrator="Euler")
    start = state_of((0.8, 1.0), (0.0, 0.0), np.full(6, 0.05))
    relaxed = arm.nominal.updated({"muscle/*/max_isometric_force": 0.0, "joint/*/damping": 0.0})
    u = np.full(6, 0.15)

    reference = mujoco.MjSpec.from_file(str(assets.path("arm")))
    reference.option.integrator, reference.option.timestep = mujoco.mjtIntegrator.mjINT_RK4, 1e-3
    m = reference.compile()
    d = mujoco.MjData(m)
    d.qpos[:], d.act[:], d.ctrl[:] = start.position, start.activation, u
    for _ in range(1000):
        mujoco.mj_step(m, d)

    error, drift = [], []
    for model, steps in ((arm, 500), (fine, 1000)):
        drive = jnp.broadcast_to(jnp.asarray(u), (steps, 6))
        result = rollout(model, arm.nominal, start, drive)
        error.append(np.linalg.norm(result.position[-1] - d.qpos))
        result = rollout(model, relaxed, start, drive)
        total = energy(model.host.mj_model, result.position, result.velocity)
        drift.append(np.abs(total - total[0]).max())
        assert np.ptp(result.position, axis=0).min() > 0.5
    assert error[0] < 0.02
    assert 0.9 < np.log2(error[0] / error[1]) < 1.1
    assert drift[0] < 0.2
    assert 0.9 < np.log2(drift[0] / drift[1]) < 1.1


# Gradients -------------------------------------------------------------------------------------------------

STEPS = 30
MUSCLES = ("mujoco", "degroote")
QUICK = {**COMPILER_OPTIONS, "xla_backend_optimization_level": 0}  # compiles in half the time, runs long enough once
EVERY_KIND = (
    *(f"muscle/*/{f}" for f in (
        "max_isometric_force", "optimal_fiber_length", "tendon_slack_length", "max_contraction_velocity",
        "passive_force_scale", "pennation_angle", "activation_time_constant", "deactivation_time_constant",
    )),
    "body/*/mass", "body/*/com", "body/*/inertia", "joint/*/damping", "joint/*/stiffness",
    "emg/*/gain", "emg/*/delay", "emg/*/shape", "position", "velocity", "activation", "excitation",
)  # fmt: skip


class Either(AbstractMuscle):
    """Both muscle models behind one switch that is an argument: their derivatives share one compilation."""

    use_degroote: Array
    mujoco: MujocoMuscle
    degroote: DeGrooteFregly2016

    def _choose(self, method, *args):
        pair = (getattr(self.degroote, method)(*args), getattr(self.mujoco, method)(*args))
        return jnp.where(self.use_degroote, *pair)

    def tension(self, parameters, activation, path_length, path_velocity):
        return self._choose("tension", parameters, activation, path_length, path_velocity)

    def activation_rate(self, parameters, excitation, activation):
        return self._choose("activation_rate", parameters, excitation, activation)


class Problem:
    """A short motion as a function of one flat vector: z of every parameter, initial state, excitation offset."""

    def __init__(self, model):
        nominal = model.nominal.with_channels(("flexor", "extensor", "brachialis"))
        self.space = parameter_space(nominal, ["*"])
        self.paths = (
            *self.space.paths,
            *(f"position/{c}" for c in model.coordinates),
            *(f"velocity/{c}" for c in model.coordinates),
            *(f"activation/{m}" for m in model.muscles),
            *(f"excitation/{m}" for m in model.muscles),
        )
        t = model.timestep * np.arange(STEPS)[:, None]
        envelope = 0.3 + 0.2 * np.sin(40 * t + np.arange(3))
        mixing = np.array([[0, 1, 0], [0, 1, 0], [0, 0.8, 0.2], [1, 0, 0], [1, 0, 0], [0.3, 0, 0.7]], dtype=float)

        def motion(use_degroote, x):
            n, c, m = self.space.size, len(model.coordinates), len(model.muscles)
            z, q, v, a, offset = jnp.split(x, np.cumsum([n, c, c, m]))
            p = self.space.unpack(z)
            u = emg_to_excitation(p.emg, jnp.asarray(envelope), jnp.asarray(mixing), model.timestep) + offset
            either = Either(use_degroote, model.muscle, DeGrooteFregly2016())
            r = rollout(eqx.tree_at(lambda m: m.muscle, model, either), p, State(q, v, a), u)
            return jnp.concatenate([r.position.ravel(), r.velocity.ravel(), r.activation.ravel()])

        def forward(which, x, t):
            return jax.vmap(lambda k, a, b: jax.jvp(lambda c: motion(k, c), (a,), (b,)))(which, x, t)

        def reverse(which, x, w):
            return jax.vmap(jax.grad(lambda k, a, b: motion(k, a) @ b, argnums=1))(which, x, w)

        self.forward = jax.jit(forward, compiler_options=QUICK)
        self.reverse = jax.jit(reverse, compiler_options=QUICK)

    def point(self, values, q, v, a):
        parameters = self.space.nominal.updated(values)
        return np.concatenate([self.space.pack(parameters), q, v, np.full(6, a), np.zeros(6)])


ORDINARY = {"emg/*/delay": 0.0131, "emg/*/shape": -0.8, "emg/*/gain": 1.3, "joint/*/stiffness": 1.0}
# The elbow's lower stop is at 0: at rest there a muscle's path neither moves, nor is the stop in or out of contact.
POINTS = {
    "flexed and moving": (ORDINARY, (0.6, 1.2), (1.5, -2.0), 0.3),
    "extended and moving": (ORDINARY, (-0.45, 0.7), (-1.6, 2.7), 0.6),
    "beyond the stops": (ORDINARY, (2.7, 2.45), (1.0, 2.0), 0.3),
    "slack tendons": ({**ORDINARY, "muscle/*/tendon_slack_length": 0.6}, (0.6, 1.2), (1.5, -2.0), 0.3),
    "at rest": ({"emg/*/delay": 0.0131}, (0.6, 1.2), (0.0, 0.0), 0.0),
    "full activation": ({**ORDINARY, "emg/*/gain": 9.0}, (0.6, 1.2), (0.0, 0.0), 1.0),
    "at the stop, undelayed, linear": ({}, (0.5, 0.0), (0.0, 0.0), 0.2),
}
SMOOTH = ("flexed and moving", "extended and moving", "beyond the stops")


@pytest.fixture(scope="module")
def derivatives(arm):
    """Jacobian, both one-sided differences and a random pullback: arrays (muscle model, point, unknown, ...)."""
    with jax.enable_x64(True):
        problem = Problem(arm)
        pennate = {"muscle/*/pennation_angle": 0.2}
        x = np.stack([[problem.point({**v, **p}, *s) for v, *s in POINTS.values()] for p in ({}, pennate)])
        shape, n = x.shape[:2], x.shape[-1]
        h, eye = 1e-5, np.eye(n)
        lanes = np.concatenate([np.repeat(x[..., None, :], n, -2) + s * h * eye for s in (0, 1, -1)], -2)
        tangents = np.broadcast_to(np.concatenate([eye, np.zeros((2 * n, n))]), lanes.shape)
        which = np.broadcast_to(np.array([False, True])[:, None, None], lanes.shape[:-1])
        flat = (jnp.asarray(a.reshape(-1, *a.shape[3:])) for a in (which, lanes, tangents))
        y, dy = (np.asarray(a).reshape(*shape, 3, n, -1) for a in problem.forward(*flat))
        w = np.random.default_rng(0).normal(size=(*shape, y.shape[-1]))
        flat = (jnp.asarray(a.reshape(-1, *a.shape[2:])) for a in (which[..., 0], x, w))
        pullback = np.asarray(problem.reverse(*flat)).reshape(*shape, n)
    return {
        "paths": problem.paths,
        "jacobian": dy[:, :, 0],
        "ahead": (y[:, :, 1] - y[:, :, 0]) / h,
        "behind": (y[:, :, 0] - y[:, :, 2]) / h,
        "weights": w,
        "pullback": pullback,
    }


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("muscle", MUSCLES)
def test_derivatives(derivatives, muscle, point):
    """Forward, reverse and differences agree, unknown by unknown; at a kink with one of the two sides."""
    at = MUSCLES.index(muscle), list(POINTS).index(point)
    jacobian, ahead, behind, weights, pullback = (
        derivatives[k][at] for k in ("jacobian", "ahead", "behind", "weights", "pullback")
    )
    assert np.isfinite(jacobian).all()
    assert np.isfinite(pullback).all()
    scale = np.abs(jacobian) @ np.abs(weights)
    np.testing.assert_array_less(np.abs(pullback - jacobian @ weights), 1e-9 * scale + 1e-12)

    size = np.abs(jacobian).max(axis=1)
    sides = [0.5 * (ahead + behind)] if point in SMOOTH else [0.5 * (ahead + behind), ahead, behind]
    error = np.min([np.abs(jacobian - side).max(axis=1) for side in sides], axis=0)
    bar = 1e-5 * size + 1e-8 if point in SMOOTH else 3e-4 * size + 1e-6
    every = zip(derivatives["paths"], error, bar, size, strict=True)
    bad = [f"{path}: off by {e:.2g} of {s:.2g}" for path, e, b, s in every if e > b]
    assert not bad, "; ".join(bad)


@pytest.mark.parametrize("muscle", MUSCLES)
def test_every_kind_of_unknown_has_a_derivative(derivatives, muscle):
    """Guards the test above: no kind is compared as 0 with 0 at an ordinary point, but what the muscle lacks."""
    size = np.abs(derivatives["jacobian"][MUSCLES.index(muscle), :3]).max(axis=(0, 2))
    for kind in EVERY_KIND:
        hits = [i for i, p in enumerate(derivatives["paths"]) if fnmatch.fnmatchcase(p, f"{kind}*")]
        assert hits, kind
        without = muscle == "mujoco" and kind.endswith("pennation_angle")
        assert (size[hits].max() == 0) if without else (size[hits].max() > 1e-4), kind


@pytest.mark.slow
def test_grad_needs_no_jit_around_it(tmp_path):
    """grad of the compiled rollout as it stands, on a spring whose period has a closed form."""
    path = tmp_path / "pendulum.xml"
    path.write_text(PENDULUM)
    model = load_model(path)
    relaxed = model.nominal.updated({"muscle/pull/max_isometric_force": 0.0})
    start, h, n = initial_state(model, {"swing": 0.2}), model.timestep, 50

    def last(stiffness):
        p = eqx.tree_at(lambda p: p.joint.stiffness, relaxed, stiffness[None])
        return rollout(model, p, start, jnp.zeros((n, 1))).position[-1, 0]

    def closed(stiffness):
        phase = jnp.arccos(1 - h * h * stiffness / 0.8 / 2)
        return 0.2 * jnp.cos(phase * (n + 0.5)) / jnp.cos(phase / 2)

    k = jnp.array(40.0)
    np.testing.assert_allclose(jax.grad(last)(k), jax.grad(closed)(k), rtol=1e-9)


# Outcomes --------------------------------------------------------------------------------------------------


def compiled_names(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.getMessage().startswith(("Compiling", "Finished tracing"))]


def test_other_numbers_do_not_compile_again(arm, smooth_excitation, caplog):
    u = [jnp.asarray(smooth_excitation(s, arm.timestep, SECOND["arm"], 6)) for s in (1, 2)]
    start = [state_of((0.1 * s, 0.5), (0.0, s), np.full(6, 0.1 * s)) for s in (1, 2)]
    other = arm.nominal.updated({"muscle/*/max_isometric_force": 400.0, "body/forearm/mass": 2.0})
    rollout(arm, arm.nominal, start[0], u[0])
    with caplog.at_level(logging.WARNING), jax.log_compiles():
        second = rollout(arm, other, start[1], u[1])
        assert not compiled_names(caplog)
        jax.jit(lambda x: 3 * x)(u[0])
        assert compiled_names(caplog), "the check has to see compilations"
    assert np.isfinite(second.position).all()


@pytest.mark.parametrize(
    ("change", "step", "coordinate"),
    [
        ({"muscle/BRA/max_isometric_force": np.inf}, 0, "elbow_flex"),
        ({"body/forearm/mass": np.nan}, 0, None),
        ({"joint/elbow_flex/damping": -1e3}, None, None),  # drives itself: grows without end
        ({"joint/elbow_flex/stiffness": 1e9}, None, None),  # the step is too long: grows without end
    ],
    ids=["infinite force", "NaN mass", "negative damping", "too stiff"],
)
def test_a_blow_up_is_data(arm, change, step, coordinate):
    u = jnp.full((SECOND["arm"], 6), 0.3)
    start = state_of((0.4, 1.0), (0.0, 0.0), np.full(6, 0.1))
    result = rollout(arm, arm.nominal.updated(change), start, u)
    assert not result.ok
    failed = int(result.failed_step)
    assert 0 <= failed < SECOND["arm"]
    assert step is None or failed == step
    name = arm.coordinates[int(result.failed_coordinate)]
    assert f"step {failed} " in result.failure()
    assert f"'{name}' is not finite" in result.failure()
    assert coordinate in (None, name) or name in arm.coordinates
    for array in (result.position, result.velocity, result.activation):
        assert np.isfinite(array).all()
    np.testing.assert_array_equal(result.position[failed:], np.broadcast_to(result.position[failed], (501 - failed, 2)))


def test_a_matrix_that_is_not_positive_definite_is_data():
    """Euler's M + h·D under damping below nothing: the first step fails already."""
    euler = load_model("arm", integrator="Euler")
    start = state_of((0.4, 1.0), (0.0, 0.0), np.full(6, 0.1))
    below = euler.nominal.updated({"joint/elbow_flex/damping": -1e3})
    result = rollout(euler, below, start, jnp.full((SECOND["arm"], 6), 0.3))
    assert int(result.failed_step) == 0
    assert np.isfinite(result.position).all()


def test_bad_excitation_and_bad_start_are_data(arm):
    start = state_of((0.4, 1.0), (0.0, 0.0), np.full(6, 0.1))
    u = np.full((SECOND["arm"], 6), 0.3)
    u[7:, 2] = np.nan
    result = rollout(arm, arm.nominal, start, jnp.asarray(u))
    assert int(result.failed_step) == 6  # whose excitation goes in a line towards NaN
    for array in (result.position, result.velocity, result.activation):
        assert np.isfinite(array).all()
    np.testing.assert_array_equal(result.activation[7:], np.broadcast_to(result.activation[7], (494, 6)))

    u[7:, 2] = np.inf  # clipped as any excitation above 1
    assert rollout(arm, arm.nominal, start, jnp.asarray(u)).ok

    start = state_of((0.4, np.nan), (0.0, 0.0), np.full(6, 0.1))
    result = rollout(arm, arm.nominal, start, jnp.full((SECOND["arm"], 6), 0.3))
    assert result.failure() == "step 0 (t = 0 s): coordinate 'elbow_flex' is not finite"
    assert np.isfinite(result.position).all()


@pytest.mark.slow
def test_segments_are_the_rollout_in_pieces(arm, smooth_excitation):
    u = jnp.asarray(smooth_excitation(3, arm.timestep, SECOND["arm"], 6))
    whole = rollout(arm, arm.nominal, state_of((0.4, 1.0), (1.0, 0.0), np.full(6, 0.1)), u)
    q, v, a = (np.asarray(x)[:-1].reshape(10, 50, -1) for x in (whole.position, whole.velocity, whole.activation))
    start_q, start_v = q[:, 0].copy(), v[:, 0].copy()
    start_v[4] = np.inf
    ends = np.concatenate([u, u[-1:]])[50 * np.arange(10)[:, None] + np.arange(51)]
    begin = (jnp.asarray(x) for x in (start_q, start_v, a[:, 0], ends))
    pieces = rollout_segments(arm, arm.nominal, *begin)
    good = np.arange(10) != 4
    np.testing.assert_allclose(pieces.position[good, :-1], q[good], rtol=0, atol=1e-13)
    np.testing.assert_allclose(pieces.velocity[good, :-1], v[good], rtol=0, atol=1e-12)
    np.testing.assert_allclose(pieces.position[good, -1][:4], q[1:5, 0], rtol=0, atol=1e-13)
    # one lane that fails says so and leaves the others alone
    np.testing.assert_array_equal(np.asarray(pieces.failed_step) >= 0, ~good)
    assert not pieces.ok
    assert np.isfinite(pieces.position).all()


@pytest.mark.slow
def test_single_precision(arm, smooth_excitation, tmp_path):
    """A process of its own: JAX keeps constants by identity, so one process should stay with one precision."""
    u = smooth_excitation(4, arm.timestep, SECOND["arm"], 6)
    exact = rollout(arm, arm.nominal, state_of((0.4, 1.0), (1.0, 0.0), np.full(6, 0.1)), jnp.asarray(u))
    np.save(tmp_path / "u.npy", u)
    program = """
import numpy as np, mjx_msm as msm
arm = msm.load_model("arm")
state = msm.State(np.array([0.4, 1.0], np.float32), np.array([1.0, 0.0], np.float32), np.full(6, 0.1, np.float32))
motion = msm.rollout(arm, arm.nominal, state, np.load("u.npy").astype(np.float32))
assert motion.ok and motion.position.dtype == np.float32
np.save("q.npy", motion.position)
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "q.npy"), exact.position, rtol=0, atol=1e-3)


def test_initial_state(arm):
    state = initial_state(arm, {"elbow_flex": 1.1}, activation=0.2)
    np.testing.assert_array_equal(state.position, [0, 1.1])
    np.testing.assert_array_equal(state.velocity, 0)
    np.testing.assert_array_equal(state.activation, np.full(6, 0.2))
    with pytest.raises(InputError, match="coordinate 'elbow' is not in the model; it has shoulder_elev, elbow_flex"):
        initial_state(arm, {"elbow": 1.0})


def test_activation_tends_to_excitation(arm):
    """Full activation is reached, never passed; without excitation it decays."""
    rising, stages = activate(arm, arm.nominal, jnp.zeros(6), jnp.full((201, 6), 1.0))
    assert stages.shape == (200, 4, 6)
    np.testing.assert_array_equal(stages[:, 0], rising[:-1])
    assert (np.diff(rising, axis=0) >= 0).all()
    np.testing.assert_allclose(rising[-1], 1, atol=1e-3)
    falling = activate(arm, arm.nominal, jnp.ones(6), jnp.zeros((201, 6)))[0]
    assert (np.diff(falling, axis=0) <= 0).all()
    assert (falling >= 0).all()
    assert falling[-1].max() < 1e-2


def wrong_shapes():
    q, a, u = np.zeros(2), np.zeros(6), np.zeros((20, 6))
    good = {"position": q, "velocity": q, "activation": a, "excitation": u}
    yield {**good, "excitation": np.zeros((20, 5))}, r"`excitation` has shape \(20, 5\), expected \(steps, 6\)"
    yield {**good, "excitation": np.zeros(20)}, r"`excitation` has shape \(20,\)"
    yield {**good, "position": np.zeros(3)}, r"initial_state.position` has shape \(3,\), expected \(2,\)"
    yield {**good, "velocity": np.zeros(1)}, r"initial_state.velocity` has shape \(1,\), expected \(2,\)"
    yield {**good, "activation": np.zeros(5)}, r"initial_state.activation` has shape \(5,\), expected \(6,\)"
    yield {**good, "applied": np.zeros((20, 1))}, r"`applied` has shape \(20, 1\), expected \(20, 2\)"
    yield {**good, "applied": np.zeros((19, 2))}, r"`applied` has shape \(19, 2\)"
    yield {**good, "prescribed": np.zeros((21, 1))}, r"expected \(21, 0\) for no coordinates"


@pytest.mark.parametrize(("arrays", "message"), list(wrong_shapes()))
def test_wrong_shapes(arm, arrays, message):
    a = {k: jnp.asarray(v) for k, v in arrays.items()}
    start = State(a.pop("position"), a.pop("velocity"), a.pop("activation"))
    with pytest.raises(InputError, match=message):
        rollout(arm, arm.nominal, start, a.pop("excitation"), **a)


def test_wrong_shapes_of_segments_and_foreign_parameters(arm, knee):
    q, a, u = jnp.zeros((3, 2)), jnp.zeros((3, 6)), jnp.zeros((3, 10, 6))
    with pytest.raises(InputError, match=r"`excitation` has shape \(3, 10, 5\)"):
        rollout_segments(arm, arm.nominal, q, q, a, u[..., :5])
    with pytest.raises(InputError, match=r"`position` has shape \(2, 2\), expected \(3, 2\)"):
        rollout_segments(arm, arm.nominal, q[:2], q, a, u)
    with pytest.raises(InputError, match="belong to another model"):
        rollout(arm, knee.nominal, initial_state(arm), u[0])
