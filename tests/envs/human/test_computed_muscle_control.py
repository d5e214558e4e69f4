"""The tracker on the bundled models in C: how well it follows, how late and how hard it may react, and its parts."""

import subprocess
import sys
from typing import NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from prescribed_motion import PrescribedMotion
from scipy.optimize import brentq, lsq_linear

from mjx_msm import assets
from mjx_msm.common.errors import InputError
from mjx_msm.envs.human.computed_muscle_control import Sensed, Tracker, gains
from mjx_msm.envs.human.reflex import StretchReflex
from mjx_msm.envs.motions.goal import Goal

PERIOD = 0.01


class Body:
    """A bundled model in C MuJoCo; the joints in `held` stay where they are put."""

    def __init__(self, name: str, free: list[str], held: dict[str, float]):
        self.model = m = mujoco.MjModel.from_xml_path(str(assets.path(name)))
        m.opt.integrator = mujoco.mjtIntegrator.mjINT_EULER  # by which environments step
        self.data = mujoco.MjData(m)
        self.dof = np.array([m.joint(joint).dofadr[0] for joint in free])
        self.held = held
        self.motion = PrescribedMotion(m, list(held))

    def place(self, position: np.ndarray) -> None:
        mujoco.mj_resetData(self.model, self.data)
        for joint, angle in self.held.items():
            self.data.joint(joint).qpos[:] = angle
        self.data.qpos[self.dof] = position

    def sense(self) -> Sensed:
        m, d, k = self.model, self.data, self.dof
        mujoco.mj_forward(m, d)
        mass, moment = np.zeros((m.nv, m.nv)), np.zeros((m.nu, m.nv))
        mujoco.mj_fullM(m, d, mass)
        mujoco.mju_sparse2dense(moment, d.actuator_moment, d.moment_rownnz, d.moment_rowadr, d.moment_colind)
        activation, tension = d.act.copy(), []
        for level in (0.0, 1.0):
            d.act[:] = level
            mujoco.mj_fwdActuation(m, d)
            tension.append(-d.actuator_force.copy())
        d.act[:] = activation
        return Sensed(
            position=d.qpos[k].copy(),
            velocity=d.qvel[k].copy(),
            mass_matrix=mass[np.ix_(k, k)],
            bias=d.qfrc_bias[k].copy(),
            passive=d.qfrc_passive[k].copy(),
            activation=activation,
            capacity=tension[1] - tension[0],
            slack_tension=tension[0],
            moment_arm=-moment[:, k],
        )

    def fibers(self) -> tuple[np.ndarray, np.ndarray]:
        """Length [l_opt] and velocity [l_opt/s]."""
        m, d = self.model, self.data
        lowest, ends = m.actuator_lengthrange[:, 0], m.actuator_gainprm[:, :2]
        optimal = np.ptp(m.actuator_lengthrange, axis=1) / np.ptp(ends, axis=1)
        return ends[:, 0] + (d.actuator_length - lowest) / optimal, d.actuator_velocity / optimal

    def step(self, excitation: np.ndarray, period: float) -> None:
        self.data.ctrl[:] = excitation
        for _ in range(round(period / self.model.opt.timestep)):
            self.motion.step(self.data, list(self.held.values()))


class Run(NamedTuple):
    error: np.ndarray
    """(period, dof) [deg]."""
    excitation: np.ndarray

    @property
    def rms(self) -> np.ndarray:
        return np.sqrt(np.mean(self.error**2, axis=0))

    def swing(self, begin: float, end: float, period: float = PERIOD) -> float:
        """Largest error between two instants [deg]."""
        return np.abs(self.error[round(begin / period) : round(end / period)]).max()


@pytest.fixture(scope="module")
def arm_in_c():
    return Body("arm", ["shoulder_elev", "elbow_flex"], {})


@pytest.fixture(scope="module")
def knee_in_c():
    return Body("knee", ["knee_angle"], {"hip_flexion": 0.6, "ankle_angle": 0.0})


