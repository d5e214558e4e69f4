"""Order of the integrators, in states and in derivatives; derivatives against C; splines; the curve of excitation."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from mjx_msm.common.compiled import COMPILER_OPTIONS, float64
from mjx_msm.common.errors import InputError
from mjx_msm.dynamics.activation_sensitivities import activation_derivatives, activation_pairs
from mjx_msm.dynamics.integrator import RK4, Euler, integrator_of, spline
from mjx_msm.dynamics.sensitivities import (
    acceleration_derivatives,
    chain,
    factors,
    in_the_middle,
    interleaved,
    path_derivatives,
    with_middles,
)
from mjx_msm.dynamics.simulation import State, activate, rollout, simulate_motion
from mjx_msm.person.model import load_model
from mjx_msm.person.personalisation import personalised_spec
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.replay import replay

pytestmark = pytest.mark.usefixtures("x64")

QUICK = {**COMPILER_OPTIONS, "xla_backend_optimization_level": 0}  # compiles in half the time, runs long enough once
FREE = (
    "muscle/*/max_isometric_force",
    "muscle/*/optimal_fiber_length",
    "muscle/*/tendon_slack_length",
    "muscle/*/activation_time_constant",
    "muscle/*/deactivation_time_constant",
    "body/*/mass",
    "body/*/com/z",
    "joint/*/damping",
)


SMOOTH = """<mujoco>
  <option gravity="0 0 -9.81" integrator="RK4"/>
  <worldbody>
    <site name="front" pos="0.1 0 0"/>
    <site name="back" pos="-0.1 0 0"/>
    <body name="upper">
      <joint name="shoulder" axis="0 -1 0" damping="0.3"/>
      <inertial mass="2" pos="0 0 -0.15" diaginertia="0.02 0.02 0.002"/>
      <site name="upper_front" pos="0.03 0 -0.2"/>
      <site name="upper_back" pos="-0.03 0 -0.2"/>
      <body name="lower" pos="0 0 -0.3">
        <joint name="elbow" axis="0 -1 0" damping="0.1"/>
        <inertial mass="1.2" pos="0 0 -0.15" diaginertia="0.01 0.01 0.001"/>
        <site name="lower_front" pos="0.03 0 -0.06"/>
      </body>
    </body>
  </worldbody>
  <tendon>
    <spatial name="a"><site site="front"/><site site="upper_front"/></spatial>
    <spatial name="b"><site site="back"/><site site="upper_back"/></spatial>
    <spatial name="c"><site site="front"/><site site="lower_front"/></spatial>
  </tendon>
  <actuator>
    <muscle name="flexor" tendon="a" force="300" range="0.7 1.3" lengthrange="0.15 0.25" timeconst="0.05 0.08"/>
    <muscle name="extensor" tendon="b" force="300" range="0.7 1.3" lengthrange="0.15 0.25" timeconst="0.05 0.08"/>
    <muscle name="biceps" tendon="c" force="200" range="0.7 1.3" lengthrange="0.28 0.42" timeconst="0.05 0.08"/>
  </actuator>
</mujoco>"""


@pytest.fixture(scope="module")
def smooth(tmp_path_factory):
    """(timestep, integrator) to a model with all derivatives, which an order is defined for: straight tendons and the
    curves of De Groote and Fregly."""
    path = tmp_path_factory.mktemp("smooth") / "smooth.xml"
    path.write_text(SMOOTH)
    return lambda h, integrator="RK4": load_model(path, muscle="degroote", timestep=h, integrator=integrator)


def ramp(model, duration):
    """One straight line from end to end, whatever the timestep."""
    share, (low, high) = (
        np.linspace(0, 1, round(duration / model.timestep) + 1)[:, None],
        ([0.1, 0.2, 0.3], [0.5, 0.2, 0.1]),
    )
    return (1 - share) * low + share * high


def last_state(model, duration=0.256):
    drive = ramp(model, duration)
    stages = activate(model, model.nominal, drive[0], drive)[1]
    held = jnp.zeros((*stages.shape[:2], 0))
    q, v, failed, *_ = simulate_motion(model, model.nominal, np.array([0.3, 0.8]), np.array([0.5, -1.0]), stages, held)
    assert failed < 0
    return np.concatenate([q[-1], v[-1]])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "order"), [("Euler", 1), ("RK4", 4)])
def test_order_of_a_motion(smooth, name, order):
    """Halving the step divides the error by two to the order."""
    exact = last_state(smooth(5e-4))
    error = [np.abs(last_state(smooth(h, name)) - exact).max() for h in (8e-3, 4e-3, 2e-3)]
    assert integrator_of(smooth(2e-3, name)).order == order
    for coarse, fine in pairwise(error):
        assert order - 0.25 < np.log2(coarse / fine) < order + 0.6
    assert error[-1] < (1e-1 if order == 1 else 1e-7)


def test_order_of_activation():
    """Both against the closed form where the rate is linear: a' = (u − a)/τ with u straight."""
    tau, end = 0.05, 0.2

    def rate(u, a):
        return (u - a) / tau

    def run(integrator, steps):
        h, a = end / steps, 0.3
        for k in range(steps):
            _, a = integrator.activation(rate, h, a, 2.0 * k * h, 2.0 * (k + 1) * h)
        return a

    exact = 2.0 * (end - tau) + (0.3 + 2.0 * tau) * np.exp(-end / tau)
    for integrator in (Euler(), RK4()):
        coarse, fine = (abs(run(integrator, n) - exact) for n in (20, 40))
        assert integrator.order - 0.2 < np.log2(coarse / fine) < integrator.order + 0.2


