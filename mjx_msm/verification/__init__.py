"""What can go wrong between a robot and a person who is known only so well: Monte Carlo over both.

scenarios       what goes wrong in an episode, and what counts as a violation
usual           each environment's own
scenario_file   the file in which a user says otherwise
crowd           who it happens to: the point estimate and draws from the posterior, with the excitation of each
episode         one of them through one scenario
campaign        all of them through all scenarios
journal         so that an interruption loses nothing
findings        what it comes to: probabilities with intervals, what the point estimate misses, who violates
result          findings that show themselves
running         a campaign from beginning to end
film            the worst episode as a video
report          findings in words and files
"""

from mjx_msm.verification.campaign import Campaign
from mjx_msm.verification.findings import clopper_pearson
from mjx_msm.verification.result import Verification
from mjx_msm.verification.running import verify
from mjx_msm.verification.scenario_file import load_plan
from mjx_msm.verification.scenarios import Plan, Scenario, Violation

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
