"""Identify a synthetic person's arm from two short recordings, and export it.

Strength, optimal fiber and tendon slack length of every muscle, mass and centre of mass of both segments are unknown;
the recordings are joint angles with 0.3° of noise and the muscles' excitations. Runs in one to two minutes.
"""

import math
from pathlib import Path

import mjx_msm as msm
from mjx_msm.person.inspection import muscle_and_bone

OUT = Path("runs/arm")

model = msm.load_model("arm")
someone = msm.synthetic_subject(model, seed=1)
trials = msm.synthetic_trials(model, someone, count=2, duration=1.5, rate=250, seed=1, angle_noise=math.radians(0.3))

result = msm.identify(
    model,
    trials,
    free=muscle_and_bone(model),
    listener=lambda i: print(f"{i.stage}: {i.iteration}", end="\r"),
)
print(result)

truth = someone.to_dict()
for estimate in result.estimates:
    true = truth[estimate.path]
    inside = "inside" if estimate.low <= true <= estimate.high else "outside"
    print(f"{estimate.path}: truth {true:.4g} {estimate.unit}, {inside} the 95 % interval")

result.save(OUT / "identification.json")
print(f"the person as an ordinary MJCF file: {result.export(OUT / 'model.xml')}")
