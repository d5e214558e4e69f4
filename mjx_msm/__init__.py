"""From a recording of a person to that person's musculoskeletal model.

The names below load their module when they are first used, so `import mjx_msm` stays quick: it imports
neither JAX nor MuJoCo, and registers the Gymnasium environments by the name of their class only.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

# `envs` and `assets` lie beside this package in a checkout, and are found in it by links. Where there are none (an
# sdist, git on Windows, which writes a link's target into a text file) they are found beside it.
if not all((Path(__file__).parent / part).is_dir() for part in ("envs", "assets")):
    __path__.append(str(Path(__file__).resolve().parents[1]))

from mjx_msm import assets, envs

if TYPE_CHECKING:
    from mjx_msm.common.errors import InputError
    from mjx_msm.dynamics.simulation import State, initial_state, rollout, rollout_segments
    from mjx_msm.identification.cohort import identify_many
    from mjx_msm.identification.cross_validation import cross_validate
    from mjx_msm.identification.hierarchical import identify_population
    from mjx_msm.identification.identify import identify
    from mjx_msm.knowledge.design.experiment import design_experiment
    from mjx_msm.knowledge.law_comparison import compare_laws
    from mjx_msm.knowledge.population import Population
    from mjx_msm.knowledge.posterior_draws import completed_draws
    from mjx_msm.knowledge.predictive import posterior_predictive
    from mjx_msm.knowledge.profile_likelihood import profile
    from mjx_msm.knowledge.records import Outcome
    from mjx_msm.knowledge.result import Identification
    from mjx_msm.person.anthropometry import segment_priors
    from mjx_msm.person.applied import apply_ceinms, apply_osim
    from mjx_msm.person.compliant_tendon import CompliantTendon
    from mjx_msm.person.degroote import DeGrooteFregly2016
    from mjx_msm.person.from_osim.importing import import_osim
    from mjx_msm.person.model import Model, load_model
    from mjx_msm.person.muscle import MujocoMuscle, MuscleParameters
    from mjx_msm.person.parameters import Parameters
    from mjx_msm.person.personalisation import export, personalise
    from mjx_msm.person.scaling import scale
    from mjx_msm.person.space import parameter_space
    from mjx_msm.prediction.fatigue import estimate_fatigue
    from mjx_msm.prediction.fatigue_estimate import FatigueEstimate
    from mjx_msm.prediction.offline import predict
    from mjx_msm.prediction.prediction import Prediction
    from mjx_msm.prediction.predictor import Predictor
    from mjx_msm.recordings.emg import EmgNoise
    from mjx_msm.recordings.settings import Settings
    from mjx_msm.recordings.subject_file.loading import load_subject
    from mjx_msm.recordings.synthetic import synthetic_subject, synthetic_trials
    from mjx_msm.recordings.trial import Trial
    from mjx_msm.verification import verify
    from mjx_msm.views.notebook import NotebookProgress
    from mjx_msm.views.video import render_rollout, video

    __version__: str

__all__ = [
    "CompliantTendon",
    "DeGrooteFregly2016",
    "EmgNoise",
    "FatigueEstimate",
    "Identification",
    "InputError",
    "Model",
    "MujocoMuscle",
    "MuscleParameters",
    "NotebookProgress",
    "Outcome",
    "Parameters",
    "Population",
    "Prediction",
    "Predictor",
    "Settings",
    "State",
    "Trial",
    "apply_ceinms",
    "apply_osim",
    "assets",
    "compare_laws",
    "completed_draws",
    "cross_validate",
    "design_experiment",
    "envs",
    "estimate_fatigue",
    "export",
    "identify",
    "identify_many",
    "identify_population",
    "import_osim",
    "initial_state",
    "load_model",
    "load_subject",
    "parameter_space",
    "personalise",
    "posterior_predictive",
    "predict",
    "profile",
    "render_rollout",
    "rollout",
    "rollout_segments",
    "scale",
    "segment_priors",
    "synthetic_subject",
    "synthetic_trials",
    "verify",
    "video",
]

# Where each public name lives. A public name is never a module's name too: importing a module makes it an
# attribute of its package, so such a name would mean the module or the function depending on who came first.
_HOME = {
    "InputError": "common.errors",
    "State": "dynamics.simulation",
    "initial_state": "dynamics.simulation",
    "rollout": "dynamics.simulation",
    "rollout_segments": "dynamics.simulation",
    "identify_many": "identification.cohort",
    "compare_laws": "knowledge.law_comparison",
    "cross_validate": "identification.cross_validation",
    "identify": "identification.identify",
    "identify_population": "identification.hierarchical",
    "design_experiment": "knowledge.design.experiment",
    "Population": "knowledge.population",
    "completed_draws": "knowledge.posterior_draws",
    "posterior_predictive": "knowledge.predictive",
    "profile": "knowledge.profile_likelihood",
    "Identification": "knowledge.result",
    "Outcome": "knowledge.records",
    "segment_priors": "person.anthropometry",
    "apply_ceinms": "person.applied",
    "apply_osim": "person.applied",
    "import_osim": "person.from_osim.importing",
    "Model": "person.model",
    "load_model": "person.model",
    "CompliantTendon": "person.compliant_tendon",
    "DeGrooteFregly2016": "person.degroote",
    "MujocoMuscle": "person.muscle",
    "MuscleParameters": "person.muscle",
    "Parameters": "person.parameters",
    "scale": "person.scaling",
    "parameter_space": "person.space",
    "export": "person.personalisation",
    "personalise": "person.personalisation",
    "estimate_fatigue": "prediction.fatigue",
    "FatigueEstimate": "prediction.fatigue_estimate",
    "predict": "prediction.offline",
    "Prediction": "prediction.prediction",
    "Predictor": "prediction.predictor",
    "EmgNoise": "recordings.emg",
    "Settings": "recordings.settings",
    "NotebookProgress": "views.notebook",
    "load_subject": "recordings.subject_file.loading",
    "synthetic_subject": "recordings.synthetic",
    "synthetic_trials": "recordings.synthetic",
    "Trial": "recordings.trial",
    "verify": "verification",
    "render_rollout": "views.video",
    "video": "views.video",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("mjx-msm")
    if name in _HOME:
        return getattr(import_module(f"mjx_msm.{_HOME[name]}"), name)
    raise AttributeError(f"module 'mjx_msm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
