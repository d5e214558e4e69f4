"""What to do next with a person: what is in the way of relying on the result, the first thing first.

Every step is one for the lab: what to check at the electrode, the clock or the scale, and what to record; the option or
the function that does it stands behind it in brackets.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mjx_msm.knowledge.belonging import Belonging, more_starts
from mjx_msm.knowledge.goodness_of_fit import independent_samples
from mjx_msm.knowledge.judged_errors import (
    POOR_HELD,
    bands,
    fits_poorly,
    fitted,
    flattery,
    joints_predicted_worst,
    measure,
    per_trial,
    pooled,
    rival,
    size,
    too_narrow,
    trial_predicted_worst,
    unseen,
    was_held,
)
from mjx_msm.knowledge.muscle_checks import MVC, Doubt, is_relative_to_itself, muscle_doubts, without_effect
from mjx_msm.knowledge.pulled_apart import pulled_apart
from mjx_msm.knowledge.records import Estimate, Fit, Outcome
from mjx_msm.knowledge.reliance import Rely, reliance
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.result_table import CLEARLY
from mjx_msm.knowledge.standing import Standing
from mjx_msm.knowledge.strength_or_gain import TELLS_APART, exchanges
from mjx_msm.knowledge.wording import MAY_FLATTER, emg_first, number, some

FIRST = 3
"""Steps that a person's report tells of."""
DOUBTS = 3
"""Muscles that one of them names."""
AGAINST, ALONG = -0.5, 0.9
"""Correlation with the recording down to which a prediction goes against it, as with a wrong sign, and from which on it
goes along with it, but in another size."""
STARTS = 25
"""That are advised."""
SEVERAL, OFTEN = 3, 0.1
"""Parameters at a bound, and part of all, from which an estimate from one start may be of another basin: of twenty
synthetic arms one was, with six of 22 at their bounds."""
KEPT = "to free fewer parameters need not help: what is open is kept near the generic person by its prior already"
"""As measured on `examples/knee_walk`: with lengths held, 9 unknowns instead of 41, blocks of it are missed by 16.9 N·m
instead of 8.8."""
DOUBTED = 0.02
"""Part of a trial that may hold the other foot's force, from which it is worth leaving out first."""
MUCH_OPEN = 0.25
"""Part of the parameters that are not determined, from which on more has to be recorded."""
SPARED = 3
"""Trials of which one can be held out; of fewer, each may be all that tells of its muscles."""
WITHIN = "cross-validation within trials is all there is till then, and flatters"
HELD_OUT = '`role = "held-out"` in the subject file'
ELECTRODE, SIZE = "electrode and normalisation of the EMG", "the size of the person"
MOMENT, CLOCK = "scale, zero and clock of the moment", "whether EMG, motion and moment share a clock"
CHECKS = {
    "gain": (ELECTRODE,), "shape": (ELECTRODE,), "delay": (CLOCK,), "lever": ("where the strap was",),
    "muscle": (ELECTRODE, SIZE), "body": (SIZE,), "joint": (MOMENT,),
}  # fmt: skip
"""By field, or else by what it is of: what in the lab makes a parameter go to its bound."""
REPETITIONS, SWINGS = (
    "repetitions (strides, reaches) at two speeds at least", "slow passive swings of the joint through its range",
)  # fmt: skip
EFFORTS = "contractions at three angles of the joint at least, each slowly from rest to the greatest effort and back"
"""What to record more of a person, by what was: a posture that is held tells nothing of lengths and speeds."""
UNTOLD = ("stiffness", "damping", "delay", "shape")
"""Fields that contractions that were held hardly tell."""


