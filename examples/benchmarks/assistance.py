"""When a knee exoskeleton's help arrives, and what it saves: ahead of time, without prediction, and knowing the future.

    python examples/benchmarks/assistance.py [--quick] [--json FILE]

A leg at 60 % strength swings as in walking, in an exoskeleton whose senses are 20 ms and commands 40 ms late, besides
the motor's lag of 10 ms; another is later yet. The controller gives 0.3 of the moment of the muscles' contraction and
bears its own weight: of what is now (`horizon=0`), of what `predictive` says of when its help arrives (by EMG that goes
on as it went; "hold": by EMG that stays), and of what then is, which an exact copy of the person and the exoskeleton
tells, run on under the torque of now: the ideal. Lag: the shift by which the motor's torque, less its own weight,
follows the contraction's moment best.

The simulated person follows a reference and does not know of the help: they move better with it, and work as hard. A
person who is helped gives less, until the error is what they put up with before: motor adaptation trades error for
effort (Emken, Benitez, Sideris, Bobrow, Reinkensmeyer 2007, doi 10.1152/jn.00595.2006). So there are people who give
less of what the motion needs, and the effort is said of the one who moves as well with help as the first without.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
from jaxtyping import Float
from table import Row, row, run

import mjx_msm.envs as envs
from mjx_msm.envs.controllers.baseline import Zero
from mjx_msm.envs.controllers.knee_prediction import Helping, Predictive, lateness

SHARE, SETTLED, LONGEST_LAG = 0.3, 1.0, 0.3
"""Of the moment given; not judged, and looked for [s]."""
STRENGTHS = (0.6, 0.5, 0.4, 0.3)
"""Part of the excitation that the motion needs which a person gives: what they are capable of, and less."""
LATE = (0.04, 0.08)
"""Of commands [s]."""
MEASURES = ("thigh_strap", "shank_strap", "effort", "tracking_error")


class Ideal(Helping):
    """Knows the moment and the angle of when its help arrives, if it goes on giving what it gives."""

    def __init__(self, env: Any, share: float):
        super().__init__(env.task, share)
        self._env, task = env, env.task
        self._steps = max(1, round(lateness(task) / task.period))
        self.reset()

    def reset(self) -> None:
        self._last = self._rest.copy()

    def coming(self, seen: Float[np.ndarray, "observation"]) -> tuple[float, Float[np.ndarray, "3"]]:
        env, state = self._env, self._env.get_state()
        for _ in range(self._steps):
            _, _, terminated, truncated, _ = env.step(self._last)
            if terminated or truncated:
                break
        moment, place = contraction(env), env.data.qpos[:3].copy()
        env.set_state(state)
        return moment, place

    def __call__(self, observation: Float[np.ndarray, "observation"]) -> Float[np.ndarray, "action"]:
        self._last = super().__call__(observation)
        return self._last


def contraction(env: Any) -> float:
    """Moment about the knee that the muscles have more than they would at rest [N·m]."""
    known, seen = env._engine.dynamics(), env._engine.kinetics()
    return float((seen.tension - seen.passive_tension) @ known.moment_arm[:, 1])


def lag(given: np.ndarray, wanted: np.ndarray, period: float) -> float:
    """By which `given` follows `wanted` [s], at the greatest correlation; between samples they go in a line."""
    fine, clock = period / 20, period * np.arange(len(given))
    at = np.arange(0.0, clock[-1], fine)
    inner = (at > LONGEST_LAG) & (at < clock[-1] - LONGEST_LAG)
    shifts = np.arange(-LONGEST_LAG, LONGEST_LAG, fine)
    there = np.interp(at[inner], clock, wanted)
    alike = [np.corrcoef(np.interp(at[inner] + s, clock, given), there)[0, 1] for s in shifts]
    return float(shifts[int(np.argmax(alike))])


def played(env: Any, act: Any, seed: int) -> dict[str, np.ndarray]:
    """The measures of an episode, after it has settled."""
    act.reset()
    observation, _ = env.reset(seed=seed)
    found, over, own = [], False, env.task.world.coordinate("exo_knee")
    while not over:
        observation, _, terminated, truncated, info = env.step(act(observation))
        aid = info["robot_torque"] - env._engine.dynamics().bias[own]
        found.append([aid, contraction(env), *(info[m] for m in MEASURES)])
        over = terminated or truncated
    return dict(
        zip(("help", "contraction", *MEASURES), np.array(found)[round(SETTLED / env.task.period) :].T, strict=True)
    )


def compared(late: float, episodes: int) -> Iterator[Row]:
    """All controllers, with commands so late."""
    sensing = {"delay": 0.02, "command_delay": late}
    people: list[Any] = [
        gym.make(envs.KNEE_EXO, task="swing", sensing=sensing, strength=s, disable_env_checker=True).unwrapped
        for s in STRENGTHS
    ]
    task = people[0].task
    acts = {
        "motor at rest": Zero(task),
        "without prediction": Predictive(task, SHARE, horizon=0.0),
        "predictive, hold": Predictive(task, SHARE, extrapolation="hold"),
        "predictive": Predictive(task, SHARE),
        "ideal": None,
    }
    own, unhelped = {}, (np.nan, np.nan)
    for name, act in acts.items():
        # the same device on the same leg, which is driven by more or less
        seen = [[played(env, act or Ideal(env, SHARE), seed) for seed in range(episodes)] for env in people]
        what = f"{1000 * lateness(task):.0f} ms late, {name}"
        if name != "motor at rest":
            own[name] = 1000 * float(np.mean([lag(x["help"], x["contraction"], task.period) for x in seen[0]]))
            bound = 0.5 * own["without prediction"] if name.startswith("predictive") else None
            yield row(f"{what}: lag of the help", own[name], "ms", at_most=bound, n=episodes)
        strap = max(max(x["thigh_strap"].max(), x["shank_strap"].max()) for x in seen[0])
        efforts = [float(np.mean([x["effort"].mean() for x in each])) for each in seen]
        errors = [float(np.sqrt(np.mean([np.mean(x["tracking_error"] ** 2) for x in each]))) for each in seen]
        unhelped = (efforts[0], errors[0]) if name == "motor at rest" else unhelped
        yield row(f"{what}: human effort over that with the motor at rest", efforts[0] / unhelped[0], n=episodes)
        yield row(f"{what}: largest strap tension", float(strap), "N", n=episodes)
        yield row(f"{what}: knee off its reference", float(np.degrees(errors[0])), "°", n=episodes)
        if name != "motor at rest":
            least = at_error(errors, efforts, unhelped[1]) / unhelped[0]
            yield row(f"{what}: effort of who lets the device work for them, over unhelped", least, n=episodes)


def at_error(errors: list[float], efforts: list[float], wanted: float) -> float:
    """Effort at which the knee is as far off as wanted, of people who give less and less; the least one looked at,
    where they are not even that far off with it."""
    for k in range(1, len(errors)):
        if errors[k] > wanted >= errors[k - 1]:
            part = (wanted - errors[k - 1]) / (errors[k] - errors[k - 1])
            return efforts[k - 1] + part * (efforts[k] - efforts[k - 1])
    return efforts[0] if errors[0] > wanted else efforts[-1]


def rows(quick: bool) -> Iterator[Row]:
    """Two devices and three episodes of 10 s each; one and two in the reduced form."""
    for late in LATE[:1] if quick else LATE:
        yield from compared(late, 2 if quick else 3)


if __name__ == "__main__":
    run(__doc__, rows)
