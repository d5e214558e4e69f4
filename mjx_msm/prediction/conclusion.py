"""What a prediction is worth, in a sentence: its error beside others' where moments were recorded, else its band."""

from __future__ import annotations

import numpy as np

from mjx_msm.knowledge.judged_errors import POOR_HELD, of_held, rival, size, unseen
from mjx_msm.knowledge.records import Fit
from mjx_msm.knowledge.result import Identification
from mjx_msm.knowledge.result_table import CLEARLY
from mjx_msm.prediction.prediction import Prediction

NARROW = 0.8
"""Share of a recorded moment in its 95 % band below which the band is too narrow."""


def conclusion(made: Prediction, identification: Identification) -> tuple[str, ...]:
    """A sentence or two on the moment of every free coordinate.

    **Arguments:** `identification`: whose prediction it is; what it was made from is no prediction.
    """
    fits = {f.coordinate: f for f in made.fits if f.kind == "moment"}
    return tuple(
        _judged(made, fits[c], identification) if c in fits else _unjudged(made, c, identification) for c in made.free
    )


def _judged(made: Prediction, fit: Fit, identification: Identification) -> str:
    level = f"was held at {size(fit.level, fit.unit)} and " if of_held(fit) else ""
    said = (
        f"{made.trial}: misses the recorded moment of {fit.coordinate} by {size(fit.identified, fit.unit)} (root mean "
        f"square; it {level}has a standard deviation of {size(fit.spread, fit.unit)}"
    )
    others, other = [f"the generic model misses it by {size(fit.generic, fit.unit)}"], rival([fit], fit.kind)
    if other is not None:
        others.append(f"{other[0]}, the best without a person, by {size(other[1], fit.unit)}")
    else:
        others.append("no regression beside: no other recording with moments that it was identified from is at hand")
    said += f"); {', '.join(others)}"
    if made.seen:
        said += ". The person was identified from this recording: that is a fit, and no prediction"
    elif made.seen is None and any(f.role == "identify" and f.trial == made.trial for f in identification.fits):
        said += ". The person was identified from a trial of this name: if this is it, that is a fit, and no prediction"
    elif of_held(fit) and fit.identified > POOR_HELD * fit.level:
        said += f". That is more than {100 * POOR_HELD:.0f} % of what was held: do not believe this prediction"
    elif not of_held(fit) and fit.identified > fit.spread:
        said += ". A constant would do better: do not believe this prediction"
    elif other is not None and other[1] < CLEARLY * fit.identified:
        said += f": for the moment alone {other[0]} is the better"
    held = made.held(fit.coordinate)
    band = f"The 95 % band holds {100 * held:.0f} % of it"
    if held < NARROW:
        band += ", too little: it is of parameters and noise, and this is beyond what those are from"
    return f"{said}. {band}."


def _unjudged(made: Prediction, coordinate: str, identification: Identification) -> str:
    moment, k = made["moment"], made.free.index(coordinate)
    value, half = moment.value[:, k], 0.5 * (moment.high[:, k] - moment.low[:, k])
    said = (
        f"{made.trial}: no moment of {coordinate} was recorded to judge by. Its 95 % band is "
        f"± {size(float(np.median(half)), moment.unit)} (median), where the moment goes from {value.min():.3g} to "
        f"{size(float(value.max()), moment.unit)}"
    )
    known = [f.identified for f in unseen(identification.fits) if (f.kind, f.coordinate) == ("moment", coordinate)]
    if known:
        error = float(np.sqrt(np.mean(np.square(known))))
        said += f"; recordings that the person was not identified from were missed by {size(error, moment.unit)}"
    return f"{said}."
