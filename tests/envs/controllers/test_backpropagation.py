"""Excitations learnt with derivatives: the network, its file, and that what is climbed is the return that C gives."""

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.envs import ARM_REACH, ARM_STRIKE
from mjx_msm.envs.controllers import controller
from mjx_msm.envs.controllers.backpropagation import Network, shoot, train
from mjx_msm.envs.functional import make


def network(into: int = 14, out: int = 6) -> Network:
    rng = np.random.default_rng(0)
    layers = [(rng.standard_normal((a, b)), rng.standard_normal(b)) for a, b in ((into, 5), (5, out))]
    return Network(rng.standard_normal(into), rng.uniform(0.5, 2.0, into), tuple(layers))


def test_a_network_is_the_same_in_numpy_and_jax(x64):
    made, seen = network(), np.random.default_rng(1).standard_normal((3, 14))
    hidden = np.tanh((seen - made.mean) / made.scale @ made.layers[0][0] + made.layers[0][1])
    np.testing.assert_allclose(made(seen), np.tanh(hidden @ made.layers[1][0] + made.layers[1][1]), atol=1e-14)
    np.testing.assert_allclose(made(jnp.asarray(seen)), made(seen), atol=1e-12)


def test_a_saved_network_is_a_controller(tmp_path):
    env = gymnasium.make(ARM_REACH)
    path = network().save(tmp_path / "reach.npz")
    act = controller(path, env)
    act.reset()
    observation, _ = env.reset(seed=0)
    assert act(observation) in env.action_space
    np.testing.assert_allclose(act(observation), network()(observation.astype(float)), atol=1e-6)
    with pytest.raises(InputError, match=r"takes 14 observations and gives 6 actions, this environment has \(15,\)"):
        controller(path, gymnasium.make(ARM_STRIKE))
    (tmp_path / "broken.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be read"):
        controller(tmp_path / "broken.npz", env)
    whole = path.read_bytes()
    for kept in (len(whole) // 2, len(whole) - 30, 10):
        (tmp_path / "cut.npz").write_bytes(whole[:kept])
        with pytest.raises(InputError, match="cannot be read"):
            controller(tmp_path / "cut.npz", env)
    np.savez(tmp_path / "bare.npz", mean=np.zeros(14), scale=np.ones(14))
    with pytest.raises(InputError, match="has no layers"):
        controller(tmp_path / "bare.npz", env)
    with pytest.raises(InputError, match="does not exist"):
        controller(tmp_path / "none.npz", env)


@pytest.mark.slow
def test_shooting_climbs_the_return_that_c_gives():
    """Of one reach: better from step to step, and the actions do in C what they do in the twin."""
    twin, draws = make(ARM_REACH, targets=1), np.array([0.3, 0.4, 0.7, 0.6])
    found = shoot(twin, draws, periods=25, iterations=15)
    assert found.samples[-1] == 15 * 25
    assert max(found.returns) > 0.8 * found.returns[0]  # they are negative
    env = gymnasium.make(ARM_REACH, targets=1)
    env.reset(options={"draws": draws})
    total = sum(float(env.step(np.asarray(action, np.float32))[1]) for action in found.result)
    assert total == pytest.approx(max(found.returns), rel=1e-2)


@pytest.mark.slow
def test_a_policy_learns_through_time():
    twin = make(ARM_REACH, targets=1)
    heard = []
    found = train(
        twin,
        episodes=4,
        periods=20,
        iterations=12,
        rate=0.01,
        listener=lambda n, value, net: heard.append((n, value, net)),
    )
    assert found.samples[0] == 2 * 4 * 20  # the first episodes say how observations are scaled
    assert len(heard) == 12
    assert np.mean(found.returns[-3:]) > np.mean(found.returns[:3])
    assert isinstance(found.result, Network)
    assert np.isfinite(found.result(np.zeros(14))).all()


def test_an_episode_without_an_end_is_said(monkeypatch):
    twin = make(ARM_REACH)
    monkeypatch.setattr(twin.task, "length", None)
    with pytest.raises(InputError, match="give periods"):
        train(twin, iterations=1)
