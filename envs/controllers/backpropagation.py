"""Controllers of excitations learnt with the derivatives of the rollout: a sequence by shooting, a policy through time.

Both climb the return of a task's functional twin, whose derivatives go through mechanics, muscles and, in a spring,
contact; a gradient of a whole episode costs as many samples as the episode has control periods. A sequence is for one
episode (direct single shooting); a policy is a small network on what is observed, trained on random episodes side by
side (back-propagation through time). Steps are Adam's, of a gradient of limited length.

Sources:
    Betts 2010, doi 10.1137/1.9780898718577 (shooting)
    Werbos 1990, doi 10.1109/5.58337 (back-propagation through time)
    Kingma, Ba 2015, arXiv 1412.6980 (Adam)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zipfile import BadZipFile

import gymnasium
import numpy as np
from jaxtyping import Float

from mjx_msm.common.arguments import number, whole
from mjx_msm.common.arrays import namespace
from mjx_msm.common.errors import InputError
from mjx_msm.common.files import beside

if TYPE_CHECKING:
    from mjx_msm.envs.adapters.twin import Twin  # JAX, which a saved policy does without

HIDDEN = (32, 32)
"""Widths of a policy's layers."""
LONGEST = 1.0
"""Norm that a gradient is cut to."""
LEAST = 0.05
"""Least standard deviation by which an observation is scaled, of its usual unit."""
FIRST = -0.7
"""Mean of the first actions: muscles near rest."""


class Network(NamedTuple):
    """A policy: tanh layers on scaled observations; actions −1..1."""

    mean: Float[Any, "observation"]
    scale: Float[Any, "observation"]
    layers: tuple[tuple[Float[Any, "into out"], Float[Any, "out"]], ...]

    def __call__(self, observation: Float[Any, "*batch observation"]) -> Float[Any, "*batch action"]:
        xp, x = namespace(observation), (observation - self.mean) / self.scale
        for weight, offset in self.layers:
            x = xp.tanh(x @ weight + offset)
        return x

    def save(self, path: str | Path) -> Path:
        """Write as ``.npz``, whole or not at all."""
        arrays: dict[str, np.ndarray] = {"mean": np.asarray(self.mean), "scale": np.asarray(self.scale)}
        for k, (weight, offset) in enumerate(self.layers):
            arrays |= {f"weight{k}": np.asarray(weight), f"offset{k}": np.asarray(offset)}
        with beside(Path(path)) as own:
            np.savez(own, **arrays)  # type: ignore[arg-type]
            own.replace(path)
        return Path(path)

    @staticmethod
    def load(path: str | Path) -> Network:
        """Read what `save` wrote.

        **Raises:** `InputError` if it is something else.
        """
        if not Path(path).is_file():
            raise InputError(f"policy '{path}' does not exist; train one, see examples/06_muscle_space.py")
        try:
            with np.load(path, allow_pickle=False) as kept:
                count = sum(name.startswith("weight") for name in kept.files)
                layers = tuple((kept[f"weight{k}"], kept[f"offset{k}"]) for k in range(count))
                made = Network(kept["mean"], kept["scale"], layers)
        except (ValueError, KeyError, OSError, EOFError, BadZipFile):
            raise InputError(f"policy '{path}' cannot be read; save it with Network.save") from None
        if not layers:
            raise InputError(f"policy '{path}' has no layers (weight0, offset0, …); save it with Network.save")
        return made


class NetworkController:
    """A saved network as a controller."""

    def __init__(self, path: str | Path, env: gymnasium.Env):
        self.network = Network.load(path)
        sizes = self.network.mean.shape, self.network.layers[-1][1].shape
        if sizes != (env.observation_space.shape, env.action_space.shape):
            raise InputError(
                f"policy '{path}' takes {sizes[0][0]} observations and gives {sizes[1][0]} actions, this environment "
                f"has {env.observation_space.shape} and {env.action_space.shape}; make it as for its training"
            )

    def reset(self) -> None:
        """It remembers nothing."""

    def __call__(self, observation: Float[np.ndarray, "observation"]) -> Float[np.ndarray, "action"]:
        return np.asarray(self.network(np.asarray(observation, float)), np.float32)


@dataclass(frozen=True)
class Learnt:
    """What came of it."""

    result: Any
    """A `Network`, or the actions (period, action) of an episode."""
    samples: tuple[int, ...]
    """Control periods that had been simulated, before every step and in the end."""
    returns: tuple[float, ...]
    """Mean return of the episodes there."""


Listener = Callable[[int, float, Any], None]
"""Called with the samples so far, the mean return there, and what it is of."""


