"""Environments in single precision where a muscle just touches bone: beside the single environment, which is C's."""

import sys
from functools import cache
from pathlib import Path

import gymnasium
import jax
import numpy as np

from mjx_msm.common.compiled import COMPILER_OPTIONS
from mjx_msm.envs import ARM_REACH
from mjx_msm.envs.functional import make
from mjx_msm.envs.tasks.arm_reach import REACH
from mjx_msm.envs.tasks.disturbance import NOTHING

BENCHMARKS = Path(__file__).resolve().parents[3] / "examples" / "benchmarks"
LANES, PERIODS = 512, 2
VELOCITY = 2e-3
"""[rad/s]; a triceps 7 cm too long for one step leaves 0.1 and more."""


@cache
def starts() -> np.ndarray:
    """Draws that start the arm where some muscle begins to touch a wrap, or next to it."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import wraps
    finally:
        sys.path.remove(str(BENCHMARKS))
    q = wraps.subject("arm").grazing(np.random.default_rng(4), 60_000)
    u = (q - REACH[:, 0]) / (REACH[:, 1] - REACH[:, 0])
    u = u[((u > 0.01) & (u < 0.99)).all(1)][:LANES]
    assert len(u) == LANES
    return np.concatenate([u, np.full((LANES, 2), 0.5)], axis=1)


@cache
def in_c() -> np.ndarray:
    """Velocities by (lane, period) [rad/s]."""
    env = gymnasium.make(ARM_REACH, targets=1).unwrapped
    out = []
    for u in starts():
        env.reset(options={"draws": u})
        for _ in range(PERIODS):
            env.step(action())
            out.append(env.data.qvel.copy())
    return np.array(out).reshape(LANES, PERIODS, -1)


def action() -> np.ndarray:
    """All muscles pull a bit."""
    return np.full(6, -0.6, np.float32)


def test_vector_environment() -> None:
    vector = gymnasium.make_vec(ARM_REACH, num_envs=LANES, targets=1)
    vector.reset(seed=0, options={"draws": starts()})
    for k in range(PERIODS):
        vector.step(np.tile(action(), (LANES, 1)))
        velocity = vector.unwrapped._state.engine.velocity
        assert velocity.dtype == np.float32
        np.testing.assert_allclose(velocity, in_c()[:, k], rtol=0, atol=VELOCITY)
    vector.close()


def test_functional_twin() -> None:
    twin = make(ARM_REACH, targets=1)

    def play(u):
        state = twin.reset(jax.random.key(0), twin.person, NOTHING, u)
        return jax.lax.scan(lambda s, _: 2 * (twin.step(s, action()),), state, None, PERIODS)[1].engine.velocity

    found = jax.jit(jax.vmap(play), compiler_options=COMPILER_OPTIONS)(starts().astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, in_c(), rtol=0, atol=VELOCITY)