def minimum_jerk(begin, end, duration: float, start: float = 0.2):
    """Flash and Hogan 1985, doi 10.1523/JNEUROSCI.05-07-01688.1985."""
    begin, change = np.asarray(begin, float), np.asarray(end, float) - begin

    def at(t: float) -> Goal:
        s = np.clip((t - start) / duration, 0, 1)
        return Goal(
            begin + change * (10 * s**3 - 15 * s**4 + 6 * s**5),
            change * (30 * s**2 - 60 * s**3 + 30 * s**4) / duration,
            change * (60 * s - 180 * s**2 + 120 * s**3) / duration**2,
        )

    return at


def follow(body, reference, tracker, seconds, period=PERIOD, strength=1.0, push=None, reflex=None) -> Run:
    """Let it follow from rest; `push` [N·m] acts for a tenth of a second after the first. A reflex is set at rest."""
    body.place(reference(0.0).position)
    body.sense()
    set_length, _ = body.fibers()
    line = None if reflex is None else reflex.start(len(set_length), period)
    memory = tracker.start(reference(0.0), period)
    errors, excitations = [], []
    for k in range(round(seconds / period)):
        t = k * period
        sensed = body.sense()
        errors.append(sensed.position - reference(t).position)
        excitation, memory = tracker.excitation(memory, reference(t + period), sensed, period)
        excitations.append(excitation)
        if reflex is not None:
            answer, line = reflex.excitation(line, *body.fibers(), set_length)
            excitation = np.minimum(excitation + answer, 1.0)
        body.data.qfrc_applied[body.dof] = 0.0 if push is None or not 1.0 <= t < 1.1 else push
        body.step(strength * excitation, period)
    return Run(np.degrees(errors), np.array(excitations))


ARM_REACH = minimum_jerk((-0.2, 0.3), (0.2, 0.9), 0.8)
KNEE_REACH = minimum_jerk((1.4,), (0.5,), 0.8)


@pytest.mark.parametrize(("rate", "shoulder", "elbow"), [(100, 0.6, 2.0), (50, 1.2, 4.0)])
def test_the_arm_follows_a_reach(arm_in_c, rate, shoulder, elbow):
    tracker = Tracker(0.04, *gains(0.04, 1 / rate))
    run = follow(arm_in_c, ARM_REACH, tracker, 2.0, 1 / rate)
    assert (run.rms < [shoulder, elbow]).all()
    assert run.swing(1.7, 2.0, 1 / rate) < 2.0  # and is there
    assert run.excitation.max() < 1.0


@pytest.mark.parametrize(("rate", "rms"), [(100, 1.5), (50, 3.0)])
def test_the_knee_follows_a_swing(knee_in_c, rate, rms):
    run = follow(knee_in_c, KNEE_REACH, Tracker(0.04, *gains(0.04, 1 / rate)), 2.0, 1 / rate)
    assert run.rms < rms
    assert run.swing(1.7, 2.0, 1 / rate) < 1.5


def test_feedback_is_what_makes_a_weak_person_arrive(arm_in_c):
    reach = minimum_jerk((-0.2, 0.3), (0.0, 0.8), 0.8)
    strong = follow(arm_in_c, reach, Tracker(), 2.5).swing(2.2, 2.5)
    weak = follow(arm_in_c, reach, Tracker(), 2.5, strength=0.8).swing(2.2, 2.5)
    blind = follow(arm_in_c, reach, Tracker(stiffness=0.0, damping=0.0), 2.5, strength=0.8).swing(2.2, 2.5)
    assert strong < 0.5 < weak < blind


def test_the_margins_that_gains_promises():
    """Of the loop (damping s + stiffness) e^(−δ s)/s²."""
    late = 0.04 + PERIOD
    stiffness, damping = gains(0.04, PERIOD)
    assert (stiffness, damping) == pytest.approx((36, 12))

    def loop(w: float) -> complex:
        return (damping * 1j * w + stiffness) / (1j * w) ** 2 * np.exp(-1j * w * late)

    crossover = brentq(lambda w: abs(loop(w)) - 1, 1, 100)
    phase_margin = np.pi + np.angle(loop(crossover))
    turn = brentq(lambda w: np.arctan(damping * w / stiffness) - w * late, 10, 100)
    assert np.degrees(phase_margin) == pytest.approx(41, abs=0.5)
    assert -20 * np.log10(abs(loop(turn))) == pytest.approx(7.7, abs=0.05)
    assert 1 + phase_margin / crossover / late == pytest.approx(2.2, abs=0.05)


