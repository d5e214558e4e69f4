"""Whether a path touches bone is decided alike in both precisions and in C, and nothing jumps where it begins to."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mjx_msm as msm

BENCHMARKS = Path(__file__).resolve().parents[2] / "examples" / "benchmarks"
PRECISIONS = ("float32", "float64")


@pytest.fixture(scope="module")
def wraps():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import wraps
    finally:
        sys.path.remove(str(BENCHMARKS))
    return wraps


@pytest.mark.slow
@pytest.mark.parametrize("name", ["arm", "knee", "zoo"])
def test_no_answer_flips(wraps, name):
    """The benchmark with fewer postures. Where it was asked whether the tangents cross, thousands of answers in float32
    were flips here, and the knee's in float64, too: within √ε of touching, rounding decides that question."""
    for precision, found in wraps.counts(wraps.subject(name), wraps.QUICK, seed=0).items():
        assert found.flips == 0, f"{precision}: {found.flips}, off by up to {found.worst:.3g} m: {found.where}"
        near, asked = found.on_a_jump, found.postures * wraps.subject(name).m.ntendon
        assert near <= (0 if name != "zoo" else 0.05 * asked if precision == "float32" else 1e-5 * asked)


def test_the_comparison_sees_a_flip(wraps):
    """A tendon that goes once more around, a slope of the other side, and an answer that is a bit too long."""
    who = wraps.subject("arm")
    q = who.anywhere(np.random.default_rng(3), 20)
    length, slope, _ = known = wraps.InC(who.m)(q)
    for precision in PRECISIONS:
        assert wraps.count(who, q, precision, (length, slope), known).flips == 0
        once_around, too_long, other_side = length.copy(), length.copy(), slope.copy()
        once_around[4, 0] += 2 * np.pi * 0.022
        too_long[5, 1] += 5 * wraps.LENGTH[precision]
        other_side[6, 0] *= -1
        for answer in ((once_around, slope), (too_long, slope), (length, other_side)):
            found = wraps.count(who, q, precision, answer, known)
            assert (found.flips, found.on_a_jump) == (1, 0)


def walk(rng, wraps, name, count):
    """A smooth random walk through the postures: (instant, coordinate)."""
    who = wraps.subject(name)
    t = np.linspace(0, 1, count)[:, None]
    waves = [np.sin(2 * np.pi * (f * t + rng.uniform(0, 1, len(who.low)))) for f in (1, 3, 7)]
    q = 0.5 * (who.low + who.high) + 0.5 * (who.high - who.low) * sum(waves) / 3
    if name == "zoo":  # its ends at opposite sides of the ball and the rod, and never in them
        q[:, 2:] *= np.array([0.3, 0.7, 0.7] * 2)
        q[:, 2] -= 3 * wraps.RADIUS
        q[:, 5] += 3 * wraps.RADIUS
    return q.astype(np.float32).astype(float)


@pytest.mark.parametrize("name", ["arm", "knee", "zoo"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_lengths_are_continuous_along_smooth_motion(wraps, name, precision):
    """No step is longer than the longest lever takes it, and steps are what the slopes at both ends say.

    The levers are C's, the rest is an invariant: |ΔL| ≤ Σⱼ max|∂L/∂qⱼ| |Δqⱼ|, and ΔL = ½ (∂L/∂q + ∂L/∂q') · Δq to
    second order in the step, where a path begins to touch as well. In the zoo paths go over from one way around to
    another, equally long one, with another slope; and C's rule has jumps of its own, but for the two tendons here.
    """
    rng, who = np.random.default_rng(1), wraps.subject(name)
    answer, in_c = wraps.ours(who.model, precision), wraps.InC(who.m)
    rounding = 2e-6 if precision == "float32" else 1e-12
    names = [who.m.tendon(t).name for t in range(who.m.ntendon)]
    those = [names.index(f"around the {it}") for it in ("ball", "rod")] if name == "zoo" else range(len(names))
    touched = 0
    for _ in range(5):
        q = walk(rng, wraps, name, 20_000)
        length, slope = (x[:, those] for x in answer(q))
        _, its_slope, points = (x[:, those] for x in in_c(q[::10]))
        lever, step = np.abs(its_slope).max(0), np.diff(q, axis=0)
        growth = np.diff(length, axis=0)
        assert (np.abs(growth) <= 1.001 * np.abs(step) @ lever.T + rounding).all()
        touched += np.count_nonzero(np.diff(points, axis=0))
        if name != "zoo":
            by_slope = 0.5 * np.einsum("ktj,kj->kt", slope[1:] + slope[:-1], step)
            size = np.linalg.norm(step, axis=1)[:, None]
            assert (np.abs(growth - by_slope) <= size**2 + rounding).all()
    assert touched > 50


def test_a_motion_in_single_precision_is_that_in_double_precision(arm, step_in_c):
    """At step 140 the triceps graze the elbow. They were 7 cm too long there for one step, and the motion another."""
    excitation, found = np.full((250, 6), 0.1), {}
    for precision in (*PRECISIONS, *PRECISIONS):  # in turns: what is kept of one must not meet the other
        with jax.enable_x64(precision == "float64"):
            start = msm.initial_state(arm, {"elbow_flex": 0.5})
            motion = msm.rollout(arm, arm.nominal, start, jnp.asarray(excitation, dtype=precision))
            assert motion.position.dtype == precision
            found[precision] = np.asarray(motion.position[-1])
    q, _, _ = step_in_c(arm.host.mj_model, [0, 0.5], [0, 0], np.zeros(6), excitation)
    # C's own answer is noise within √ε of touching, where this motion goes by
    np.testing.assert_allclose(found["float64"], q[-1], rtol=0, atol=1e-7)
    np.testing.assert_allclose(found["float32"], q[-1], rtol=0, atol=1e-4)
