"""Derivatives of activations against forward mode through the plain equations, and against differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mjx_msm.common.compiled import float64, jit
from mjx_msm.dynamics.activation_sensitivities import (
    Drive,
    Steps,
    activation_derivatives,
    activation_pairs,
)
from mjx_msm.dynamics.excitation import excitation
from mjx_msm.dynamics.simulation import activate
from mjx_msm.person.model import load_model
from mjx_msm.person.space import parameter_space

CHANNELS = ("flexors", "extensors", "brachialis")
FREE = ("emg/*/gain", "emg/*/delay", "emg/*/shape", "muscle/*/activation_time_constant",
        "muscle/*/deactivation_time_constant")  # fmt: skip
SAMPLES = 60


class Case:
    """An arm with every parameter of its activations free; flexors are clipped for a part of the time."""

    def __init__(self, muscle, tied):
        self.model = load_model("arm", muscle=muscle)
        self.space = parameter_space(self.model.nominal.with_channels(CHANNELS), FREE, tied=tied)
        names = [m[:3] for m in self.model.muscles]
        share = {"TRI": [0, 1, 0], "BIC": [0.9, 0, 0.1], "BRA": [0.8, 0, 0.6]}
        self.mixing = np.array([share[n] for n in names])
        self.pairs = activation_pairs(self.space, self.mixing)
        rng, t = np.random.default_rng(2), self.model.timestep * np.arange(SAMPLES)[:, None]
        waves = [0.45 + 0.4 * np.sin(60 * t + rng.uniform(0, 6, len(CHANNELS))) for _ in range(2)]
        self.envelope = np.stack(waves)
        z = self.space.clip(self.space.prior_mean + 0.2 * self.space.prior_scale * rng.uniform(-1, 1, self.space.size))
        paths = self.space.paths
        z = np.where([p.endswith("delay") for p in paths], 0.0133, z)
        z = np.where([p.endswith("shape") for p in paths], -1.2, z)
        self.z = np.where([p == "emg/flexors/gain" for p in paths], np.log(1.4), z)

    def plain(self, z):
        """The equations themselves (recording, time, muscle)."""
        parameters = self.space.unpack(z)

        def one(envelope):
            u = excitation(parameters.emg, envelope, self.mixing, self.model.timestep)
            return activate(self.model, parameters, u[0], u)[0]

        return jax.vmap(one)(jnp.asarray(self.envelope))

    def structured(self, z):
        return activation_derivatives(self.model, self.space, z, self.envelope, self.mixing, self.pairs)


@pytest.fixture(scope="module", params=["mujoco", "degroote"])
def case(request):
    return Case(request.param, ("emg/*/delay",) if request.param == "mujoco" else ())


def test_closed_forms_are_forward_mode(case):
    with float64():
        z = jnp.asarray(case.z)
        value, _, by_pair = (np.asarray(x) for x in case.structured(z))
        plain, tangents = jit(lambda z: (case.plain(z), jax.jacfwd(case.plain)(z)))(z)
    assert np.abs(value - plain).max() < 1e-14
    muscle, entry = np.array(case.pairs).T
    assert np.abs(by_pair - np.asarray(tangents)[..., muscle, entry]).max() < 1e-11 * np.abs(by_pair).max()
    other = np.ones((len(case.model.muscles), case.space.size), bool)
    other[muscle, entry] = False
    assert not np.asarray(tangents)[..., other].any()  # no pair is missing
    clipped = case.envelope[..., 0] * 1.4 > 1
    assert clipped.any()
    assert not clipped.all()


def test_closed_forms_are_differences(case):
    with float64():
        *_, by_pair = (np.asarray(x) for x in case.structured(case.z))
        for p, (muscle, entry) in enumerate(case.pairs):
            step = 1e-6 * np.eye(case.space.size)[entry]
            ahead, back = (np.asarray(case.structured(case.z + s)[0])[..., muscle] for s in (step, -step))
            assert np.abs(by_pair[..., p] - (ahead - back) / 2e-6).max() < 1e-5 * np.abs(by_pair[..., p]).max(), (
                case.space.paths[entry]
            )  # rising turns into falling within a difference, here and there


@pytest.mark.slow
def test_steps_that_see_more_than_one_excitation(arm):
    """A recursion of any step: here Heun's, which sees the excitation at both of its ends."""
    space = parameter_space(arm.nominal.with_channels(arm.muscles), ["emg/*/gain", "muscle/*/activation_time_constant"])
    mixing, pairs = np.eye(6), activation_pairs(space, np.eye(6))
    rng, h = np.random.default_rng(1), arm.timestep
    envelope = 0.4 + 0.2 * np.sin(50 * h * np.arange(30)[:, None] + rng.uniform(0, 6, 6))

    def heun(law, seen, a):
        first = arm.muscle.activation_rate(law, seen[0], a)
        return a + 0.5 * h * (first + arm.muscle.activation_rate(law, seen[1], a + h * first))

    def plain(z):
        parameters = space.unpack(z)
        u = excitation(parameters.emg, envelope, mixing, h)
        _, later = jax.lax.scan(lambda a, s: (heun(parameters.muscle, s, a),) * 2, u[0], (u[:-1], u[1:]))
        return jnp.concatenate([u[:1], later])

    with float64():
        z = jnp.asarray(space.prior_mean)
        a = plain(z)
        parameters = space.unpack(z)
        u = excitation(parameters.emg, jnp.asarray(envelope), mixing, h)
        muscle, entry = np.array(pairs).T
        gain = [space.paths[k].endswith("gain") for k in entry]
        by_pair = np.where(gain, np.asarray(u)[:, muscle], 0.0)  # u is linear in its gain
        seen = [Drive(u[:-1], jnp.asarray(by_pair[:-1])), Drive(u[1:], jnp.asarray(by_pair[1:]))]
        steps = Steps(heun, space, parameters.muscle, seen, a[:-1], pairs)
        found = steps.follow(jnp.asarray(by_pair[0]))
        dense = jax.jacfwd(plain)(z)
        assert np.abs(found - np.asarray(dense)[:, muscle, entry]).max() < 1e-12


def test_nothing_free_is_no_column(arm):
    space = parameter_space(arm.nominal.with_channels(arm.muscles), ["muscle/*/max_isometric_force"])
    with float64():
        value, stages, nothing = activation_derivatives(arm, space, space.prior_mean, np.ones((2, 5, 6)), np.eye(6), ())
    assert value.shape == (2, 5, 6)
    assert stages.shape == (2, 4, 4, 6)
    assert nothing.shape == (2, 5, 0)
