"""One rule for a person and a study: what a constant predicts better is not to be relied on, and is named."""

from dataclasses import replace

from results import fit, result

from mjx_msm.knowledge.reliance import Rely, reliance
from mjx_msm.knowledge.verdict import verdict

NOISE = 1.1


def two(elbow, elbow_spread, shoulder=1.3, shoulder_spread=3.0, trial="reach2"):
    """Fits of two joints with noise of 1.1 N·m, and errors on an unseen trial."""
    seen = [replace(fit("identify", identified=NOISE, spread=3.0, trial="reach1"), coordinate=c) for c in JOINTS]
    rows = ((elbow, elbow_spread), (shoulder, shoulder_spread))
    return (
        *seen,
        *(
            replace(fit(identified=e, spread=s, trial=trial), coordinate=c)
            for c, (e, s) in zip(JOINTS, rows, strict=True)
        ),
    )


JOINTS = ("elbow", "shoulder")


def test_what_a_constant_predicts_better_as_a_whole_is_not_used():
    """A joint off by 3.25 N·m of a spread of 1.4: no noise of 1.1 excuses that."""
    found = reliance(fits := two(3.25, 1.4, 1.92, 3.25))
    assert (found.rely, found.joints) == (Rely.NO, ("elbow",))
    assert found.words == "no: elbow worse than a constant"
    assert verdict(result(*fits))[0].startswith(
        "Do not use its prediction of the moment: a constant would do better (elbow); "
    )


def test_a_joint_well_off_is_named_though_there_was_little_to_predict():
    found = reliance(fits := two(1.78, 1.04))
    assert (found.rely, found.joints, found.words) == (Rely.PART, ("elbow",), "all but elbow")
    assert verdict(result(*fits))[0].startswith(
        "Use its prediction of the moment, but not that of elbow, which a constant predicts better, as good to about "
        "1.3 N·m"
    )


def test_an_error_near_the_noise_speaks_not_against_the_rest_but_is_not_relied_on():
    found = reliance(fits := two(1.3, 1.2))
    assert (found.rely, found.joints, found.noise, found.words) == (Rely.PART, (), ("elbow",), "all but elbow")
    assert (
        "but not that of elbow, which a constant predicts better (of elbow there was hardly more than noise to "
        "predict), as good to about 1.3 N·m (a typical error: root mean square, 43 % of the spread)"
        in verdict(result(*fits))[0]
    )
    assert reliance(two(1.3, 1.2, 1.3, 1.2)).rely is Rely.NOISE
    assert reliance(two(1.4, 1.5)).rely is Rely.YES
    assert reliance(two(1.3, 1.5)).words == "yes (error 87 % of the spread)"


def test_a_trial_that_is_worse_is_named():
    good, bad = fit(identified=2.0), fit(identified=5.0, spread=4.0, trial="other")
    assert reliance((good, bad)).words == "all but other"
    assert reliance((replace(good, identified=10.0),)).rely is Rely.NO  # as good as a constant is no better
    assert reliance((fit("identify"),)).rely is Rely.UNKNOWN


def test_what_was_held_is_judged_by_its_size():
    row = replace(fit(identified=6.0, spread=5.0), held=True, level=60.0)
    assert reliance((row,)).rely is Rely.YES
    worse = replace(row, identified=16.0)
    assert reliance((worse,)).rely is Rely.NO
    assert "it misses more than 20 % of what was held" in verdict(result(worse))[0]


def test_contractions_that_were_held_are_told_of_one_by_one():
    rows = [
        replace(fit("identify", e, trial=t, spread=s), held=True, level=x)
        for t, e, s, x in (("extension", 3.0, 5.0, 60.0), ("flexion", 2.5, 2.4, 10.0))
    ]
    said = verdict(result(*rows))[1]
    assert "3 N·m in extension, held at 60 N·m with a spread of 5 N·m; 2.5 N·m in flexion, held at 10 N·m" in said
    assert "spread of 2.4 N·m, so that its own mean does as well; the generic model misses 8 N·m of all" in said
    assert said.endswith("That is a poor fit: more than 20 % of what was held in flexion.")