class Matter(enum.Enum):
    """What is in the way of relying on a result, what comes first before what comes after it."""

    INTERRUPTED = enum.auto()
    NOT_FINITE = enum.auto()
    UNMEASURED = enum.auto()
    """Unknown courses of muscles without EMG explain all."""
    STARTS = enum.auto()
    """It was searched for from one place, and what was found does not look like the best."""
    OTHER_FOOT = enum.auto()
    """What is missed may hold the other foot's force."""
    TRIAL = enum.auto()
    """An unseen trial is predicted worse than by its best constant."""
    JOINT = enum.auto()
    """A joint of one is."""
    EVALUATIONS = enum.auto()
    UNSETTLED = enum.auto()
    """The solver came to no end that stays one."""
    FIT = enum.auto()
    REGRESSION = enum.auto()
    """One predicts the unseen better than the model."""
    BEATEN_JOINT = enum.auto()
    BOUND = enum.auto()
    MUSCLE = enum.auto()
    """One does what hardly anybody's does."""
    APART = enum.auto()
    """Trials disagree."""
    BAND = enum.auto()
    """That of 95 % holds too little of the unseen."""
    RECORD = enum.auto()
    """The recordings leave too much open."""
    HOLD_OUT = enum.auto()
    """Nothing was, whole."""
    FOLDS = enum.auto()
    """Whether they were whole trials is not known."""
    NO_BAND = enum.auto()
    """What it holds is not known."""
    NOTHING = enum.auto()


@dataclass(frozen=True)
class Step:
    """Something to do, for the lab."""

    matter: Matter
    head: str
    """What to do, in a line."""
    details: tuple[str, ...] = ()
    """Why and how, a line each."""

    @property
    def said(self) -> str:
        """All of it, in words which end a sentence."""
        return f"{self.head}: {'; '.join(self.details)}" if self.details else self.head


def first_steps(result: Identification, of: Belonging | None = None) -> tuple[Step, ...]:
    """The first things that are in the way of relying on the result.

    **Arguments:** `of`: the study that the person is one of, whose file is to be changed then.
    """
    found = steps(result)
    if of is not None and of.searched:
        found = tuple(step for step in found if step.matter is not Matter.STARTS) or found
    first, *others = found[:FIRST]
    if of is not None and first.matter is Matter.EVALUATIONS:
        first = Step(first.matter, "free fewer parameters or begin from more places, as it ran out of evaluations")
    if of is not None and first.matter is Matter.STARTS:
        first = replace(first, head=f"search from more places than one: {more_starts(of, STARTS)}")
    return (first, *others)


def next_step(result: Identification, of: Belonging | None = None) -> str:
    """`first_steps` in a sentence each."""
    first, *others = first_steps(result, of)
    return f"Next: {first.said}." + "".join(f" Then {step.said}." for step in others)


def steps(result: Identification) -> tuple[Step, ...]:
    """All that is in the way of relying on the result, the first thing first; what to use it for where nothing is.

    The terminal, a person's report and a study's all tell of these.
    """
    if result.outcome is Outcome.INTERRUPTED:
        return (Step(Matter.INTERRUPTED, "go on with `mjx-msm identify … --resume`"),)
    if result.outcome is Outcome.NOT_FINITE:
        return (Step(Matter.NOT_FINITE, "check units and signs of angles and EMG; then try fewer free parameters"),)
    found = tuple(_in_the_way(result))
    if found:
        return found
    if any(f.role == "held-out" and f.kind == "moment" and f.band is None for f in result.fits):
        return (
            Step(
                Matter.NO_BAND, "see in the report whether the band holds what was held out, before the person is used"
            ),
        )
    return (Step(Matter.NOTHING, "use the person", ("`gymnasium.make` and `mjx-msm verify` take this folder",)),)


def _lacking(result: Identification) -> str:
    """What a model may lack that a regression has, or learns."""
    unheard = "a muscle without EMG"
    if result.unmeasured:
        unheard = f"EMG of {some(list(result.unmeasured))} (its notes say what stands for that)"
    return f"{unheard}, passive tissue, a right delay"


