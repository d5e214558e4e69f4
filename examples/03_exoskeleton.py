"""An exoskeleton helps a weak leg follow a reference: motor off, then a proportional-derivative assist.

The environment runs in plain MuJoCo; the human half is driven by its muscles at 60 % strength. Writes a video. Runs
in about half a minute.
"""

from pathlib import Path

import gymnasium as gym
import numpy as np

import mjx_msm as msm

OUT = Path("runs/exoskeleton.mp4")

STIFFNESS, DAMPING = 30.0, 1.5  # N·m/rad, N·m·s/rad
TORQUE_LIMIT = 15.0  # what an action of 1 asks of the motor [N·m]
OUT.parent.mkdir(exist_ok=True)

frames = []
for assist in (False, True):
    env = gym.make("mjx_msm/KneeExo-v0", render_mode="rgb_array", exoskeleton={"torque_limit": TORQUE_LIMIT})
    _, info = env.reset(seed=3)
    errors, torques = [], []
    error = info["reference"] - info["knee_angle"]
    for step in range(200):
        rate = (info["reference"] - info["knee_angle"] - error) / 0.02 if step else 0.0  # 50 actions a second
        error = info["reference"] - info["knee_angle"]
        torque = assist * (STIFFNESS * error + DAMPING * rate)
        _, _, terminated, truncated, info = env.step(np.clip([torque / TORQUE_LIMIT], -1, 1).astype(np.float32))
        errors.append(info["tracking_error"])
        torques.append(info["robot_torque"])
        if assist and step % 2 == 0:
            frames.append(env.render())
        if terminated or truncated:
            break
    env.close()
    rms, peak = np.degrees(np.sqrt(np.mean(np.square(errors)))), np.max(np.abs(torques))
    print(
        f"motor {'on' if assist else 'off'}: knee {rms:.1f}° RMS off the reference, motor torque up to {peak:.1f} N·m"
    )
print(f"video: {msm.video(OUT, frames, fps=25)}")
