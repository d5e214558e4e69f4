"""From EMG to activation, in words and a table: what was done to the signals, which channels drive which muscle, and
what came of it."""

from __future__ import annotations

from collections.abc import Sequence

from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.wording import some
from mjx_msm.person.model import MUSCLES
from mjx_msm.views.replay import Replay
from mjx_msm.views.report.postures import signs

CURVE = "u = (exp(shape · e) − 1) / (exp(shape) − 1) of e = gain · envelope(t − delay), cut off at 0 and 1"
"""As `mjx_msm.recordings.emg` has it."""


def steps_of(result: Identification, trials: Sequence[Replay]) -> list[tuple[str, str]]:
    """What happens to the signals on their way, a name and words each."""
    delays = _range([v for p, v in result.parameters.items() if p.startswith("emg/") and p.endswith("/delay")], 1000.0)
    shapes = _range([v for p, v in result.parameters.items() if p.startswith("emg/") and p.endswith("/shape")])
    yields = result.muscle_model in MUSCLES and MUSCLES[result.muscle_model]().remembers
    silenced = "; ".join(f"{some(channels, 8)} in {trial}" for trial, channels in result.silenced.items())
    said = (
        ("envelope", result.processing),
        ("silent by the subject file", silenced),
        ("excitation", CURVE if result.channels else ""),
        ("delay", f"{delays} ms" if delays else ""),
        ("shape", f"{shapes} (0 is straight)" if shapes else ""),
        ("muscle law", f"{result.muscle_model}, tendons {'yield' if yields else 'rigid'}"),
        ("signs", signs(trials)),
    )
    return [(name, words) for name, words in said if words]


def muscle_rows(result: Identification) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table: a muscle's channels with their weights and gains, and for every trial its greatest
    activation, and how long it is fully active where it is."""
    trials = list(dict.fromkeys(u.trial for u in result.use))
    used = {(u.muscle, u.trial): u for u in result.use}
    rows = []
    for muscle, mix in result.emg_map.items():
        weights = [f"{c}" if w == 1.0 else f"{w:.2g} {c}" for c, w in mix.items() if w]
        gains = [result.parameters.get(f"emg/{c}/gain") for c, w in mix.items() if w]
        cells = [muscle, " + ".join(weights) or "silent", ", ".join(f"{g:.3g}" for g in gains if g is not None)]
        for trial in trials:
            u = used.get((muscle, trial))
            full = f" ({100 * u.full:.0f} % of it full)" if u is not None and u.full >= 0.005 else ""
            cells.append("" if u is None else f"{_percent(u.activation)}{full}")
        pulls = [u.pull for u in result.use if u.muscle == muscle]
        if trials:
            cells.append(_percent(max(pulls)) if pulls else "not across a free joint")
        rows.append(cells)
    peaks = [f"greatest activation, {trial}" for trial in trials]
    return ["muscle", "driven by", "gain", *peaks, *(["greatest force, of F0"] if trials else [])], rows


def _percent(share: float) -> str:
    """To two digits below 1 %."""
    return f"{100 * share:.{0 if share >= 0.01 else 2}f} %"


def _range(values: Sequence[float], factor: float = 1.0) -> str:
    """ "18" of values that agree, "10 to 30" of others; "" of none."""
    ends = [f"{factor * x:.3g}" for x in (min(values), max(values))] if values else []
    return " to ".join(dict.fromkeys(ends))