def _in_the_way(result: Identification) -> Iterator[Step]:
    if result.unmeasured and not any(e.determined for e in result.estimates):
        yield Step(
            Matter.UNMEASURED,
            f"measure one of {some(list(result.unmeasured))}, record another joint that the measured muscles cross, "
            'or take synergies of what was measured for their EMG (`unmeasured = "synergies"`)',
            ("with their courses unknown, nothing is left to learn from",),
        )
        return
    if may_be_another(result):
        yield Step(
            Matter.STARTS,
            f"search from more places than one (`--starts {STARTS}`, or `starts = {STARTS}` in [identify])",
            ("it takes little and asks nothing of the lab: another person may fit these recordings better",),
        )
    rows = unseen(result.fits)
    kind, other = measure(rows), rival(rows, measure(rows))
    more, held_still = _to_record(result), was_held(result.fits)
    bound, muscle = _to_believe(result, with_none=more is not None), _muscle(result)
    # what no body does tells of a channel or clock at fault, which spoils all trials; the other foot spoils one
    late = bound is not None and any(e.path.endswith("/delay") and e.bound == "upper" for e in _pushed(result))
    full = muscle is not None and any(d.doubt is Doubt.FULL for d in muscle_doubts(result))
    if late and bound is not None:
        yield bound
    if full and muscle is not None:
        yield muscle
    if foot := _other_foot(result):
        yield foot
    if worst := trial_predicted_worst(result.fits):
        why = _cause([f for f in rows if f.trial == worst and f.identified >= f.spread])
        yield Step(Matter.TRIAL, f"look at {worst}, which it predicts worse than a constant would", (why,))
    elif joints := joints_predicted_worst(result.fits):
        joint = joints[0]
        generic = "; the generic model predicts it better" if joint.generic < joint.identified else ""
        yield Step(
            Matter.JOINT,
            f"look at {joint.coordinate} in {joint.trial}, which it predicts worse than a constant would (though not "
            f"the joints together{generic})",
            (_cause([joint]),),
        )
    if result.outcome is Outcome.MAX_EVALUATIONS:
        yield Step(Matter.EVALUATIONS, "let it go on with `--resume`")
    if result.outcome is Outcome.UNSETTLED:
        yield Step(
            Matter.UNSETTLED,
            "begin from more places (`starts` in [identify]), or free fewer parameters",
            (
                "where the solver stopped it came to no end that stays one, as where a foot meets the ground at every "
                "look at another time",
            ),
        )
    if fits_poorly(result.fits):
        yield Step(
            Matter.FIT,
            f"find out why it fits poorly{where_poorly(result.fits)}",
            (
                "check the electrodes, the normalisation of the EMG, and scale, sign and clock of the moment, beside "
                "the curves in the report",
            ),
        )
    if other is not None and other[1] < CLEARLY * pooled(rows, kind=kind):
        yield Step(
            Matter.REGRESSION,
            "look where in the curves of the report the error is",
            (f"a model that predicts worse than a regression lacks something, {_lacking(result)}",),
        )
    elif beaten := _beaten_joints(rows, kind):
        yield Step(
            Matter.BEATEN_JOINT,
            f"look at {some(beaten)} in the curves of the report, which a regression predicts better than the model",
            (f"it lacks something there, {_lacking(result)}",),
        )
    if held_still and more is not None:  # at one angle, most of what a bound may hold is not told at all
        yield more
    if bound is not None and not late:  # the lab can check it, and a band may be narrow by it
        yield bound
    if muscle is not None and not full:
        yield muscle
    if apart := pulled_apart(result.fits):
        trials = some(list(apart[0].by))
        yield Step(
            Matter.APART,
            f"identify once without each of {trials}, as they pull {apart[0].name} apart",
            (
                f"without each of them their own moments move by {apart[0].moments}",
                "look which of them is unlike the others (scale, zero and clock of its moment, its electrodes), and "
                "leave out the one in which something is found",
            ),
        )
    if too_narrow(result.fits):
        held = bands(result.fits)
        trial = min(held, key=lambda t: held[t])
        part, joint = held[trial]
        curves = f"{joint} in {trial}" if joint else trial
        yield Step(
            Matter.BAND,
            f"look where in the curves of {curves} the recording leaves the band of 95 %",
            (
                f"the band holds {100 * part:.0f} % of it{_deviates(result.fits, trial, joint)}",
                "the model lacks something there, and till it is found intervals are not to be used",
            ),
        )
    if more is not None and not held_still:
        yield more


def may_be_another(result: Identification) -> bool:
    """Whether what one start found looks as if another would find something better: it fits poorly, or much of it is
    pushed against bounds."""
    pushed = len(_pushed(result))
    return result.starts == 1 and (fits_poorly(result.fits) or pushed >= max(SEVERAL, OFTEN * len(result.estimates)))


def where_poorly(fits: Sequence[Fit]) -> str:
    """In which of several contractions that were held; of what moved, all together are judged."""
    each = per_trial(fits) if was_held(fits) else ()
    return f" in {some([t.trial for t in each if t.part > POOR_HELD])}" if len(each) > 1 else ""


