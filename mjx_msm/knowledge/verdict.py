"""A result in plain sentences: whether to believe it, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mjx_msm.knowledge.belonging import Belonging, more_starts
from mjx_msm.knowledge.goodness_of_fit import independent_samples
from mjx_msm.knowledge.judged_errors import (
    NARROW,
    POOR,
    POOR_HELD,
    bands,
    fits_poorly,
    fitted,
    flattery,
    is_noise,
    measure,
    per_trial,
    pooled,
    rival,
    size,
    too_narrow,
    trial_predicted_worst,
    unit_of,
    unseen,
    was_held,
    worse_than_constant,
)
from mjx_msm.knowledge.muscle_checks import MVC, Doubt, is_relative_to_itself, muscle_doubts, without_effect
from mjx_msm.knowledge.next_step import STARTS, Matter, next_step, steps, where_poorly
from mjx_msm.knowledge.pulled_apart import pulled_apart
from mjx_msm.knowledge.records import Fit, Outcome
from mjx_msm.knowledge.reliance import Reliance, Rely, reliance
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.result_table import CLEARLY, STILL
from mjx_msm.knowledge.standing import Standing, how_roughly
from mjx_msm.knowledge.strength_or_gain import EITHER, TOGETHER, exchanges
from mjx_msm.knowledge.wording import CLOSELY, emg_first, percent, some

MOST_TRIALS = 4
"""Contractions that are each told of."""
SPREAD = "the standard deviation of what was recorded"


def verdict(result: Identification, of: Belonging | None = None) -> tuple[str, ...]:
    """What may be relied on and how it ended, how well it fits, how well it predicts, what is known of the parameters,
    what of them can be exchanged, what is not plausible of muscles, where trials disagree, and what to do next.

    **Arguments:** `of`: the study that the person is one of.
    """
    void = "" if of is None else of.void
    said = (
        _ended(result, of), _fits(result.fits), _predicts(result.fits), _held(result.fits, void), _known(result),
        _exchanged(result), _muscles(result), _apart(result.fits),
    )  # fmt: skip
    return (*(s for s in said if s), next_step(result, of))


def _ended(result: Identification, of: Belonging | None) -> str:
    if result.outcome is Outcome.NOT_FINITE:
        return "The estimate is not to be used: simulated with it, some segments are not finite."
    how = {
        Outcome.CONVERGED: f"The estimate converged: no nearby person fits these recordings better{_from(result, of)}.",
        Outcome.MAX_EVALUATIONS: "The estimate did not converge: it ran out of evaluations, and may still move.",
        Outcome.UNSETTLED: "The estimate did not converge: the solver stopped where it came to no end that stays one.",
        Outcome.INTERRUPTED: "The estimate was interrupted: what is here is its last iteration.",
    }[result.outcome]
    return f"{_to_use(result, of is not None and bool(of.void))} {how}"


def _to_use(result: Identification, void: bool) -> str:
    """What may be relied on: a prediction, and how far, and which parameters.

    **Arguments:** `void`: whether the study found that intervals hold too little.
    """
    rows = unseen(result.fits)
    kind = measure(rows)
    known = [e.path for e, s in zip(result.estimates, result.standing, strict=True) if s is Standing.DETERMINED]
    narrow = too_narrow(result.fits)
    if narrow:  # what is known rests on intervals, and these have failed
        parameters = "no interval of a parameter is to be used yet"
    elif len(known) == len(result.estimates):
        parameters = "every parameter is known by itself"
    else:
        but = f"but {some([result.names[path] for path in emg_first(known)])} " if known else ""
        parameters = f"no single parameter {but}is known"
    if void and known and not narrow:
        parameters += ", by its estimate and not by its interval"
    if not rows:
        return f"Use it for no prediction yet, as nothing tells how good one is; {parameters}."
    error, other = pooled(rows, kind=kind), rival(rows, kind)
    rely = reliance(result.fits)
    if rely.rely is Rely.NO:
        if rely.astray:
            return f"{_astray(result.fits, rely, kind)}; {parameters}."
        why = f" ({some(rely.joints)})" if rely.joints and len({f.coordinate for f in rows}) > 1 else ""
        return f"Do not use its prediction of the {kind}: {_why_not(result.fits)}{why}; {parameters}."
    where = "" if rows[0].role == "held-out" else _within(result, rows)
    better = ", for which a regression is the better" if other is not None and other[1] < CLEARLY * error else ""
    band = ", but not the band of 95 % about it" if narrow else ""
    but = (*(() if rely.trials else rely.joints), *rely.noise)
    left = [f for f in rows if f.trial not in rely.trials and f.coordinate not in but] or rows
    far = f"{_far(left, kind, rms=True)}{where}{_of_held_out(result.fits, kind)}"
    return f"Use its prediction of the {kind}{_but(rely)} as good to about {far}{better}{band}; {parameters}."


def _far(rows: Sequence[Fit], kind: str, *, rms: bool = False) -> str:
    """An error, and what part of the spread that is where a constant is a prediction at all.

    **Arguments:** `rms`: whether to say what kind of average it is.
    """
    error, spread = pooled(rows, kind=kind), pooled(rows, "spread", kind=kind)
    words = ["a typical error: root mean square"] if rms else []
    if spread > STILL.get(kind, 0.0) and not all(f.held for f in rows):
        words.append(f"{percent(error / spread)} of the spread")
    return size(error, unit_of(rows, kind)) + (f" ({', '.join(words)})" if words else "")


def _within(result: Identification, rows: Sequence[Fit]) -> str:
    """What a cross-validation within trials is good for, and on how few samples it rests."""
    if not any(f.within for f in rows):
        return ""
    trials, samples = list(dict.fromkeys(f.trial for f in rows)), independent_samples(result.fits)
    asked = len(result.estimates) - len(without_effect(result))
    few = samples is not None and samples[1] < asked
    count = ""
    if few and samples:
        count = f": {samples[1]} independent samples (that tell something of their own) for {asked} parameters"
    return f", between parts of {some(trials)} only{count}"


def _astray(fits: Sequence[Fit], rely: Reliance, kind: str) -> str:
    """What not to use, how far off it is, and what to use it for instead."""
    rows = [f for f in unseen(fits) if f.trial in rely.astray and f.kind == kind]
    part = min(bands(fits)[t][0] for t in rely.astray)
    folds = [f for f in fits if f.role == "cross-validated" and f.kind == kind] if rows[0].role == "held-out" else []
    near = ""
    if folds and pooled(folds, kind=kind) < POOR * pooled(folds, "spread", kind=kind):
        near = f"; of trials like those it was made from it is good to about {_far(folds, kind)}"
        other = rival(folds, kind)
        if other is not None and other[1] < CLEARLY * pooled(folds, kind=kind):
            near += f", where {other[0]}, without a model, is the better ({size(other[1], unit_of(folds, kind))})"
    return (
        f"Do not use its prediction of the {kind} for {some(rely.astray)}, nor for movements like it: off by "
        f"{_far(rows, kind, rms=True)}, while the band of 95 % holds {100 * part:.0f} %{near}"
    )


def _why_not(fits: Sequence[Fit]) -> str:
    held = not trial_predicted_worst(fits)
    return f"it misses more than {100 * POOR_HELD:.0f} % of what was held" if held else "a constant would do better"


def _but(rely: Reliance) -> str:
    """Of what not to use a prediction, which comes first."""
    noise = f" (of {some(rely.noise)} there was hardly more than noise to predict)" if rely.noise else ""
    return f", but not that of {rely.but}, which a constant predicts better{noise}," if rely.but else noise


def _of_held_out(fits: Sequence[Fit], kind: str) -> str:
    """Of which trials a held-out error is, where those that it was made from were predicted from each other, too."""
    rows = unseen(fits)
    folds = [f for f in fits if f.role == "cross-validated" and f.kind == kind]
    if rows[0].role != "held-out" or not folds:
        return ""
    names = some(list(dict.fromkeys(f.trial for f in rows)))
    return f" of {names}, and {_far(folds, kind)} of trials like those it was made from"


def _from(result: Identification, of: Belonging | None) -> str:
    starts = result.starts
    if starts > 1:
        return f", nor one found from {starts} starts"
    if of is not None and of.searched:
        return " (one start, and one from where the others of the study are, which found none that fits much better)"
    return f" (one start: a distant one might; {more_starts(of, STARTS)})"


def _fits(fits: Sequence[Fit]) -> str:
    rows = fitted(fits)
    kind = measure(rows)
    if not rows:
        return ""
    unit, poor, half = unit_of(rows, kind), "", f"more than {100 * POOR:.0f} % of the spread"
    if was_held(fits):
        part = (
            f" That is a poor fit: more than {100 * POOR_HELD:.0f} % of what was held{where_poorly(fits)}."
            if fits_poorly(fits)
            else ""
        )
        each = per_trial(fits)
        if 1 < len(each) <= MOST_TRIALS:
            of = "; ".join(
                f"{size(t.error, unit)} in {t.trial}, held at {size(t.level, unit)} with a spread of "
                f"{size(t.spread, unit)}" + (", so that its own mean does as well" if t.no_better else "")
                for t in each
            )
            return (
                f"Of the contractions it was made from, it misses (root mean square) {of}; the generic model misses "
                f"{size(pooled(rows, 'generic', kind=kind), unit)} of all. The spread is {SPREAD}.{part}"
            )
        return (
            f"On the contractions it was made from, held at {size(pooled(rows, 'level', kind=kind), unit)} with a "
            f"spread of {size(pooled(rows, 'spread', kind=kind), unit)} ({SPREAD}), it misses the recorded moment by "
            f"{size(pooled(rows, kind=kind), unit)} (root mean square), and the generic model by "
            f"{size(pooled(rows, 'generic', kind=kind), unit)}.{part}"
        )
    if worse_than_constant(fits):
        poor = " That is a poor fit: the error is more than the spread, and a constant would do better."
    elif fits_poorly(fits):
        poor = f" That is a poor fit: the error is {half}."
    elif is_noise(fits):
        poor = f" The error is {half}, but what is left does not repeat itself: noise of the recording."
    return (
        f"On the trials it was made from, it misses the recorded {kind} by {size(pooled(rows, kind=kind), unit)} (root "
        f"mean square), the generic model by {size(pooled(rows, 'generic', kind=kind), unit)}, and a constant by its "
        f"spread, {size(pooled(rows, 'spread', kind=kind), unit)} ({SPREAD}).{poor}"
    )


def _predicts(fits: Sequence[Fit]) -> str:
    rows = unseen(fits)
    if not rows:
        return "How well it predicts is not known: no trial was held out, and there was no cross-validation."
    kind = measure(rows)
    error, spread, unit = pooled(rows, kind=kind), pooled(rows, "spread", kind=kind), unit_of(rows, kind)
    said = f"{_where(rows)}, it misses the {kind} by {size(error, unit)} (spread {size(spread, unit)})"
    flatters = f" {flattery(fits)}".rstrip()
    other = rival(rows, kind)
    beaten = _beaten(fits) if rows[0].role == "held-out" else ""
    if other is None:
        return f"{said}{beaten and f'; but {beaten}'}.{flatters}"
    name, theirs = other
    if theirs < CLEARLY * error:
        end = f"{name} misses it by only {size(theirs, unit)}: for prediction alone it is the better"
        end += f"; {beaten}" if beaten else ""
    else:
        named = f"{name} regression on the same signals" if name.endswith("ridge") else name
        end = f"the best prediction without muscles, {named}, misses it by {size(theirs, unit)}"
        if theirs > spread:  # then that is no rival, and the spread, which is a constant's error, is the one to beat
            better = "is the better prediction" if error < CLEARLY * spread else "is no better than a constant"
            end += f", more than a constant does ({size(spread, unit)}): beside the constant, the model {better}"
        else:
            end += f": the model {'is the better prediction' if error < CLEARLY * theirs else 'predicts no worse'}"
        least, _ = min(bands(fits).values(), default=(1.0, ""))
        narrow = f"its band of 95 % holds only {100 * least:.0f} %" if too_narrow(fits) else ""
        but = " and ".join(x for x in (narrow, beaten) if x)
        end += f" there, but {but}" if but else ""
    return f"{said}; {end}.{flatters}"


def _beaten(fits: Sequence[Fit]) -> str:
    """Where the folds of a cross-validation, which a held-out trial comes before, tell another story."""
    rows = [f for f in fits if f.role == "cross-validated"]
    kind = measure(rows)
    other = rival(rows, kind)
    if other is None or not other[1] < CLEARLY * pooled(rows, kind=kind):
        return ""
    unit, names = unit_of(rows, kind), some(list(dict.fromkeys(f.trial for f in rows)))
    ours, theirs = size(pooled(rows, kind=kind), unit), size(other[1], unit)
    return f"cross-validated among {names}, {other[0]} is better ({theirs}, the model {ours})"


def _where(rows: Sequence[Fit]) -> str:
    if rows[0].role == "held-out":
        return "On held-out trials"
    if not any(f.within for f in rows):
        known = all(f.within is not None for f in rows)
        return "Cross-validated, on trials it had not seen" if known else "Cross-validated"
    same = "the same trial" if len({f.trial for f in rows}) == 1 else "the same trials"
    return f"Cross-validated, on parts of {same} it had not seen"


def _held(fits: Sequence[Fit], void: str) -> str:
    """What of the unseen the band holds, and what that says of intervals.

    **Arguments:** `void`: what a study found to say against them.
    """
    held = bands(fits)
    if not held:
        return ""
    said = "; ".join(
        f"of {name} the band of 95 % holds {100 * part:.0f} %" + (f" (of {joint}, the worst joint)" if joint else "")
        for name, (part, joint) in held.items()
    )
    if not too_narrow(fits):
        few = ", as far as so few independent samples tell" if min(held.values())[0] < NARROW else ""
        if void:
            return f"The band about the prediction bears out{few}: {said}. Intervals of parameters do not: see above."
        return f"Intervals bear out{few}: {said}."
    foot = any(f.apart is not None and f.apart < CLEARLY * f.identified for f in unseen(fits))
    shows = ", or the other foot's force in what was recorded," if foot else ""
    return (
        f"Intervals are too narrow for what it has not seen: {said}. Something that the model lacks{shows} shows "
        "there; take its intervals, those of parameters too, for the least there could be."
    )


def _known(result: Identification) -> str:
    by: dict[Standing, dict[str, str]] = {s: {} for s in Standing}
    unknowns = result.unknowns or (None,) * len(result.estimates)
    idle = without_effect(result)
    for e, u, stands in zip(result.estimates, unknowns, result.standing, strict=True):
        if e.path in idle:
            continue
        fold = f" ({how_roughly(e, u)})" if stands is Standing.ROUGH and u is not None else ""
        by[stands][e.path] = fold
    count, known = len(result.estimates) - len(idle), len(by[Standing.DETERMINED])
    no_effect = f" {_no_effect(idle)}" if idle else ""
    if known == count:
        return f"The recordings determine all {count} parameters {CLOSELY}{_void(result, known)}.{no_effect}"
    not_counted = [
        f"{what}: {some([result.names[path] + by[stands][path] for path in emg_first(by[stands])])}"
        for stands, what in (
            (Standing.PARTLY, "known partly from the prior (what was expected of anybody)"),
            (Standing.ROUGH, "known only roughly"),
            (Standing.BOUND, "at a bound"),
            (Standing.FULL, "where the greatest EMG is full excitation, which holds a gain as a bound would"),
            (Standing.RANGE, "as wide as all that was allowed"),
        )
        if by[stands]
    ]
    little = len(by[Standing.PRIOR]) + len(by[Standing.UNDETERMINED])
    return (
        f"The recordings determine {known or 'none'} of {count} parameters {CLOSELY}{_void(result, known)}"
        + (f"; of {little} they say little" if little else "")
        + (f". Not counted, {'; '.join(not_counted)}" if not_counted else "")
        + f".{no_effect}"
    )


def _no_effect(idle: Mapping[str, str]) -> str:
    """Of channels whose muscles no recorded signal depends on."""
    channels = list(dict.fromkeys(idle.values()))
    return (
        f"{some(channels, 6)} drive{'s' if len(channels) == 1 else ''} no muscle that crosses a free joint: the "
        f"{len(idle)} EMG parameters of {'it' if len(channels) == 1 else 'them'} cannot be told, and are not counted."
    )


def _void(result: Identification, known: int) -> str:
    """Where intervals failed, what they determine is not to be used either."""
    if not known or not too_narrow(result.fits):
        return ""
    return f", {'which is' if known == 1 else 'which are'} not to be used either while intervals are too narrow"


def _exchanged(result: Identification) -> str:
    """Strengths that go with how EMG becomes activation."""
    found = exchanges(result)
    if not found:
        return ""
    pairs = [
        f"{result.names[x.strength]} with {some([result.names[path] for path in x.emg])} ({100 * x.share:.0f} % of "
        "what is open of it)"
        for x in found
    ]
    return f"{TOGETHER}: {some(pairs, 4)}. {EITHER}"


def _muscles(result: Identification) -> str:
    """What no person does with their muscles, or hardly any; what saturation leaves untold; and whether anybody knows
    what is much."""
    found = muscle_doubts(result)
    odd = [d.said for d in found if d.doubt is not Doubt.SATURATED]
    full = [d.said for d in found if d.doubt is Doubt.SATURATED]
    said = [f"Hardly plausible: {_each(odd)}."] if odd else []
    if full:
        said.append(
            f"The EMG is full: {_each(full)}. What is beyond full excitation the recording cannot tell: gain and "
            "strength are known only together there."
        )
    if is_relative_to_itself(result):
        once = "" if any(s.matter is Matter.RECORD for s in steps(result)) else f" Record {MVC}."
        said.append(f"Every channel peaks at about 1 in these trials: it is relative to its own greatest.{once}")
    return " ".join(said)


def _each(said: Sequence[str], most: int = 4) -> str:
    return "; ".join([*said[:most], *([f"and {len(said) - most} more"] if len(said) > most else [])])


def _apart(fits: Sequence[Fit]) -> str:
    """Where trials that share a person disagree."""
    found = pulled_apart(fits)
    return f"Trials disagree: {'; '.join(x.said for x in found[:2])}." if found else ""
