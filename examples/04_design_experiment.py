"""Choose what to record of an arm before recording it, and compare with a session made by hand.

Strength and lengths of every muscle, mass and centre of mass of both segments and the joints' damping are unknown. By
hand: elbow flexion and extension over 100° at two speeds, by alternating bursts. Designed: excitations, starting
postures and weights in the hand, for sessions of equal length. With an empty hand, angles say next to nothing about the
common scale of forces and masses; a known weight does. Runs in about two minutes.
"""

import math
from pathlib import Path

import numpy as np

import mjx_msm as msm
from mjx_msm.knowledge.design.forecast import forecast, worst_of
from mjx_msm.knowledge.design.information import information
from mjx_msm.knowledge.design.rehearsal import perform
from mjx_msm.knowledge.design.session import Design
from mjx_msm.knowledge.design.task import Task

OUT = Path("runs/design")
FREE = ["muscle/*/max_isometric_force", "muscle/*/*_length", "body/*/mass", "body/*/com/z", "joint/*/damping"]
DURATION, RATE = 2.0, 100.0

model = msm.load_model("arm")


def by_hand(name: str, start: tuple[float, float], rest: float, burst: float, pace: float, first: float) -> Task:
    """Sinusoidal bursts; the three heads of a group begin 30 ms apart. Angles [°], pace [Hz], phase [°]."""
    time = np.arange(round(DURATION * RATE) + 1) / RATE
    wave = [np.sin(2 * np.pi * pace * (time - 0.03 * (i % 3)) + math.radians(first)) for i in range(6)]
    sign = [-1 if muscle.startswith("TRI") else 1 for muscle in model.muscles]
    drive = rest + burst * np.stack([np.maximum(s * w, 0) for s, w in zip(sign, wave, strict=True)], -1)
    posture = dict(zip(model.coordinates, np.radians(start).tolist(), strict=True))
    return Task(name, posture, 0.0, model.muscles, time, drive)


hand = perform(
    model,
    model.nominal,
    [
        by_hand("slow1", (20, 45), 0.03, 0.05, pace=0.5, first=0),
        by_hand("slow2", (20, 80), 0.06, 0.05, pace=0.5, first=180),
        by_hand("fast1", (20, 60), 0.10, 0.10, pace=1.0, first=180),
        by_hand("fast2", (20, 80), 0.10, 0.10, pace=1.0, first=180),
    ],
)
random = msm.synthetic_trials(model, model.nominal, count=4, duration=DURATION, rate=RATE, seed=0)

space = msm.parameter_space(model.nominal, FREE)


def designed(budget: int, payloads: tuple[float, ...]) -> Design:
    return msm.design_experiment(
        model,
        space,
        budget,
        trials=4,
        duration=DURATION,
        rate=RATE,
        payloads=payloads,
        listener=lambda p: print(f"{p.stage}: {p.evaluations}/{p.budget}", end="\r"),
    )


design, empty = designed(1000, payloads=(0, 1, 2)), designed(400, payloads=(0,))
print(design)
print(f"to perform: {design.save(OUT)}\n")

for priors in (None, {"*": "none"}):
    space = msm.parameter_space(model.nominal, FREE, priors=priors)
    print("without priors" if priors else "with the usual priors")
    sessions = {
        "designed": design.forecast.information,
        "designed, empty hand": empty.forecast.information,
        "by hand": information(model, space, hand).sum(0),
        "random excitation": information(model, space, random).sum(0),
    }
    best, *_ = widest = worst_of([forecast(space, told) for told in sessions.values()])
    for name, worst in zip(sessions, widest, strict=True):
        print(f"  {name:22} {worst}: {worst.after / best.after:.1f} times as wide")
