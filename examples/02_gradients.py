"""Differentiate a rollout: which excitation brings the hand highest?

The gradient of the elbow angle after half a second with respect to every sample of every muscle's excitation, by
reverse mode through the whole rollout. Runs in one to two minutes, nearly all of it compiling.
"""

import jax
import jax.numpy as jnp

import mjx_msm as msm

jax.config.update("jax_enable_x64", True)
model = msm.load_model("arm")
state = msm.initial_state(model, {"elbow_flex": 0.6}, activation=0.1)
steps = int(0.5 / model.timestep)


def final_elbow_angle(excitation: jax.Array) -> jax.Array:
    motion = msm.rollout(model, model.nominal, state, excitation)
    return motion.position[-1, model.coordinates.index("elbow_flex")]


excitation = jnp.full((steps, len(model.muscles)), 0.1)
angle, gradient = jax.jit(jax.value_and_grad(final_elbow_angle))(excitation)
print(f"elbow after {steps * model.timestep:g} s: {jnp.degrees(angle):.1f}°")
for muscle, effect in zip(model.muscles, gradient.sum(axis=0), strict=True):
    print(f"  {muscle:9s} {jnp.degrees(effect) / 100:+7.2f}° per 1 % more excitation throughout")
