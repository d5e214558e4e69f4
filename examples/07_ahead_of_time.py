"""An exoskeleton that is 80 ms late helps with what muscles are about to do, beside one that knows of now alone.

The person's EMG and angles go through an EMG-driven model of them, which runs on to when the help will be there. Writes
a film and a figure of help and muscles. Runs in about half a minute, most of it compiling.
"""

import copy
from pathlib import Path

import gymnasium as gym
import mujoco
import numpy as np
from matplotlib.figure import Figure

import mjx_msm as msm
from mjx_msm.envs.controllers import controller
from mjx_msm.envs.controllers.knee_prediction import Predictive
from mjx_msm.envs.environments import KneeExoEnv
from mjx_msm.views.captions import side_by_side
from mjx_msm.views.traces import with_traces

OUT, STEPS, SHOWN = Path("runs/ahead"), 250, 50  # control periods of 20 ms; the first ones settle
OUT.mkdir(parents=True, exist_ok=True)


def moments(model: mujoco.MjModel, data: mujoco.MjData) -> tuple[float, float]:
    """About the knee: of the muscles' contraction, and of the exoskeleton's own weight [N·m]."""
    pulls = []
    for on in (1.0, 0.0):
        person = copy.copy(data)
        person.act[:] *= on
        mujoco.mj_fwdActuation(model, person)
        pulls.append(person.qfrc_actuator[model.joint("knee_angle").dofadr[0]])
    return float(pulls[0] - pulls[1]), float(data.qfrc_bias[model.joint("exo_knee").dofadr[0]])


env = gym.make(
    "mjx_msm/KneeExo-v0",
    task="swing",
    sensing={"delay": 0.02, "command_delay": 0.04},
    render_mode="rgb_array",
    width=480,
    height=400,
)
world = env.unwrapped
assert isinstance(world, KneeExoEnv)
act = controller("predictive", env)
assert isinstance(act, Predictive)
films, courses = [], {}
for name, horizon in (("without prediction", 0.0), (f"{1000 * act.horizon:.0f} ms ahead", act.horizon)):
    act.horizon = horizon
    act.reset()
    observation, _ = env.reset(seed=1)
    frames, found = [], []
    for step in range(STEPS):
        observation, _, _, _, info = env.step(act(observation))
        contraction, weight = moments(world.model, world.data)
        found.append([info["time"], contraction, info["robot_torque"] - weight, info["effort"]])
        if step >= SHOWN and step % 2 == 0:
            frames.append(env.render())
    time, muscles, aid, effort = np.array(found)[SHOWN:].T
    courses[name] = time, muscles, aid
    series = {"muscles": muscles, "3 × exoskeleton": 3 * aid}
    films.append(with_traces(frames, time, series, at=time[::2], ylabel="N·m"))
    print(f"{name}: mean effort of the muscles {effort.mean():.3f}, help {np.sqrt(np.mean(aid**2)):.1f} N·m RMS")
labels = tuple(courses)
print(f"film: {msm.video(OUT / 'ahead.mp4', side_by_side(*films, labels=(labels[0], labels[1])), fps=25)}")
env.close()

figure = Figure(figsize=(8, 5), layout="constrained")
axes = figure.subplots(2, 1, sharex=True)
for axis, (name, (time, muscles, aid)) in zip(axes, courses.items(), strict=True):
    axis.plot(time, muscles, color="0.3", label="muscles' contraction")
    axis.plot(time, 3 * aid, color="C1", label="3 × the motor's, less its own weight")
    axis.set(title=name, ylabel="moment about the knee [N·m]")
axes[0].legend(loc="upper right")
axes[1].set_xlabel("time [s]")
figure.savefig(OUT / "ahead.png", dpi=120)
print(f"figure: {OUT / 'ahead.png'}")