def _muscle(result: Identification) -> Step | None:
    doubtful = [d.said for d in muscle_doubts(result) if d.is_first]
    if not doubtful:
        return None
    more = [f"and {len(doubtful) - DOUBTS} more"] if len(doubtful) > DOUBTS else []
    return Step(
        Matter.MUSCLE,
        f"check {ELECTRODE}, and which channel drives which muscle, as hardly anybody's muscles do this",
        (*doubtful[:DOUBTS], *more),
    )


def _cause(rows: Sequence[Fit]) -> str:
    """What may be wrong with what is predicted worse than by a constant. A fault only where the prediction points to
    one."""
    r = [f.correlation for f in rows if math.isfinite(f.correlation)]
    if r and min(r) <= AGAINST:
        return f"it goes against the recording (correlation {min(r):.2f}), as with a wrong sign"
    if r and min(r) >= ALONG:
        return f"it goes along with the recording (correlation {min(r):.2f}), but in another size: a unit, or a zero"
    return "a task that the others say nothing of, or else a muscle without EMG"


def _other_foot(result: Identification) -> Step | None:
    """What to leave out of the moments of an unseen trial that is missed; None where none of them is in doubt, or what
    is in doubt is missed no more than the rest."""
    missed = too_narrow(result.fits) or trial_predicted_worst(result.fits) or reliance(result.fits).rely is Rely.NO
    rows = [f for f in unseen(result.fits) if f.kind == "moment" and f.apart is not None]
    for f in sorted(rows, key=lambda f: -f.identified / max(f.spread, 1e-9)):
        share = max((x.share for x in result.other_foot if x.trial == f.trial), default=0.0)
        if missed and share >= DOUBTED and f.apart is not None and f.apart < CLEARLY * f.identified:
            return Step(
                Matter.OTHER_FOOT,
                'leave out what may be the other foot\'s force (`other_foot = "masked"` in the subject file, unless '
                "the person walks so)",
                (
                    f"{100 * share:.0f} % of {f.trial} are in doubt",
                    f"without them the error is {size(f.apart, f.unit)}, with them {size(f.identified, f.unit)}",
                ),
            )
    return None


def _deviates(fits: Sequence[Fit], trial: str, joint: str) -> str:
    """Where in the cycle an unseen trial is off every time."""
    rows = [f for f in unseen(fits) if f.trial == trial and f.deviates and joint in ("", f.coordinate)]
    return f" (predicted {rows[0].deviates})" if rows else ""


def _beaten_joints(rows: Sequence[Fit], kind: str) -> list[str]:
    """Coordinates that a regression predicts clearly better."""
    out = []
    for name in dict.fromkeys(f.coordinate for f in rows if f.kind == kind):
        own = [f for f in rows if (f.kind, f.coordinate) == (kind, name)]
        other = rival(own, kind)
        if other is not None and other[1] < CLEARLY * pooled(own, kind=kind):
            out.append(name)
    return out


def _to_believe(result: Identification, *, with_none: bool) -> Step | None:
    """What the recordings push against a bound; None where they push nothing. None of a thing (no damping, no delay, no
    curvature of the EMG) is asked of only where there is much else to record. Bounds are not to be widened: of what
    only they hold, the data say nothing beyond."""
    bound = [e for e in _pushed(result) if with_none or not _is_none(e)]
    if not bound:
        return None
    paths = emg_first(e.path for e in bound)
    return Step(
        Matter.BOUND,
        f"ask whether {some([_valued(result, path) for path in paths])} can be believed, since only a bound holds "
        f"{'it' if len(bound) == 1 else 'them'}",
        tuple(f"check {x}" for x in _checks(paths)),
    )


def _pushed(result: Identification) -> list[Estimate]:
    """What is asked about where it rests on a bound."""
    held = was_held(result.fits)
    return [e for e in result.estimates if is_pushed(e) and not (held and untold_by_holding(e.path))]


def _valued(result: Identification, path: str) -> str:
    """A parameter, and of a delay how long it is."""
    name = result.names[path]
    return f"{name} ({1000 * result[path].value:.0f} ms)" if path.endswith("/delay") else name


