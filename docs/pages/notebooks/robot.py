# %% [markdown]
# # A robot on that person
#
# A knee exoskeleton on a leg, as a Gymnasium environment. `subject=` puts it on an identified person (a result's folder
# or its JSON); here it is the generic leg.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import gymnasium as gym

import mjx_msm as msm
from mjx_msm.envs.controllers import controller, names

env = gym.make("mjx_msm/KneeExo-v0", render_mode="rgb_array", width=320, height=240)
names(env)

# %% [markdown]
# ## An episode
#
# The person moves their leg; the motor helps by the controller's choice. Measures are in `info`.

# %%
import pandas as pd


def episode(name: str, periods: int = 40) -> tuple[pd.DataFrame, list]:
    act, rows, frames = controller(name, env), [], []
    observation, info = env.reset(seed=1)
    for _ in range(periods):
        observation, reward, terminated, truncated, info = env.step(act(observation))
        rows.append({"reward": reward, **{k: v for k, v in info.items() if isinstance(v, float)}})
        if name == "tracking":
            frames.append(env.render())
        if terminated or truncated:
            break
    return pd.DataFrame(rows), frames


runs = {name: episode(name) for name in ("zero", "tracking")}
pd.DataFrame({name: table[["reward", "metabolic_power"]].mean() for name, (table, _) in runs.items()})

# %%
from matplotlib.figure import Figure

figure = Figure(figsize=(7, 3), layout="constrained")
axes = figure.subplots()
for name, (table, _) in runs.items():
    axes.plot(table["human_torque"], label=f"person, motor by “{name}”")
axes.plot(runs["tracking"][0]["robot_torque"], "--", label="motor")
axes.set(xlabel="period of 20 ms", ylabel="torque [N·m]")
axes.legend()
figure

# %% [markdown]
# ## A film of it

# %%
from IPython.display import Image

film = Path(tempfile.mkdtemp()) / "swing.gif"
Image(msm.video(film, runs["tracking"][1], fps=25, largest=500_000).read_bytes())

# %%
env.close()
