"""From a recording of a person to that person's musculoskeletal model.

The names below load their module when they are first used, so `import mjx_msm` stays quick: it imports
neither JAX nor MuJoCo, and registers the Gymnasium environments by the name of their class only.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mjx_msm import assets, envs

if TYPE_CHECKING:
    from mjx_msm.anthropometry import segment_priors
    from mjx_msm.cohort import identify_many
    from mjx_msm.design import design_experiment
    from mjx_msm.emg import EmgNoise
    from mjx_msm.errors import InputError
    from mjx_msm.estimation import cross_validate, identify
    from mjx_msm.identification import Identification, Outcome
    from mjx_msm.model import Model, load_model
    from mjx_msm.muscle import DeGrooteFregly2016, MujocoMuscle, MuscleParameters
    from mjx_msm.parameters import Parameters, parameter_space
    from mjx_msm.personalisation import export, personalise
    from mjx_msm.posterior_draws import completed_draws
    from mjx_msm.profile_likelihood import profile
    from mjx_msm.render import render_rollout, video
    from mjx_msm.simulation import State, initial_state, rollout, rollout_segments
    from mjx_msm.subject import load_subject
    from mjx_msm.synthetic import synthetic_subject, synthetic_trials
    from mjx_msm.trial import Trial
    from mjx_msm.verification import verify

    __version__: str

__all__ = [
    "DeGrooteFregly2016",
    "EmgNoise",
    "Identification",
    "InputError",
    "Model",
    "MujocoMuscle",
    "MuscleParameters",
    "Outcome",
    "Parameters",
    "State",
    "Trial",
    "assets",
    "completed_draws",
    "cross_validate",
    "design_experiment",
    "envs",
    "export",
    "identify",
    "identify_many",
    "initial_state",
    "load_model",
    "load_subject",
    "parameter_space",
    "personalise",
    "profile",
    "render_rollout",
    "rollout",
    "rollout_segments",
    "segment_priors",
    "synthetic_subject",
    "synthetic_trials",
    "verify",
    "video",
]

# Where each public name lives. A public name is never a module's name too: importing a module makes it an
# attribute of its package, so such a name would mean the module or the function depending on who came first.
_HOME = {
    "segment_priors": "anthropometry",
    "design_experiment": "design",
    "EmgNoise": "emg",
    "InputError": "errors",
    "Identification": "identification",
    "Outcome": "identification",
    "cross_validate": "estimation",
    "identify": "estimation",
    "identify_many": "cohort",
    "Model": "model",
    "load_model": "model",
    "DeGrooteFregly2016": "muscle",
    "MujocoMuscle": "muscle",
    "MuscleParameters": "muscle",
    "Parameters": "parameters",
    "parameter_space": "parameters",
    "export": "personalisation",
    "personalise": "personalisation",
    "completed_draws": "posterior_draws",
    "profile": "profile_likelihood",
    "render_rollout": "render",
    "video": "render",
    "State": "simulation",
    "initial_state": "simulation",
    "rollout": "simulation",
    "rollout_segments": "simulation",
    "load_subject": "subject",
    "synthetic_subject": "synthetic",
    "synthetic_trials": "synthetic",
    "Trial": "trial",
    "verify": "verification",
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
