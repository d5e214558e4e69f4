"""MuJoCo's general actuators on joints, in JAX."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array

from mjx_msm.common.arrays import indices
from mjx_msm.envs.engines.world import World


class Motors(NamedTuple):
    """MuJoCo's general actuators on joints: force = gain·x + b₀ + b₁ q + b₂ q̇, x the input or its first-order lag."""

    dof: np.ndarray
    gear: np.ndarray
    gain: np.ndarray
    bias: np.ndarray
    lag: np.ndarray
    """Time constant [s]; 0: the input itself."""
    control_range: np.ndarray

    def _input(self, control: Array) -> Array:
        return jnp.clip(control, self.control_range[:, 0], self.control_range[:, 1])

    def torque(self, lagged: Array, control: Array, q: Array, v: Array, able: Array) -> Array:
        x = jnp.where(self.lag > 0, lagged, self._input(control))
        length, speed = self.gear * q[self.dof], self.gear * v[self.dof]
        force = self.gain * x + self.bias[:, 0] + self.bias[:, 1] * length + self.bias[:, 2] * speed
        return jnp.clip(force, able[:, 0], able[:, 1])

    def filtered(self, lagged: Array, control: Array, h: float) -> Array:
        share = np.where(self.lag > 0, 1.0 - np.exp(-h / np.where(self.lag > 0, self.lag, 1.0)), 0.0)
        return lagged + share * (self._input(control) - lagged)


@lru_cache(maxsize=16)
def motors_of(world: World) -> Motors:
    m, first = world.model, len(world.muscles)
    dyn = m.actuator_dyntype[first:]
    known = (int(mujoco.mjtDyn.mjDYN_NONE), int(mujoco.mjtDyn.mjDYN_FILTEREXACT))
    for i in range(first, m.nu):
        if m.actuator_dyntype[i] not in known or m.actuator_trntype[i] != int(mujoco.mjtTrn.mjTRN_JOINT):
            raise ValueError(f"motor '{m.actuator(i).name}' is not a direct or first-order motor on a joint")
    joint = m.actuator_trnid[first:, 0]

    def bounds(limited: np.ndarray, limits: np.ndarray) -> np.ndarray:
        return np.where(limited[:, None].astype(bool), limits, np.array([-np.inf, np.inf]))

    return Motors(
        dof=indices(m.jnt_dofadr[joint]),
        gear=m.actuator_gear[first:, 0].copy(),
        gain=m.actuator_gainprm[first:, 0].copy(),
        bias=np.where((m.actuator_biastype[first:] > 0)[:, None], m.actuator_biasprm[first:, :3], 0.0),
        lag=np.where(dyn == int(mujoco.mjtDyn.mjDYN_FILTEREXACT), m.actuator_dynprm[first:, 0], 0.0),
        control_range=bounds(m.actuator_ctrllimited[first:], m.actuator_ctrlrange[first:]),
    )
