"""What can go wrong between a robot and a person who is known only so well: Monte Carlo over both.

scenarios   what goes wrong in an episode, and what counts as a violation: the file a user writes
crowd       who it happens to: the point estimate and draws from the posterior, with the excitation of each
episode     one of them through one scenario
campaign    all of them through all scenarios, on every core, journalled
findings    what it comes to: probabilities with intervals, what the point estimate misses, who violates
film        the worst episode as a video
report      the above in words and files
"""

from mjx_msm.verification.campaign import Campaign, verify
from mjx_msm.verification.findings import Verification, clopper_pearson
from mjx_msm.verification.scenarios import Plan, Scenario, Violation, load_plan

__all__ = [
    "Campaign",
    "Plan",
    "Scenario",
    "Verification",
    "Violation",
    "clopper_pearson",
    "load_plan",
    "verify",
]
