"""The functional twin: the same episodes as in C to rounding error, for several people at once, and its derivatives.

Every task is compiled once: an episode of three people side by side, of whom one is nominal and undisturbed, and of one
more whose action is no number from some period on.
"""

from typing import Any, NamedTuple

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mjx_msm.common.compiled import COMPILER_OPTIONS
from mjx_msm.common.errors import InputError
from mjx_msm.envs import ARM_CO_TRANSPORT, ARM_REACH, ARM_STRIKE, KNEE_EXO
from mjx_msm.envs.functional import Twin, TwinState, make
from mjx_msm.envs.human.drive import Human
from mjx_msm.envs.human.intent import Policy
from mjx_msm.envs.tasks.options import as_disturbance
from mjx_msm.person.model import load_model

PERIODS, NO_NUMBER = 110, 7
QUICK = {**COMPILER_OPTIONS, "xla_backend_optimization_level": 0}  # what runs once: compiled in two thirds of the time


class Case(NamedTuple):
    id: str
    arguments: dict[str, Any]
    size: float
    """Of the random actions."""
    disturbances: tuple[dict[str, float], ...]
    """Of the second and third person."""


WRONG = {"onset": 0.3, "duration": 1.2}
CASES = {
    "knee": Case(
        KNEE_EXO,
        {"exoskeleton": {"friction": 0.25}, "sensing": {"delay": 0.04, "command_delay": 0.02}},
        1.0,
        ({**WRONG, "slip": 0.8, "tremor": 0.2, "delay": 0.04}, {**WRONG, "payload": 1.5, "emg_dropout": 1.0}),
    ),
    "reach": Case(ARM_REACH, {"targets": 1}, 1.0, ({**WRONG, "tremor": 0.3}, {**WRONG, "payload": 1.0})),
    # A weak person's arm falls against the ball.
    "strike": Case(
        ARM_STRIKE,
        {"human": Human(Policy(), strength=0.05)},
        1.0,
        ({"onset": 0.6, "tremor": 0.3}, {"onset": 0.6, "payload": 1.0, "delay": 0.04}),
    ),
    # The bar stands in the beam's way.
    "carry": Case(
        ARM_CO_TRANSPORT,
        {"transport": {"obstacle_height": 0.94}, "emg": True},
        1.0,
        ({**WRONG, "payload": 0.5, "delay": 0.06}, {"onset": 0.8, "stall": 1.0, "tremor": 0.1}),
    ),
    "torque": Case(
        ARM_CO_TRANSPORT,
        {"robot": "torque", "action_mode": "both", "transport": {"obstacle_height": 0.94}},
        0.04,
        ({**WRONG, "payload": 0.5, "emg_dropout": 1.0}, {**WRONG, "stall": 1.0}),
    ),
}


def somebody(asset: str, seed: int) -> Any:
    """Parameters of a person up to 10 % off the nominal one."""
    rng, own = np.random.default_rng(seed), jax.tree.map(np.asarray, load_model(asset).nominal)
    muscle = jax.tree.map(lambda x: x * rng.uniform(0.97, 1.03, x.shape), own.muscle)
    segment = rng.uniform(0.9, 1.1, len(own.names.body))
    force = muscle.max_isometric_force * rng.uniform(0.9, 1.1, len(own.names.muscle))
    return eqx.tree_at(
        lambda p: (p.muscle, p.body.mass, p.body.inertia, p.joint.damping),
        own,
        (
            eqx.tree_at(lambda m: m.max_isometric_force, muscle, force),
            own.body.mass * segment,
            own.body.inertia * segment[:, None],
            own.joint.damping * rng.uniform(0.9, 1.1, len(own.names.joint)),
        ),
    )


class Played(NamedTuple):
    case: Case
    twin: Twin
    people: list[Any]
    """None: the nominal one."""
    draws: np.ndarray
    actions: np.ndarray
    states: TwinState
    """With axes (person, period)."""
    failing: TwinState
    """Of the nominal person, with the first one's actions up to `NO_NUMBER`; with an axis of periods."""


@pytest.fixture(scope="module")
def played():
    """Name of a case to its episode; each is compiled and played once."""
    kept: dict[str, Played] = {}

    def get(name: str) -> Played:
        if name not in kept:
            kept[name] = play(CASES[name])
        return kept[name]

    return get


