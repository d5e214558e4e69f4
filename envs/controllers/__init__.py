"""Controllers by name: a file of baselines for each task, and policies, of stable-baselines3 or by back-propagation.

What baselines know besides what their environment lets them observe is the nominal person: the generic one, or the one
that was identified; never the person drawn from the posterior who is in the environment.
Imports from all rooms up to `tasks`.
"""

from mjx_msm.envs.controllers.baseline import Controller
from mjx_msm.envs.controllers.by_name import controller, names

__all__ = ["Controller", "controller", "names"]