# Derivatives -----------------------------------------------------------------------------------------------


def columns(model, space, z, drive, start):
    """Motion, and the derivatives of positions and last velocity by (initial state, z), as the residual has them."""
    steps, mixing = len(drive) - 1, np.eye(len(model.muscles))
    pairs = activation_pairs(space, mixing)
    a, stages, by_pair = (x[0] for x in activation_derivatives(model, space, z, drive[None], mixing, pairs))
    at, nothing = factors(space, z), jnp.zeros((2 * steps + 1, 0))

    @partial(jax.jit, compiler_options=QUICK)
    def run(start, a, stages, by_pair):
        held = jnp.zeros((*stages.shape[:2], 0))
        q, v, *_ = simulate_motion(model, at.parameters, start[:2], start[2:], stages, held)
        at_q, at_v = (x[0] for x in with_middles(q[None], v[None], model.timestep))
        at_a = interleaved(a[None], 0.5 * (stages[None, :, 1] + stages[None, :, 2]))[0]
        slope = interleaved(by_pair[None], in_the_middle(by_pair[None]))[0]
        moving = at_q, at_v, at_a, nothing, slope
        d = acceleration_derivatives(model, space, at, pairs, *path_derivatives(model, at_q), *moving)
        return q, *(x[0] for x in chain(d.by_state[None], d.by_parameters[None], model.timestep))

    return tuple(np.asarray(x) for x in run(jnp.asarray(start), a, stages, by_pair))


def dense(model, space, z, drive, start):
    """The same by differentiation of the simulation itself."""

    @partial(jax.jit, compiler_options=QUICK)
    @partial(jax.jacfwd, argnums=(0, 1))
    def run(start, z):
        parameters = space.unpack(z)
        stages = activate(model, parameters, drive[0], jnp.asarray(drive))[1]
        held = jnp.zeros((*stages.shape[:2], 0))
        return simulate_motion(model, parameters, start[:2], start[2:], stages, held)[0]

    return np.concatenate([np.asarray(x) for x in run(jnp.asarray(start), jnp.asarray(z))], -1)


def packed(model, free=FREE):
    """Every kind of parameter that moves a motion but those of the EMG, which leave the excitation as it was."""
    emg = {"gain": 1.0, "delay": 0.0, "shape": 0.0}
    nominal = model.nominal.with_channels(model.muscles)
    nominal = nominal.updated({f"emg/*/{name}": value for name, value in emg.items()})
    space = parameter_space(nominal, free)
    return space, np.asarray(space.pack(nominal))


@pytest.mark.slow
def test_order_of_the_derivatives(smooth):
    """Against the discrete motion's own: the third at least, since activation in the middle is known to that order."""
    start, error = np.array([0.3, 0.8, 0.5, -1.0]), []
    for h in (4e-3, 2e-3):
        model = smooth(h)
        free = [f for f in FREE if "time_constant" not in f]  # activation follows excitation, and theirs are nearly 0
        (space, z), drive = packed(model, free), ramp(model, 0.128)
        found, exact = columns(model, space, z, drive, start)[1], dense(model, space, z, drive, start)
        assert found.shape == exact.shape
        size = np.maximum(np.abs(exact).max(axis=(0, 1)), 1e-9)
        error.append((np.abs(found - exact).max(axis=(0, 1)) / size).max())
    assert 2.8 < np.log2(error[0] / error[1]) < 5.0
    assert error[1] < 1e-5


@pytest.mark.slow
def test_derivatives_are_central_differences_of_c(arm):
    """An interval by plain `mj_step`, excitation through the control callback, of subjects on both sides.

    How activation depends on its time constants is interpolated between the samples: where excitation overtakes
    activation that bends, and a hundredth of their small columns is lost.
    """
    steps, start = 32, np.array([0.4, 1.2, 1.0, -1.5])
    time = arm.timestep * np.arange(steps + 1)
    drive = 0.2 + 0.1 * np.sin(20 * time[:, None] + np.arange(6))
    space, z = packed(arm)
    q, found, last_velocity = columns(arm, space, z, drive, start)

    def in_c(start, z):
        subject = jax.tree.map(np.asarray, space.unpack(jnp.asarray(z)))
        return replay(personalised_spec(arm, subject).compile(), time, drive, start[:2], start[2:], drive[0])[:2]

    np.testing.assert_allclose(in_c(start, z)[0], q, rtol=0, atol=1e-13)
    point, step = np.concatenate([start, z]), 1e-5
    for k, name in enumerate(["q", "q", "v", "v", *space.paths]):
        ends = [in_c(*np.split(point + s * step * np.eye(len(point))[k], [4])) for s in (1, -1)]
        by_q, by_v = ((a - b) / (2 * step) for a, b in zip(*ends, strict=True))
        size = max(np.abs(by_q).max(), arm.timestep * np.abs(by_v).max())
        size *= 1e-2 if "time_constant" in name else 1e-4
        assert 0 < np.abs(found[..., k] - by_q).max() < size, name
        assert 0 < np.abs(last_velocity[:, k] - by_v[-1]).max() < size / arm.timestep, name