def shoot(
    twin: Twin,
    draws: Float[np.ndarray, "draw"],
    *,
    periods: int | None = None,
    iterations: int = 60,
    rate: float = 0.1,
    listener: Listener | None = None,
) -> Learnt:
    """Actions of one episode, climbed from muscles near rest; the best ones found.

    **Arguments:** `draws`: what the episode's plan is made from, see `Twin.reset`. `periods`: of it; by default all.
    `rate`: of Adam, in the inverse hyperbolic tangent of actions.
    """
    import jax
    import jax.numpy as jnp

    count = _periods(twin, periods)
    start = np.full((count, len(twin.task.actions)), np.arctanh(FIRST))

    def gained(free: Any, _: Any) -> Any:
        def step(state: Any, action: Any) -> tuple[Any, Any]:
            state = twin.step(state, action)
            return state, state.reward

        first = twin.reset(jax.random.key(0), twin.person, draws=jnp.asarray(draws))
        return jax.lax.scan(step, first, jnp.tanh(free))[1].sum()

    best, samples, returns = _climbed(gained, start, lambda k: None, count, iterations, rate, listener)
    return Learnt(np.tanh(best), samples, returns)


def train(
    twin: Twin,
    *,
    episodes: int = 8,
    periods: int | None = None,
    iterations: int = 100,
    rate: float = 3e-3,
    seed: int = 0,
    listener: Listener | None = None,
) -> Learnt:
    """A policy, from random episodes: `episodes` new ones, of `periods` each, before every step.

    The first ones, under a policy that has not learnt, say how observations are scaled.
    """
    import jax
    import jax.numpy as jnp

    whole("episodes", episodes, 1)
    count, rng = _periods(twin, periods), np.random.default_rng(seed)
    sizes = (len(twin.task.observations), *HIDDEN, len(twin.task.actions))
    layers = [[rng.standard_normal((a, b)) / np.sqrt(a), np.zeros(b)] for a, b in pairwise(sizes)]
    layers[-1] = [0.1 * layers[-1][0], layers[-1][1] + np.arctanh(FIRST)]

    def played(network: Network, key: Any) -> tuple[Any, Any]:
        def step(state: Any, _: None) -> tuple[Any, Any]:
            state = twin.step(state, network(state.observation))
            return state, (state.reward, state.observation)

        first = twin.reset(key, twin.person)
        rewards, seen = jax.lax.scan(step, first, None, length=count)[1]
        return rewards.sum(), seen

    def keys(k: int) -> Any:
        return jax.random.split(jax.random.fold_in(jax.random.key(seed), k + 1), episodes)

    plain = Network(np.zeros(sizes[0]), np.ones(sizes[0]), tuple((w, b) for w, b in layers))
    constant = plain._replace(layers=((0.0 * layers[0][0], layers[0][1]), *plain.layers[1:]))
    seen = np.asarray(_compiled(jax.vmap(played, (None, 0)))(constant, keys(-1))[1]).reshape(-1, sizes[0])
    start = plain._replace(mean=seen.mean(axis=0), scale=np.maximum(seen.std(axis=0), LEAST))

    def gained(layers: Any, those: Any) -> Any:
        network = Network(jnp.asarray(start.mean), jnp.asarray(start.scale), layers)
        return jax.vmap(played, (None, 0))(network, those)[0].mean()

    def heard(samples: int, value: float, layers: Any) -> None:
        if listener is not None:
            listener(samples, value, start._replace(layers=jax.tree.map(np.asarray, layers)))

    cost = episodes * count
    best, samples, returns = _climbed(gained, start.layers, keys, cost, iterations, rate, heard, last=True, before=cost)
    return Learnt(start._replace(layers=best), samples, returns)


def _periods(twin: Twin, periods: int | None) -> int:
    if periods is None:
        if twin.task.length is None:
            raise InputError("episodes of this task have no end; give periods")
        return twin.task.length
    return whole("periods", periods, 1)


def _compiled(function: Any) -> Any:
    import jax

    from mjx_msm.common.compiled import COMPILER_OPTIONS

    return jax.jit(function, compiler_options=COMPILER_OPTIONS)


def _climbed(
    gained: Callable[[Any, Any], Any],
    start: Any,
    given: Callable[[int], Any],
    cost: int,
    iterations: int,
    rate: float,
    listener: Listener | None,
    *,
    last: bool = False,
    before: int = 0,
) -> tuple[Any, tuple[int, ...], tuple[float, ...]]:
    """Adam's ascent; the best point, or the last one where each is judged by other episodes.

    A gradient that is not finite is left out. **Arguments:** `cost`: samples of a gradient; `before`: spent already.
    """
    import jax
    import jax.numpy as jnp
    import optax

    whole("iterations", iterations, 1)
    number("rate", rate)
    schedule = optax.cosine_decay_schedule(rate, iterations, alpha=0.05)
    optimiser = optax.chain(optax.zero_nans(), optax.clip_by_global_norm(LONGEST), optax.adam(schedule))
    climb = _compiled(jax.value_and_grad(lambda x, those: -gained(x, those)))
    x = jax.tree.map(jnp.asarray, start)
    state, best, most = optimiser.init(x), x, -np.inf
    samples, returns = [], []
    for k in range(iterations):
        value, slope = climb(x, given(k))
        samples.append(before + (k + 1) * cost)
        returns.append(-float(value))
        if listener is not None:
            listener(samples[-1], returns[-1], x)
        if returns[-1] > most:
            best, most = x, returns[-1]
        change, state = optimiser.update(slope, state)
        x = optax.apply_updates(x, change)
    return jax.tree.map(np.asarray, x if last else best), tuple(samples), tuple(returns)