def play(case: Case) -> Played:
    with jax.enable_x64(True):
        twin = make(case.id, **case.arguments)
        rng = np.random.default_rng(5)
        people = [None, *(somebody("knee" if case.id == KNEE_EXO else "arm", seed) for seed in (1, 2))]
        draws = rng.uniform(0, 1, (3, twin.task.draws))
        actions = case.size * rng.uniform(-1, 1, (3, PERIODS, len(twin.task.actions)))

        def episode(key: Any, person: Any, wrong: Any, u: Any, actions: Any) -> TwinState:
            def step(state: TwinState, action: Any) -> tuple[TwinState, TwinState]:
                state = twin.step(state, action)
                return state, state

            return jax.lax.scan(step, twin.reset(key, person, wrong, u), actions)[1]

        place = twin.task.world.person_in
        everybody = [twin.person if person is None else place(person) for person in (*people, None)]
        together = jax.tree.map(lambda *x: np.stack(x), *everybody)
        wrongs = [as_disturbance(w, twin.task) for w in ({}, *case.disturbances, {})]
        wrong = jax.tree.map(lambda *x: np.array(x), *wrongs)
        keys = jax.random.split(jax.random.key(0), 4)
        none = np.where(np.arange(PERIODS)[:, None] < NO_NUMBER, actions[0], np.nan)
        run = jax.jit(jax.vmap(episode), compiler_options=QUICK)
        states = run(keys, together, wrong, draws[[0, 1, 2, 0]], np.concatenate([actions, none[None]]))
        states, failing = (jax.tree.map(lambda x, part=part: _host(x[part]), states) for part in (slice(3), 3))
        return Played(case, twin, people, draws, actions, states, failing)


def _host(x: Any) -> Any:
    return x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else np.asarray(x)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_an_episode_is_the_single_environments(played, name: str) -> None:
    case, _, people, draws, actions, states, _ = played(name)
    env = gymnasium.make(case.id, **case.arguments).unwrapped
    touched = np.zeros(3, bool)
    for i, person in enumerate(people):
        wrong = ({}, *case.disturbances)[i]
        env.reset(options={"person": person, "disturbance": wrong, "draws": draws[i]})
        for k in range(PERIODS):
            observation, reward, terminated, truncated, info = env.step(actions[i, k])
            x = jax.tree.map(lambda x, i=i, k=k: x[i, k], states)
            assert np.abs(x.engine.position - env.data.qpos).max() < 1e-9
            assert np.abs(x.engine.velocity - env.data.qvel).max() < 1e-7
            np.testing.assert_allclose(x.observation, observation, rtol=1e-6, atol=1e-6)  # float32
            assert x.reward == pytest.approx(reward, rel=1e-7, abs=1e-7)
            assert (bool(x.terminated), bool(x.truncated)) == (terminated, truncated)
            report = info.pop("summary", None)
            assert x.measures.keys() == info.keys()
            for measure, value in info.items():
                np.testing.assert_allclose(x.measures[measure], value, rtol=1e-7, atol=1e-6, err_msg=measure)
            touched[i] |= info.get("contact_force", 0.0) > 1.0
            if report is not None:
                ours = x.summary.report(env.task.summarised, env.task.period)
                assert ours == pytest.approx(report, rel=1e-6, abs=1e-6)
            if terminated:
                break
        assert k > 60
    # The case is what it says: people differ, things happened.
    assert np.ptp(states.engine.position[:, 60], axis=0).max() > 0.01
    if name == "carry":
        assert touched[:2].all()  # the third's robot stalls before the bar
    if name == "strike":
        assert touched.all()
    if name == "knee":
        assert states.measures["slip"][1].max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_an_action_that_is_no_number_fails(played, name: str) -> None:
    states, failing = played(name).states, played(name).failing
    np.testing.assert_array_equal(failing.failed, np.arange(PERIODS) >= NO_NUMBER)  # of the knee, before it acts
    assert failing.terminated[NO_NUMBER:].all()
    assert np.isfinite(failing.observation).all()
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((failing.measures, failing.reward)))
    np.testing.assert_array_equal(failing.observation[:NO_NUMBER], states.observation[0, :NO_NUMBER])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("id", "arguments"), [*((c.id, c.arguments) for c in CASES.values()), (KNEE_EXO, {"task": "swing"})]
)
def test_a_state_has_one_type_and_single_and_double_precision_take_turns(id: str, arguments: dict) -> None:
    """From the reset on, weak types included: `jit` tells calls apart by nothing else, and compiles nothing again."""
    twin = make(id, **arguments)
    for double in (False, True, False):
        with jax.enable_x64(double):
            start = jax.eval_shape(twin.reset, jax.random.key(0), twin.person)
            after = jax.eval_shape(twin.step, start, jnp.zeros(len(twin.task.actions)))
        assert start.engine.position.dtype == (np.float64 if double else np.float32)
        assert jax.tree.structure(start) == jax.tree.structure(after)
        for a, b in zip(jax.tree.leaves(start), jax.tree.leaves(after), strict=True):
            assert (a.shape, a.dtype, a.weak_type) == (b.shape, b.dtype, b.weak_type)


