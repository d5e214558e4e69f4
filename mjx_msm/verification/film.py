"""One episode as a video: the scene, and below it the measure against its limit and the point estimate's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.verification.campaign import Campaign
from mjx_msm.verification.episode import POINT, Course, Episode, Rehearsal
from mjx_msm.verification.scenarios import FAILED

FRAMES = 400
"""Most frames of a video."""
SLOW = 0.5
"""Speed of the video."""


def find_episode(campaign: Campaign, number: int) -> Episode:
    """An episode by its number.

    **Raises:** `InputError` if there is none.
    """
    for episode in campaign.episodes:
        if episode.number == number:
            return episode
    numbers = [e.number for e in campaign.episodes]
    nearest = sorted(sorted(numbers, key=lambda other: abs(other - number))[:4])
    raise InputError(
        f"episode {number} does not exist; there are {len(numbers)} between 0 and {max(numbers)}, numbered with gaps; "
        f"nearest: {', '.join(map(str, nearest))}; results.csv lists all"
    )


def film(campaign: Campaign, number: int, path: str | Path) -> Course:
    """Run an episode again, write its video to `path` and its measures over time to a CSV file beside it."""
    from mjx_msm.views.captions import captioned
    from mjx_msm.views.traces import with_traces
    from mjx_msm.views.video import video

    path, episode = Path(path), find_episode(campaign, number)
    frames: list[Any] = []
    seen: list[Mapping[str, float]] = []

    shown = Rehearsal(campaign.stage, render_mode="rgb_array")
    period = shown.env.task.period
    every = math.ceil(shown.longest / FRAMES)

    def watch(env: Any, measures: Mapping[str, float]) -> None:
        if len(seen) % every == 0:
            frames.append(frames[-1] if measures[FAILED] and frames else env.render())
        seen.append(measures)

    try:
        course = shown.run(episode, watch)
    finally:
        shown.env.close()
    table = {name: np.array([m.get(name, np.nan) for m in seen]) for name in seen[0]}
    time = period * np.arange(1, len(seen) + 1)
    worst = int(np.argmax(course.margins))
    violation = campaign.stage.violations[worst]
    series = {"this person": table[violation.measure]}
    if episode.person != POINT:
        other: list[float] = []
        Rehearsal(campaign.stage).run(
            episode._replace(person=POINT), lambda _, m: other.append(m.get(violation.measure, np.nan))
        )
        series["the point estimate"] = _as_long(other, len(time))
    for limit in (violation.above, violation.below):
        if limit is not None:
            series["limit" if limit == violation.above else "lower limit"] = np.full(len(time), limit)
    who = "the point estimate" if episode.person == POINT else f"person {episode.person}"
    what = violation.name if course.violated[worst] else f"nothing violated, nearest to: {violation.name}"
    text = f"{who}, {campaign.plan.scenarios[episode.scenario].name}: {what}"
    drawn = with_traces(
        captioned(frames, text),
        time,
        series,
        at=time[::every],
        ylabel=f"{violation.measure} [{violation.unit}]" if violation.unit else violation.measure,
    )
    video(path, drawn, SLOW / (period * every))
    write_csv(path.with_suffix(".csv"), time, {name: x for name, x in table.items() if name != "time"})
    return course


def _as_long(values: list[float], count: int) -> np.ndarray:
    """Cut, or with nothing after its end."""
    out = np.full(count, np.nan)
    out[: len(values)] = values[:count]
    return out
