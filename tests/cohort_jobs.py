"""A cheap job in the place of an identification, for tests of what surrounds it: files, workers, interruptions."""

import os
import signal
import time
from pathlib import Path

import numpy as np
from made_result import made_result

from mjx_msm.person.model import load_model
from mjx_msm.person.space import parameter_space
from mjx_msm.study import cohort_person
from mjx_msm.study.cohort_person import identifier
from mjx_msm.study.result_folder import RESULT

FREE = ["muscle/*/max_isometric_force"]


def cheap(asked):
    """`identifier`, but the estimate is made up and only it is written.

    The environment says how it goes: every person notes in MADE_BY that they were begun; who is called in DIES kills
    their worker the first time; PAUSE makes each of them last [s]; BENDS says by how much of the others' expectation
    an estimate goes with it; who is called FAILS cannot be identified with one.
    """
    model = load_model("arm")
    space = parameter_space(model.nominal, FREE)

    def identified(study, model, *, prior=None, **_):
        name = study.subject.name
        note = Path(os.environ["MADE_BY"]) / name
        with note.open("a") as file:
            file.write("x")
        if name in os.environ.get("DIES", "").split(",") and note.read_text() == "x":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(float(os.environ.get("PAUSE", "0")))
        z = space.prior_mean + 0.01 * float(study.subject.mass - 70.0)
        if prior is not None:
            assert name != os.environ.get("FAILS"), "no more of them"
            z = z + float(os.environ.get("BENDS", "0")) * np.array(prior.shift)
        return made_result(space, 100.0 * np.eye(space.size), z, subject=name, residuals=("motion",))

    def written(folder, study, model, result, **_):
        result.save(folder / RESULT)
        (folder / "extra.txt").write_text(study.subject.name)

    cohort_person.identify_study = identified
    cohort_person.completed_draws = lambda model, trials, result, **_: result
    cohort_person.write_result = written
    return identifier(asked)