@pytest.mark.parametrize(("name", "pose", "push"), [("arm", (0.1, 0.8), (0.0, 1.0)), ("knee", (1.0,), (4.0,))])
def test_the_margins_of_the_body_are_those(name, pose, push, request):
    """A held posture is pushed. Its swing dies out inside the margins, delay 98 ms and 7.7 dB, and grows outside."""
    body = request.getfixturevalue(f"{name}_in_c")
    posture = minimum_jerk(pose, pose, 1.0)

    def swings(tracker: Tracker) -> tuple[float, float]:
        run = follow(body, posture, tracker, 4.0, push=np.array(push))
        return run.swing(2.0, 2.5), run.swing(3.5, 4.0)

    for inside in (Tracker(delay=0.09), Tracker(stiffness=2 * 36, damping=2 * 12)):
        early, late = swings(inside)
        assert 0 < late < 0.5 * early
        assert late < 1.0
    for outside in (Tracker(delay=0.12), Tracker(stiffness=3 * 36, damping=3 * 12)):
        assert swings(outside)[1] > 5.0


@pytest.mark.parametrize(("name", "pose", "push"), [("arm", (0.1, 0.8), (0.0, 1.0)), ("knee", (1.0,), (4.0,))])
def test_the_stretch_reflex_resists_a_push(name, pose, push, request):
    """It takes a fifth off the swing of a held posture, and holds one that nothing else corrects."""
    body = request.getfixturevalue(f"{name}_in_c")
    posture, push, blind = minimum_jerk(pose, pose, 1.0), np.array(push), Tracker(stiffness=0.0, damping=0.0)

    def after(tracker: Tracker, reflex: StretchReflex | None) -> Run:
        return follow(body, posture, tracker, 3.0, push=push, reflex=reflex)

    with_it, without = after(Tracker(), StretchReflex()), after(Tracker(), None)
    assert with_it.swing(1.0, 1.5) < 0.8 * without.swing(1.0, 1.5)
    assert with_it.swing(2.5, 3.0) < 1.0
    assert after(blind, StretchReflex()).swing(2.0, 3.0) < 0.3 * after(blind, None).swing(2.0, 3.0)


def some(rng, dof: int = 2, muscle: int = 6) -> Sensed:
    """A body made up."""
    root = rng.normal(size=(dof, dof))
    return Sensed(
        position=rng.normal(size=dof),
        velocity=rng.normal(size=dof),
        mass_matrix=0.1 * (root @ root.T + np.eye(dof)),
        bias=rng.normal(size=dof),
        passive=rng.normal(size=dof),
        activation=rng.uniform(0.1, 0.6, muscle),
        capacity=rng.uniform(300, 900, muscle),
        slack_tension=rng.uniform(0, 20, muscle),
        moment_arm=rng.choice([-1.0, 1.0], (muscle, dof)) * rng.uniform(0.02, 0.05, (muscle, dof)),
    )


def at_rest(sensed: Sensed, wanted: Goal) -> Sensed:
    """The same with the activations that it takes, which a muscle without delay has at once."""
    prompt = Tracker(tone=0.1, rise_time=1e-9, fall_time=1e-9)
    return sensed._replace(activation=prompt.excitation(prompt.start(wanted, PERIOD), wanted, sensed, PERIOD)[0])


def test_what_is_wanted_comes_about_at_the_end_of_the_period():
    """Through MuJoCo's activation dynamics and the equations of motion."""
    rng, reached = np.random.default_rng(0), 0
    dynamics, tracker = np.array([0.01, 0.04, 0.0]), Tracker(tone=0.1)
    for _ in range(40):
        sensed = some(rng)
        wanted = Goal(sensed.position, sensed.velocity, rng.normal(size=2))
        settled = at_rest(sensed, wanted).activation
        activation = settled + rng.uniform(-0.02, 0.02, 6)
        u, _ = tracker.excitation(tracker.start(wanted, PERIOD), wanted, sensed._replace(activation=activation), PERIOD)
        moment = sensed.mass_matrix @ wanted.acceleration + sensed.bias - sensed.passive
        moments = (sensed.moment_arm * sensed.capacity[:, None]).T
        nearest = lsq_linear(moments, moment - sensed.slack_tension @ sensed.moment_arm, (0.1, 1))
        if nearest.cost > 1e-9 or not ((u > 0) & (u < 1)).all():
            continue  # not within these muscles' power, or not within a period
        for _ in range(500):
            rate = [mujoco.mju_muscleDynamics(x, a, dynamics) for x, a in zip(u, activation, strict=True)]
            activation = activation + PERIOD / 500 * np.array(rate)
        # The time constants follow activation; taken from the start of the period, they are a few per cent off.
        np.testing.assert_allclose(activation, settled, atol=2e-3)
        moment = (sensed.slack_tension + sensed.capacity * settled) @ sensed.moment_arm
        acceleration = np.linalg.solve(sensed.mass_matrix, moment + sensed.passive - sensed.bias)
        np.testing.assert_allclose(acceleration, wanted.acceleration, atol=1e-3)
        reached += 1
    assert reached > 15


