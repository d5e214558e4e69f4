"""Figures of a result: trials as recorded, generic and identified; parameters with their intervals; a profile."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mjx_msm.knowledge.profile_likelihood import DROP, Profile
from mjx_msm.knowledge.records import Estimate, Fit
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.standing import Standing
from mjx_msm.views.replay import Replay

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECORDED, GENERIC, IDENTIFIED, TRUTH = "#3a3a3a", "#e0a33e", "#c8374d", "#00798c"
MOST_TRIALS = 6
RELATIVE = "relative to the generic model"
AS_IT_IS = {"parse_math": False}
"""Of text with a name in it: two dollar signs make no formula."""


def save_figures(
    folder: str | Path,
    trials: Sequence[Replay],
    result: Identification,
    truth: Mapping[str, float] | None = None,
) -> list[Path]:
    """Write `motion.png`, `moment.png` (where there is something to show) and `parameters.png`."""
    figures = {
        "motion": motion_figure(trials, result) if any(t.simulated for t in trials) else None,
        "moment": moment_figure(trials, result) if any(t.moment is not None for t in trials) else None,
        "parameters": parameter_figure(result, truth),
    }
    written = []
    for name, figure in figures.items():
        if figure is not None:
            written.append(Path(folder) / f"{name}.png")
            figure.savefig(written[-1], dpi=130)
    return written


def motion_figure(trials: Sequence[Replay], result: Identification) -> Figure:
    """Free coordinates over time: a row per coordinate, a column per trial."""

    def curves(trial: Replay, k: int) -> dict[str, np.ndarray]:
        recorded = trial.position[:, trial.coordinates.index(trial.free[k])]
        return {"recorded": recorded} | {v: x[:, k] for v, x in trial.simulated.items()}

    return _signals([t for t in trials if t.simulated], result, "motion", "°", 180 / math.pi, curves)


def moment_figure(trials: Sequence[Replay], result: Identification) -> Figure:
    """Net moments of the free coordinates over time: a row per coordinate, a column per trial; the identified one with
    its 95 % band."""

    def curves(trial: Replay, k: int) -> dict[str, np.ndarray]:
        assert trial.moment is not None
        return {"recorded": trial.moment[:, k]} | {v: x[:, k] for v, x in (trial.predicted or {}).items()}

    return _signals([t for t in trials if t.moment is not None], result, "moment", "N·m", 1.0, curves)


def _signals(
    trials: Sequence[Replay],
    result: Identification,
    kind: str,
    unit: str,
    factor: float,
    curves: Callable[[Replay, int], dict[str, np.ndarray]],
) -> Figure:
    from matplotlib.figure import Figure

    left_out = len(trials) - MOST_TRIALS
    trials = [*trials[: MOST_TRIALS - 1], trials[-1]] if left_out > 0 else trials  # the last may be held out
    rows, columns = len(result.free), len(trials)
    width = max(7.0, min(3.4 * columns + 0.6, 16))
    figure = Figure(figsize=(width, 2.1 * rows + 0.9), layout="constrained")
    axes: Any = figure.subplots(rows, columns, squeeze=False, sharex="col", sharey="row")
    styles = {"recorded": (RECORDED, 2.4, "-"), "generic": (GENERIC, 1.3, "--"), "identified": (IDENTIFIED, 1.4, "-")}
    for i, trial in enumerate(trials):
        for k, coordinate in enumerate(result.free):
            ax = axes[k, i]
            for name, values in curves(trial, k).items():
                colour, line, dash = styles[name]
                ax.plot(
                    trial.time, factor * values, dash, color=colour, linewidth=line,
                    alpha=0.45 if name == "recorded" else 1, label=name if i == k == 0 else None,
                )  # fmt: skip
            banded = kind == "moment" and trial.band is not None
            if banded:
                low, high = (factor * end[:, k] for end in trial.band or ())
                label = "95 % band" if i == k == 0 else None
                ax.fill_between(trial.time, low, high, color=IDENTIFIED, alpha=0.18, linewidth=0, label=label)
            row = _fit(result.fits, trial.name, kind, coordinate)
            if row is not None:
                text = f"RMSE {factor * row.generic:.3g} → {factor * row.identified:.3g} {unit}"
                text += f"; band holds {100 * trial.band_holds(k):.0f} %" if banded else ""
                ax.set_title(text, fontsize=8, loc="left", color="0.35", **AS_IT_IS)
            if i == 0:
                ax.set_ylabel(f"{coordinate} [{unit}]", fontsize=9, **AS_IT_IS)
            ax.tick_params(labelsize=8)
            ax.grid(color="0.92")
            ax.spines[["top", "right"]].set_visible(False)
        held = _fit(result.fits, trial.name, kind, None)
        role = ", held out" if held is not None and held.role == "held-out" else ""
        said = axes[0, i].get_title(loc="left")
        axes[0, i].set_title(f"{trial.name}{role}\n{said}", fontsize=8, loc="left", **AS_IT_IS)
        axes[-1, i].set_xlabel("time [s]", fontsize=9)
    # a wild generic model must not flatten what was recorded
    for k in range(rows):
        recorded = np.concatenate([factor * curves(t, k)["recorded"] for t in trials])
        identified = np.concatenate([factor * curves(t, k).get("identified", np.zeros(0)) for t in trials])
        both = np.concatenate([recorded, identified])
        low, high = np.nanmin(both), np.nanmax(both)
        margin = 0.35 * max(high - low, 1e-9)
        bottom, top = axes[k, 0].get_ylim()
        axes[k, 0].set_ylim(max(bottom, low - margin), min(top, high + margin))
    what = "motion, simulated freely from its start" if kind == "motion" else "net joint moment"
    note = f" ({left_out} more trials not shown)" if left_out > 0 else ""
    figure.suptitle(f"{result.subject or 'subject'}: {what}{note}", fontsize=10, x=0.01, ha="left", **AS_IT_IS)
    figure.legend(loc="outside upper right", ncols=4, fontsize=8, frameon=False)
    return figure


def _fit(fits: Sequence[Fit], trial: str, kind: str, coordinate: str | None) -> Fit | None:
    rows = [f for f in fits if f.trial == trial and f.kind == kind and f.role != "cross-validated"]
    return next((f for f in rows if coordinate in (None, f.coordinate)), None)


def parameter_figure(result: Identification, truth: Mapping[str, float] | None = None) -> Figure:
    """Estimates with 95 % intervals: relative to the start for positive parameters, the others a panel a unit."""
    from matplotlib.figure import Figure

    panels: dict[str, list[Estimate]] = {}
    for e in sorted(result.estimates, key=_is_relative, reverse=True):  # relative ones first, else in their order
        unit = f"[{e.unit}]" if e.unit.strip("-") else "without unit"
        panels.setdefault(RELATIVE if _is_relative(e) else unit, []).append(e)
    rows = [len(group) + 2.0 for group in panels.values()]
    figure = Figure(figsize=(8.5, 0.8 + 0.2 * sum(rows)), layout="constrained")
    axes: Any = figure.subplots(len(panels), 1, squeeze=False, height_ratios=rows)
    labelled: set[str] = set()
    stands = {e.path: s for e, s in zip(result.estimates, result.standing, strict=True)}

    def once(label: str) -> str | None:
        if label in labelled:
            return None
        labelled.add(label)
        return label

    for ax, (kind, group) in zip(axes[:, 0], panels.items(), strict=True):
        scale = kind == RELATIVE
        for row, e in enumerate(group):
            unit = (lambda x, e=e: x / e.start) if scale else (lambda x: x)
            clear = stands[e.path] is Standing.DETERMINED
            colour = IDENTIFIED if clear else "0.6"
            label = once("estimate, 95 % interval" if clear else "not determined")
            if math.isfinite(e.sd):
                ax.plot([unit(e.low), unit(e.high)], [row, row], color=colour, linewidth=3, alpha=0.4)
            ax.plot(unit(e.value), row, "s" if e.bound else "o", color=colour, markersize=4.5, label=label)
            ax.plot(unit(e.start), row, "|", color=GENERIC, markersize=9, markeredgewidth=2, label=once("generic"))
            if truth is not None and e.path in truth:
                ax.plot(unit(truth[e.path]), row, "x", color=TRUTH, markersize=6, label=once("truth"))
        names = [e.path + (f"  (at {e.bound} bound)" if e.bound else "") for e in group]
        ax.set_yticks(range(len(group)), names, fontsize=7, **AS_IT_IS)
        ax.set_ylim(len(group) - 0.5, -0.5)
        ax.set_xlabel(kind, fontsize=8, **AS_IT_IS)
        ax.tick_params(axis="x", labelsize=8)
        ax.grid(axis="x", color="0.92")
        ax.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(f"{result.subject or 'subject'}: parameters", fontsize=10, x=0.01, ha="left", **AS_IT_IS)
    figure.legend(loc="outside lower right", ncols=4, fontsize=8, frameon=False)
    return figure


def profile_figure(profile: Profile) -> Figure:
    """Drop of log posterior along one parameter, with the 95 % intervals of the curve and of its curvature."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.6), layout="constrained")
    ax: Any = figure.subplots()
    ax.axhline(DROP, color="0.75", linewidth=1)
    ax.text(1.0, DROP, "95 %", transform=ax.get_yaxis_transform(), fontsize=8, color="0.45", ha="right", va="bottom")
    ax.axvspan(profile.low, profile.high, color=IDENTIFIED, alpha=0.1, linewidth=0, label="95 % interval, profile")
    for k, x in enumerate(profile.laplace):
        ax.axvline(x, color=GENERIC, linestyle="--", linewidth=1.3, label=None if k else "95 % interval, curvature")
    ax.plot(profile.values, profile.data_drop, ":", color="0.45", linewidth=1.3, label="of which the recordings")
    ax.plot(profile.values, profile.drop, "o-", color=IDENTIFIED, markersize=3.5, label="drop of log posterior")
    ax.set_ylim(min(0.0, float(profile.drop.min()), float(profile.data_drop.min())) - 0.1, None)
    ax.set_xlabel(f"{profile.path} [{profile.unit}]", fontsize=9, **AS_IT_IS)
    ax.set_ylabel("drop of log posterior", fontsize=9)
    ax.tick_params(labelsize=8)
    ax.grid(color="0.92")
    ax.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, fontsize=8, frameon=False)
    return figure


def _is_relative(e: Estimate) -> bool:
    return e.start > 0 and not e.path.endswith(("/delay", "/shape", "/damping", "/stiffness")) and "/com/" not in e.path
