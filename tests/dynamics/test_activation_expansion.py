"""Activations by lane, and their second derivatives, against forward mode through the plain equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mjx_msm.common.compiled import COMPILER_OPTIONS, float64
from mjx_msm.dynamics import activation_expansion
from mjx_msm.dynamics.activation_expansion import expansion, lane_activations, lanes_of
from mjx_msm.dynamics.excitation import excitation, shape_derivatives, shaped
from mjx_msm.dynamics.simulation import activate
from mjx_msm.person.model import load_model
from mjx_msm.person.space import parameter_space

CHANNELS = ("flexors", "extensors", "brachialis")
QUICK = {**COMPILER_OPTIONS, "xla_backend_optimization_level": 0}  # what runs once: compiled in two thirds of the time
SAMPLES = 60


class Case:
    """An arm of which some muscles are driven alike; flexors are clipped for a part of the time."""

    def __init__(self, muscle, free, tied):
        self.model = load_model("arm", muscle=muscle, integrator="RK4")
        self.space = parameter_space(self.model.nominal.with_channels(CHANNELS), free, tied=tied)
        share = {"TRI": [0, 1, 0], "BIC": [0.9, 0, 0.1], "BRA": [0.8, 0, 0.6]}
        self.mixing = np.array([share[m[:3]] for m in self.model.muscles])
        rng, t = np.random.default_rng(2), self.model.timestep * np.arange(SAMPLES)[:, None]
        waves = [0.45 + 0.4 * np.sin(60 * t + rng.uniform(0, 6, len(CHANNELS))) for _ in range(2)]
        self.envelope = np.stack(waves, 1)
        z = self.space.clip(self.space.prior_mean + 0.2 * self.space.prior_scale * rng.uniform(-1, 1, self.space.size))
        paths = self.space.paths
        z = np.where([p.endswith("delay") for p in paths], 0.0133, z)
        z = np.where([p.endswith("shape") for p in paths], -1.2, z)
        self.z = np.where([p == "emg/flexors/gain" for p in paths], np.log(1.4), z)
        self.lanes = lanes_of(self.model, self.space, self.mixing, [True] * len(self.model.muscles))

    def plain(self, z):
        """The equations themselves, of every muscle (time, recording, muscle)."""
        parameters = self.space.unpack(z)
        u = excitation(parameters.emg, jnp.asarray(self.envelope), self.mixing, self.model.timestep)
        return activate(self.model, parameters, u[0], u)[0]


EMG = ("emg/*/gain", "emg/*/delay", "emg/*/shape")
EVERYTHING = (*EMG, "muscle/*/activation_time_constant", "muscle/*/deactivation_time_constant")
ONE = ("emg/flexors/gain", "emg/flexors/delay")  # nothing moves the muscles that extensors drive
CASES = {
    "one channel": ("mujoco", ONE, ()),
    "driven alike": ("mujoco", EMG, ("emg/*/delay",)),
    "everything": ("degroote", EVERYTHING, ()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_lanes_are_the_plain_equations_to_second_order(name, monkeypatch):
    """In blocks of 16 steps, the last of which is cut short."""
    case = Case(*CASES[name])
    monkeypatch.setattr(activation_expansion, "BLOCK", 1)
    assert len(case.lanes.each) == {"one channel": 3, "driven alike": 3, "everything": 6}[name]
    of, weight = np.array(case.lanes.of), np.random.default_rng(5).normal(size=(SAMPLES, 2, len(case.lanes.each)))

    def expanded(z):
        recorded = case.space.unpack(z), jnp.asarray(case.envelope), jnp.asarray(case.mixing), case.lanes
        value = lane_activations(case.model, *recorded)
        return value, *expansion(case.model, case.space, *recorded, value, jnp.asarray(weight), jnp.eye(2))

    first = np.array([case.lanes.of.index(k) for k in range(len(case.lanes.each))])
    with float64():
        z = jnp.asarray(case.z)
        value, by_pair, curvature = map(np.asarray, jax.jit(expanded, compiler_options=QUICK)(z))

        def differentiated(z):
            twice = jax.jacfwd(jax.jacfwd(lambda z: jnp.sum(weight * case.plain(z)[..., first])))
            return case.plain(z), jax.jacfwd(case.plain)(z), twice(z)

        plain, tangents, dense = map(np.asarray, jax.jit(differentiated, compiler_options=QUICK)(z))
    assert np.abs(value[..., of] - plain).max() < 1e-14
    lane, entry = np.array(case.lanes.pairs).T
    found = np.zeros((*value.shape, case.space.size))
    found[..., lane, entry] = by_pair
    assert np.abs(found[..., of, :] - tangents).max() < 1e-11 * np.abs(tangents).max()
    assert np.abs(curvature.sum(0) - dense).max() < 1e-10 * np.abs(dense).max()
    assert np.abs(dense).max() > 1.0
    assert np.abs(curvature).max(axis=(1, 2)).min() > 0.1  # of either recording


def test_muscles_with_time_constants_of_their_own_are_lanes_of_their_own():
    free = ("emg/*/gain", "muscle/BRA/activation_time_constant")
    case = Case("mujoco", free, ())
    groups = {}
    for muscle, lane in zip(case.model.muscles, case.lanes.of, strict=True):
        groups.setdefault(lane, set()).add(muscle)
    assert {"BRA"} in groups.values()
    acting = [m.startswith("BIC") for m in case.model.muscles]
    assert len(lanes_of(case.model, case.space, case.mixing, acting).each) == 1


def test_derivatives_of_the_shape():
    """By automatic differentiation, on either side of where the series takes over."""
    with float64():
        for shape in (-2.3, -0.5, -1.01e-3, -5e-4, 0.0):
            e, a = jnp.linspace(0, 1, 7), jnp.full(7, shape)
            value, slope, bend = shape_derivatives(e, a)
            np.testing.assert_array_equal(value, shaped(e, a))
            for k, one in enumerate(("signal", "shape")):
                np.testing.assert_allclose(slope[one], jax.vmap(jax.grad(shaped, k))(e, a), atol=1e-11)
                for m, other in list(enumerate(("signal", "shape")))[k:]:
                    again = jax.vmap(jax.grad(jax.grad(shaped, k), m))(e, a)
                    np.testing.assert_allclose(bend[one, other], again, atol=2e-9)
