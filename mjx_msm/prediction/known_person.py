"""Whom a live prediction is about: somebody identified, or anybody given as parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from mjx_msm.knowledge.result import Identification
from mjx_msm.person.model import Model
from mjx_msm.prediction.muscle_course import estimate_first
from mjx_msm.recordings.synergies import Synergies
from mjx_msm.recordings.trial import Trial, reordered


@dataclass(frozen=True)
class KnownPerson:
    """A person and how EMG reaches their muscles."""

    channels: tuple[str, ...]
    emg_map: Mapping[str, Mapping[str, float]]
    """Muscle to {EMG channel: weight}."""
    everyone: Any
    """`Parameters` along a leading axis: the estimate, then others who may be meant, one at least."""
    moment_spread: Mapping[str, float] = field(default_factory=dict)
    """By which the estimate missed recorded moments, by free coordinate [N·m]."""
    synergies: Synergies | None = None
    """By which channels are made of others, which nobody measures."""

    def heard(self, trial: Trial) -> Trial:
        """A trial with exactly these channels, those of synergies made of the measured ones."""
        return reordered(self.synergies.completed(trial, self.channels) if self.synergies else trial, self.channels)

    @staticmethod
    def identified(identification: Identification, model: Model, draws: int) -> KnownPerson:
        """The estimate, and people drawn from the posterior."""
        noise = identification.stages[-1].noise if identification.stages else {}
        return KnownPerson(
            identification.channels,
            identification.emg_map,
            estimate_first(identification, model, draws),
            {c: noise[f"moment/{c}"] for c in model.free if f"moment/{c}" in noise},
            identification.synergies,
        )

    @staticmethod
    def certain(model: Model) -> KnownPerson:
        """The model's nominal person without doubt; every muscle's excitation is a channel."""
        nominal = model.nominal.with_channels(model.muscles)
        everyone = jax.tree.map(lambda x: np.stack([np.asarray(x)] * 2), nominal)
        return KnownPerson(model.muscles, {m: {m: 1.0} for m in model.muscles}, everyone)
