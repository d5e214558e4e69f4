"""The table of estimates as a pandas `DataFrame`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mjx_msm.common.optional import optional
from mjx_msm.knowledge.records import Estimate, Fit, Unknown
from mjx_msm.knowledge.standing import Standing, beside_prior
from mjx_msm.knowledge.uncertainty import Knowledge

if TYPE_CHECKING:
    from pandas import DataFrame


def estimates_dataframe(
    estimates: Sequence[Estimate],
    unknowns: Sequence[Unknown],
    knowledge: Sequence[Knowledge],
    standing: Sequence[Standing],
    off_prior: Sequence[bool],
) -> DataFrame:
    """A row a parameter, named by its path; see `Identification.to_dataframe`."""
    rows = [
        {
            "parameter": e.path,
            "unit": e.unit,
            "generic": e.start,
            "estimate": e.value,
            "sd": e.sd,
            "low": e.low,
            "high": e.high,
            "beside_prior": math.nan if u is None else beside_prior(e, u),
            "data_share": e.data_share,
            "knowledge": known.value,
            "standing": stands.value,
            "off_prior": off,
            "bound": e.bound,
        }
        for e, u, known, stands, off in zip(
            estimates, unknowns or (None,) * len(estimates), knowledge, standing, off_prior, strict=True
        )
    ]
    pandas = optional("pandas", "notebook", "a table of pandas")
    columns = list(rows[0]) if rows else ["parameter"]
    return pandas.DataFrame(rows, columns=columns).set_index("parameter")


def fits_dataframe(fits: Sequence[Fit]) -> DataFrame:
    """A row a coordinate of a trial, its other predictions as columns; see `Identification.fits_to_dataframe`."""
    rows = [
        {
            "trial": f.trial,
            "role": f.role,
            "kind": f.kind,
            "coordinate": f.coordinate,
            "unit": f.unit,
            "generic": f.generic,
            "identified": f.identified,
            "correlation": f.correlation,
            "spread": f.spread,
            **f.beside,
            "doubted": f.doubted,
            "held": f.held,
            "level": f.level,
            "within": f.within,
            "band": f.band,
        }
        for f in fits
    ]
    return optional("pandas", "notebook", "a table of pandas").DataFrame(rows)