# Derivatives -----------------------------------------------------------------------------------------------


def difference(function: Any, x: float, h: float) -> float:
    """Central, of fourth order."""
    near, far = function(x + h) - function(x - h), function(x + 2 * h) - function(x - 2 * h)
    return (8 * near - far) / (12 * h)


@pytest.mark.slow
def test_gradient_of_the_return_is_cs_finite_difference() -> None:
    """Reverse mode in JAX, with respect to actions, a muscle and a bone; central differences through C MuJoCo."""
    id, periods, muscle, segment = ARM_REACH, 4, "BIClong", "forearm"
    rng = np.random.default_rng(0)
    env = gymnasium.make(id).unwrapped
    actions = rng.uniform(-0.5, 0.5, (periods, env.action_space.shape[0]))
    draws = np.full(env.task.draws, 0.4)
    with jax.enable_x64(True):
        twin = make(id)
        nominal = jax.tree.map(np.asarray, twin.person)
        f0 = nominal.names.muscle.index(muscle)
        body = nominal.names.body.index(segment)

        def total(actions: Any, force: Any, mass: Any) -> Any:
            person = eqx.tree_at(
                lambda p: (p.muscle.max_isometric_force, p.body.mass),
                nominal,
                (
                    jnp.asarray(nominal.muscle.max_isometric_force).at[f0].set(force),
                    jnp.asarray(nominal.body.mass).at[body].set(mass),
                ),
            )
            state = twin.reset(jax.random.key(0), person, draws=jnp.asarray(draws))

            def step(state: TwinState, action: Any) -> tuple[TwinState, Any]:
                state = twin.step(state, action)
                return state, state.reward

            return jnp.sum(jax.lax.scan(step, state, actions)[1])

        force, mass = float(nominal.muscle.max_isometric_force[f0]), float(nominal.body.mass[body])
        gradient = jax.jit(jax.value_and_grad(total, (0, 1, 2)), compiler_options=QUICK)
        value, (to_action, to_force, to_mass) = jax.tree.map(np.asarray, gradient(actions, force, mass))

    def in_c(actions: Any, force: float = force, mass: float = mass) -> float:
        strength = np.array(nominal.muscle.max_isometric_force)
        strength[f0] = force
        masses = np.array(nominal.body.mass)
        masses[body] = mass
        person = eqx.tree_at(lambda p: (p.muscle.max_isometric_force, p.body.mass), nominal, (strength, masses))
        env.reset(options={"person": person, "draws": draws})
        return sum(env.step(a)[1] for a in actions)

    assert value == pytest.approx(in_c(actions), rel=1e-9)
    assert to_force == pytest.approx(difference(lambda f: in_c(actions, force=f), force, 1e-3 * force), rel=1e-4)
    assert to_mass == pytest.approx(difference(lambda m: in_c(actions, mass=m), mass, 1e-3 * mass), rel=1e-4)
    way = rng.normal(size=actions.shape)
    assert np.sum(to_action * way) == pytest.approx(difference(lambda s: in_c(actions + s * way), 0.0, 1e-3), rel=1e-4)


# The front door --------------------------------------------------------------------------------------------


def test_what_is_not_ours_is_refused() -> None:
    with pytest.raises(InputError, match="'Ant-v5' is not one of"):
        make("Ant-v5")
    with pytest.raises(InputError, match="no identification"):
        _ = make(ARM_REACH).people


def test_an_action_of_another_shape_is_named() -> None:
    twin = make(ARM_REACH)
    state = jax.eval_shape(twin.reset, jax.random.key(0), twin.person)
    with pytest.raises(InputError, match=r"action has shape \(3,\); give shape \(6,\): excitation_"):
        jax.eval_shape(twin.step, state, jnp.zeros(3))