def is_pushed(e: Estimate) -> bool:
    """Whether a parameter rests on a bound, and not because the recordings say too little of it: where its interval
    holds the generic value, too, there is nothing to be believed or not."""
    return bool(e.bound) and not e.low <= e.start <= e.high


def untold_by_holding(path: str) -> bool:
    """Whether contractions that were held hardly tell a parameter: a stiffness is a constant moment at one angle, and
    of an EMG that hardly changes neither its delay nor its shape shows."""
    return path.rpartition("/")[2] in UNTOLD


def _is_none(e: Estimate) -> bool:
    return number(e.value, e.low, e.high) == "0"


def checks(paths: Iterable[str]) -> str:
    """What in the lab may have sent these parameters to their bounds."""
    return "; ".join(_checks(paths))


def _checks(paths: Iterable[str]) -> tuple[str, ...]:
    kinds = [path.split("/") for path in paths]
    each = [CHECKS.get(k[-1]) or CHECKS.get(k[0], ("scale and sign of what was measured",)) for k in kinds]
    return tuple(dict.fromkeys(check for some_of_it in each for check in some_of_it))


def _to_record(result: Identification) -> Step | None:
    """What the recordings leave unsaid, and what to do about it; None where that is little."""
    asked = _asked(result)
    clear = [s is Standing.DETERMINED for s in (stands for _, stands in asked)]
    left = [e.path for (e, _), c in zip(asked, clear, strict=True) if not c and not (e.bound and _is_none(e))]
    count, samples = len(asked), independent_samples(result.fits)
    few = samples is not None and samples[1] < count
    trials, held = len({f.trial for f in fitted(result.fits)}), any(f.role == "held-out" for f in result.fits)
    if not few and len(left) <= MUCH_OPEN * count:
        rows = unseen(result.fits)
        flatters = flattery(rows)
        if rows and not flatters:
            return None
        if flatters == MAY_FLATTER:
            return Step(
                Matter.FOLDS,
                "cross-validate again with `--cv-by trial`",
                ("parts of the same trials may be all it was asked for yet",),
            )
        head, _, why = hold_out(trials).partition(": ")
        return Step(Matter.HOLD_OUT, head, tuple(x for x in (why, "" if rows else WITHIN) if x))
    why = f"{count - sum(clear)} of {count} parameters are open"
    if few and samples:
        why = f"its {samples[0]} samples repeat themselves and count as {samples[1]}, fewer than its parameters: {why}"
    efforts = EFFORTS if was_held(result.fits) else f"{many(times_as_many(result))} {REPETITIONS}"
    return Step(
        Matter.RECORD,
        f"record more of the person ({why})",
        (
            efforts,
            SWINGS,
            *([f"as these do not tell strength and EMG gain apart, {TELLS_APART}"] if exchanges(result) else []),
            *([MVC] if is_relative_to_itself(result) else []),
            *([] if held else [f"a whole trial more to hold out ({HELD_OUT})"]),
            *([KEPT] if few else []),
            "`msm.design_experiment` finds what tells most; until then no open parameter is worth reporting by itself",
        ),
    )


def _asked(result: Identification) -> list[tuple[Estimate, Standing]]:
    """Estimates that a recording could tell, and their standing."""
    idle = without_effect(result)
    return [(e, s) for e, s in zip(result.estimates, result.standing, strict=True) if e.path not in idle]


def times_as_many(result: Identification) -> int:
    """How many times as much as was recorded it takes for as many independent samples as there are parameters; 1 where
    there are, or that is not known."""
    samples = independent_samples(result.fits)
    return 1 if samples is None else max(1, math.ceil(len(_asked(result)) / max(samples[1], 1)))


def many(times: int) -> str:
    """Before what is to be repeated."""
    return "several" if times == 1 else f"{times} times as many"


def hold_out(trials: int, whose: str = "the person") -> str:
    """How it comes to be known how well a person is predicted.

    **Arguments:** `trials`: that the estimate was made from.
    """
    if trials >= SPARED:
        return f"hold a trial of {whose} out ({HELD_OUT}), and see what it predicts of it"
    none = "the one trial cannot be spared" if trials == 1 else f"none of the {trials} trials can be spared"
    return f"record another trial of {whose} and hold it out ({HELD_OUT}): {none}"
