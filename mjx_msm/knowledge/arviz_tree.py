"""A posterior as an ArviZ `DataTree`, so that everybody's plots and diagnostics work on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mjx_msm.common.optional import optional

if TYPE_CHECKING:
    from xarray import DataTree

    from mjx_msm.knowledge.predicted_signal import PredictedSignal

Draws = Float[np.ndarray, "draw parameter"]


def arviz_tree(
    paths: Sequence[str],
    posterior: Draws,
    prior: Draws,
    signals: Sequence[PredictedSignal],
    attributes: Mapping[str, Any],
    seed: int,
) -> DataTree:
    """Groups ``posterior`` and ``prior``, and of signals ``posterior_predictive`` and ``observed_data``.

    Every kind of parameter is a variable with its bodies, joints, muscles or channels along a dimension of that name:
    the path "muscle/soleus/tendon_slack_length" is ``posterior["muscle_tendon_slack_length"].sel(muscle="soleus")``.
    A signal is named by its kind, with the dimensions ``<kind>_sample`` and ``<kind>_coordinate`` and the trial and
    time [s] of every sample as coordinates.
    """
    arviz = optional("arviz_base", "notebook", "a DataTree of ArviZ")
    owners: dict[str, dict[str, int]] = {}
    for column, path in enumerate(paths):
        group, owner, *quantity = path.split("/")
        owners.setdefault("_".join((group, *quantity)), {})[owner] = column
    groups: dict[str, dict[str, np.ndarray]] = {
        name: {variable: draws[None, :, list(of.values())] for variable, of in owners.items()}
        for name, draws in (("posterior", posterior), ("prior", prior))
    }
    dims = {variable: [variable.split("_", 1)[0]] for variable in owners}
    # Owners differ from variable to variable (bodies with a mass, bodies with an inertia), and ArviZ wants one set of
    # labels a dimension: such a variable has a dimension of its own.
    coords: dict[str, Any] = {}
    for variable, of in owners.items():
        labels, dim = list(of), dims[variable][0]
        if coords.setdefault(dim, labels) != labels:
            dims[variable] = [f"{variable}_of"]
            coords[f"{variable}_of"] = labels
    for signal in signals:
        along = [f"{signal.kind}_sample", f"{signal.kind}_coordinate"]
        dims[signal.kind] = along
        coords[along[1]] = list(signal.coordinates)
        groups.setdefault("posterior_predictive", {})[signal.kind] = signal.replicated(seed)[None]
        groups.setdefault("observed_data", {})[signal.kind] = signal.observed
    tree = arviz.from_dict(groups, coords=coords, dims=dims, attrs={"/": dict(attributes)})
    for signal in signals:
        along = f"{signal.kind}_sample"
        labels = {
            f"{signal.kind}_trial": (along, list(signal.trial)),
            f"{signal.kind}_time": (along, signal.time, {"units": "s"}),
        }
        for group in ("posterior_predictive", "observed_data"):
            tree[group].dataset = tree[group].to_dataset().assign_coords(labels)
    return tree
