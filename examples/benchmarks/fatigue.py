"""Which muscle group is tired, found in recordings whose truth is known.

    python examples/benchmarks/fatigue.py [--quick] [--json FILE]

Twenty synthetic people, each identified from four trials of 2 s with 0.3° of noise on the angles and 5 % on the EMG,
are recorded again five times for a minute, in free motion and on a dynamometer, with the same noise (and 0.3 N·m on the
moment). One of flexors and extensors, in turn, comes with 10 to 30 % of it fatigued and tires by rates drawn about the
usual ones, the other one by a fifth of them. Found means: the tired group is called fatigued, the other one is not.
Identifications begin from `STARTS` places since from one, one of the twenty people ended far off.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from table import Row, row, run

import mjx_msm as msm
from mjx_msm.dynamics.fatigue import Compartments, Fatigue
from mjx_msm.recordings.synthetic_effort import synthetic_effort

GROUPS = {"flexors": ("BIC*", "BRA"), "extensors": ("TRI*",)}
POSTURE = {"shoulder_elev": -0.4, "elbow_flex": 1.0}
"""Where weight asks little of either."""
BETWEEN_PEOPLE = (0.6, 0.8)
"""Standard deviation of log F and log R of those who tire."""
STARTS = 8
NOISE, EMG = np.radians(0.3), (0.05, 0.0)
FREE = [
    "muscle/*/max_isometric_force", "muscle/*/optimal_fiber_length", "muscle/*/tendon_slack_length",
    "body/*/mass", "body/*/com/z",
]  # fmt: skip


class Found(NamedTuple):
    """Of one group in one recording."""

    dynamometer: bool
    tired: bool
    """Whether it is the tired one."""
    verdict: str
    error: float
    """Of the capacity in the end [points]."""
    held: bool
    """Whether the 95 % interval holds it."""
    width: float
    """Of the interval [points]."""


def recordings(people: range, each: int, duration: float) -> Iterator[tuple[Found, Found]]:
    """Tired group first."""
    model = msm.load_model("arm")
    usual = Fatigue.of(model.muscles)
    flexors = np.array([not m.startswith("TRI") for m in model.muscles])
    for person in people:
        truth = msm.synthetic_subject(model, seed=person)
        noise = {"angle_noise": NOISE, "emg_noise": EMG}
        trials = msm.synthetic_trials(model, truth, count=4, duration=2.0, rate=250, seed=person, **noise)
        result = msm.identify(model, trials, free=FREE, emg_noise=msm.EmgNoise(*EMG), starts=STARTS)
        strength = np.asarray(truth.muscle.max_isometric_force)
        for k in range(each):
            rng = np.random.default_rng((person, k))
            tired = flexors if (person + k) % 2 else ~flexors
            faster = np.exp(np.array(BETWEEN_PEOPLE) * rng.standard_normal(2))
            fatigue = Fatigue(
                np.where(tired, faster[0], 0.2) * usual.fatigue,
                np.where(tired, faster[1], 1.0) * usual.recovery,
                usual.rest_multiplier,
            )
            start = Compartments(np.zeros(6), np.where(tired, rng.uniform(0.1, 0.3), 0.0))
            for dynamometer in (False, True):
                made = synthetic_effort(
                    model, truth, fatigue, start=start, posture=POSTURE, duration=duration,
                    seed=1000 * person + k, dynamometer=dynamometer, moment_noise=0.3, **noise,
                )  # fmt: skip
                found = msm.estimate_fatigue(result, made.trial, model=model, groups=GROUPS)
                out = []
                for mine in (tired, ~tired):
                    group = found["flexors" if mine[model.muscles.index("BRA")] else "extensors"]
                    true = made.capacity[-1, mine] @ strength[mine] / strength[mine].sum()
                    held, width = group.now.low <= true <= group.now.high, group.now.high - group.now.low
                    error = 100 * (group.now.value - true)
                    out.append(Found(dynamometer, mine is tired, group.verdict, error, held, 100 * width))
                yield out[0], out[1]
                print(f"  {person}/{k} {out}", file=sys.stderr, flush=True)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x**2)))


def share(x: np.ndarray | list[bool]) -> float:
    return 100 * float(np.mean(x))


def rows_of(found: list[tuple[Found, Found]]) -> Iterator[Row]:
    for dynamometer, name in ((False, "motion alone"), (True, "dynamometer")):
        both = [pair for pair in found if pair[0].dynamometer == dynamometer]
        right = [a.verdict == "fatigued" and b.verdict != "fatigued" for a, b in both]
        tired, rested = (np.array([pair[i].error for pair in both]) for i in (0, 1))
        every = [one for pair in both for one in pair]
        n = len(both)
        yield row(f"{name}: tired group found", share(right), "%", at_least=95.0, n=n)
        yield row(f"{name}: its capacity within 5 points", share(np.abs(tired) <= 5), "%", at_least=95.0, n=n)
        yield row(f"{name}: its capacity, root mean square error", rms(tired), "points", n=n)
        yield row(f"{name}: the other's", rms(rested), "points", n=n)
        held = share([o.held for o in every])
        yield row(f"{name}: 95 % intervals hold the truth", held, "%", at_least=90.0, n=len(every))
        yield row(f"{name}: their mean width", float(np.mean([o.width for o in every])), "points", n=len(every))


def rows(quick: bool) -> Iterator[Row]:
    found = list(recordings(range(2 if quick else 20), 1 if quick else 5, 40.0 if quick else 60.0))
    yield from rows_of(found)


if __name__ == "__main__":
    run(__doc__, rows)
