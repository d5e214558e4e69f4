"""Time that MyoSuite's elbow environment takes for a simulated second; run by environments.py, prints one number.

Its own Python: this one has no mjx_msm.
"""

import time

import gymnasium as gym
import myosuite  # type: ignore[import-not-found] # noqa: F401 (registers its environments)

env = gym.make("myoElbowPose1D6MRandom-v0")
env.reset(seed=0)
action = env.action_space.sample()
best = float("inf")
for _ in range(20):
    began = time.perf_counter()
    for _ in range(50):
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
    best = min(best, (time.perf_counter() - began) / 50)
print(best / env.unwrapped.dt)  # type: ignore[attr-defined]