def test_a_cubic_is_its_own_value_in_the_middle():
    t = np.arange(7.0)[None, :, None]
    for count in (4, 5, 7):
        values = (2 - t + 3 * t**2 - 0.5 * t**3)[:, :count]
        middle = np.arange(count - 1) + 0.5
        expected = 2 - middle + 3 * middle**2 - 0.5 * middle**3
        np.testing.assert_allclose(in_the_middle(jnp.asarray(values))[0, :, 0], expected, rtol=1e-12)
    np.testing.assert_allclose(in_the_middle(jnp.asarray(t[:, :3]))[0, :, 0], [0.5, 1.5], rtol=1e-12)


# Curves ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 40])
def test_spline_is_that_of_scipy(count):
    time, x = 0.01 * np.arange(count), np.random.default_rng(count).normal(size=(count, 3))
    expected = CubicSpline(time, x)
    velocity, acceleration = jax.jit(lambda x: spline(x, 0.01))(x)
    np.testing.assert_allclose(velocity, expected(time, 1), rtol=0, atol=1e-9 * 1e3)
    np.testing.assert_allclose(acceleration, expected(time, 2), rtol=0, atol=1e-9 * 1e5)


def test_a_single_sample_stands_still():
    for integrator in (Euler(), RK4()):
        velocity, acceleration = integrator.held(jnp.ones((1, 2)), 0.01)
        np.testing.assert_array_equal(velocity, np.zeros((1, 2)))
        assert acceleration.shape == (0, integrator.stages, 2)


def test_a_held_coordinate_is_on_its_curve_at_every_sample():
    knee = load_model("knee", prescribed=["hip_flexion", "ankle_angle"], timestep=2e-3)
    t = knee.timestep * np.arange(301)
    held = np.stack([0.5 + 0.4 * np.sin(6 * t), 0.1 * np.cos(9 * t)], -1)
    start = State(jnp.zeros(3), jnp.zeros(3), jnp.full(12, 0.05))
    motion = rollout(knee, knee.nominal, start, jnp.full((300, 12), 0.05), prescribed=jnp.asarray(held))
    np.testing.assert_allclose(motion.position[:, [0, 2]], held, rtol=0, atol=1e-12)
    speed = np.stack([2.4 * np.cos(6 * t), -0.9 * np.sin(9 * t)], -1)
    np.testing.assert_allclose(motion.velocity[:, [0, 2]], speed, rtol=0, atol=1e-5)


def test_excitation_is_a_line_between_its_samples(smooth):
    """A ramp given every 8 ms and the same one given every 2 ms are one motion, to what RK4 gets wrong in 8 ms."""
    motions = []
    for h in (8e-3, 2e-3):
        model = smooth(h)
        drive = ramp(model, 0.256)
        start = State(jnp.array([0.3, 0.8]), jnp.zeros(2), jnp.asarray(drive[0]))
        motion = rollout(model, model.nominal, start, jnp.asarray(drive))  # one step beyond the ramp's end
        motions.append(np.asarray(motion.position)[:: round(8e-3 / h)][:33])
    assert np.ptp(motions[0], axis=0).min() > 0.03
    np.testing.assert_allclose(*motions, rtol=0, atol=2e-5)  # 6e-6; a stair of 8 ms: 6e-3


def test_the_integrator_is_the_files_unless_the_caller_says():
    arm = load_model("arm")
    assert isinstance(integrator_of(arm), RK4)
    assert arm.by_rk4 is arm
    euler = load_model("arm", integrator="Euler")
    assert isinstance(integrator_of(euler), Euler)
    assert isinstance(integrator_of(euler.by_rk4), RK4)
    assert euler.by_rk4.host is euler.by_rk4.host, "what is compiled for a model is compiled once"
    assert isinstance(integrator_of(euler), Euler)
    assert euler.host.spec.option.integrator == mujoco.mjtIntegrator.mjINT_EULER
    with float64():
        assert euler.by_rk4.mjx_model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4
    with pytest.raises(InputError, match="integrator 'rk45' is unknown; choose one of Euler, RK4"):
        load_model("arm", integrator="rk45")