def test_an_error_is_felt_after_the_delay():
    sensed = some(np.random.default_rng(1))
    here = Goal(sensed.position, sensed.velocity, np.zeros(2))
    sensed, tracker = at_rest(sensed, here), Tracker(delay=0.03, tone=0.1)
    memory, calm = tracker.start(here, PERIOD), []
    for _ in range(3):
        u, memory = tracker.excitation(memory, here, sensed, PERIOD)
        calm.append(u)
    disturbed = sensed._replace(position=sensed.position - 0.02)
    answers = []
    for _ in range(5):
        u, memory = tracker.excitation(memory, here, disturbed, PERIOD)
        answers.append(u)
    np.testing.assert_allclose(answers[:3], calm, atol=1e-6)
    assert np.abs(answers[3] - calm[0]).max() > 0.01


@pytest.mark.slow
def test_jax_gives_the_same_over_many_people(x64):
    rng, tracker = np.random.default_rng(2), Tracker(rise_time=np.full(6, 0.012), weight=np.linspace(1, 2, 6))
    bodies = [[some(rng) for _ in range(8)] for _ in range(5)]
    wanted = [[Goal(*rng.normal(size=(3, 2))) for _ in range(8)] for _ in range(5)]
    expected = []
    for people, references in zip(bodies, wanted, strict=True):
        memory, row = tracker.start(references[0], PERIOD), []
        for sensed, reference in zip(people, references, strict=True):
            u, memory = tracker.excitation(memory, reference, sensed, PERIOD)
            row.append(u)
        expected.append(row)

    def stacked(values):
        return jax.tree.map(lambda *x: jnp.stack(x), *[jax.tree.map(lambda *x: jnp.stack(x), *row) for row in values])

    def run(sensed, reference):
        memory = jax.tree.map(jnp.asarray, tracker.start(jax.tree.map(lambda x: x[0], reference), PERIOD))
        step = lambda memory, x: tracker.excitation(memory, x[1], x[0], PERIOD)[::-1]  # noqa: E731
        return jax.lax.scan(step, memory, (sensed, reference))[1]

    ours = jax.jit(jax.vmap(run))(stacked(bodies), stacked(wanted))
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    slope = jax.grad(lambda s: run(s, jax.tree.map(lambda x: x[0], stacked(wanted))).sum())(
        jax.tree.map(lambda x: x[0], stacked(bodies))
    )
    assert all(np.isfinite(x).all() for x in slope)


@pytest.mark.parametrize("tone", [-0.1, 1.0])
def test_no_such_tone(tone):
    with pytest.raises(InputError, match="tone"):
        Tracker(tone=tone)


def test_no_such_delay():
    here = Goal(*np.zeros((3, 2)))
    with pytest.raises(InputError, match="delay"):
        Tracker(delay=-0.01).start(here, PERIOD)
    with pytest.raises(InputError, match="period"):
        gains(0.04, 0.0)


def test_numpy_needs_no_jax():
    code = (
        "import sys, numpy as np\n"
        "from mjx_msm.envs.human import computed_muscle_control as t\n"
        "one, two = np.ones(3), np.ones(2)\n"
        "here = t.Goal(two, two, two)\n"
        "body = t.Sensed(two, two, np.eye(2), two, two, one, one, one, np.ones((3, 2)))\n"
        "t.Tracker().excitation(t.Tracker().start(here, 0.01), here, body, 0.01)\n"
        "assert 'jax' not in sys.modules and 'mujoco' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
