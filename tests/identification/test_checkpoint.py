"""A run that was killed goes on and comes to the same result, to the bit, wherever it was."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from mjx_msm import (
    EmgNoise,
    InputError,
    Outcome,
    completed_draws,
    cross_validate,
    identify,
    synthetic_subject,
    synthetic_trials,
)
from mjx_msm.common.errors import InputWarning
from mjx_msm.common.files import alone_with
from mjx_msm.estimation import checkpoint as checkpoints
from mjx_msm.estimation.residuals.moment import moment_term
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.model_clock import record

FREE = ["muscle/*/max_isometric_force", "muscle/BRA/optimal_fiber_length", "body/forearm/mass"]
MUSCLES = ["muscle/*/max_isometric_force", "muscle/*/optimal_fiber_length"]


class Killed(BaseException):
    """Nothing catches it, and nothing is done on the way out: as near to SIGKILL as one process comes."""


def killer(after):
    count = 0

    def listener(*_):
        nonlocal count
        count += 1
        if count == after:
            raise Killed

    return listener


def timeless(result):
    """A result but for how long it took, which no two runs agree on."""
    return replace(result, stages=tuple(replace(s, seconds=0.0) for s in result.stages))


@pytest.fixture(scope="module")
def trials(arm):
    return synthetic_trials(
        arm, synthetic_subject(arm, seed=3), count=1, duration=1.0, rate=250, seed=3, angle_noise=0.004
    )


@pytest.fixture(scope="module")
def with_moments(arm):
    """Moments of the nominal arm, with noise."""
    rng, own = np.random.default_rng(0), {m: {m: 1.0} for m in arm.muscles}
    out = []
    for trial in synthetic_trials(arm, synthetic_subject(arm, seed=3), count=2, duration=0.8, seed=3):
        blank = replace(trial, moment_coordinates=arm.coordinates, moment=np.zeros_like(trial.position))
        space = parameter_space(arm.nominal.with_channels(arm.muscles), MUSCLES)
        moment = moment_term(arm, space, [record(arm, blank, own)], 500.0).evaluate(space.prior_mean, np.ones(2))
        out.append(replace(blank, moment=moment + 0.3 * rng.standard_normal(moment.shape)))
    return tuple(out)


@pytest.fixture(autouse=True)
def every_iterate(monkeypatch):
    """Kept, however short its time."""
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "stages"),
    [
        ({"starts": 3, "seed": 5}, ((0, 12), (1, 3))),
        ({"emg_noise": EmgNoise(relative=0.05)}, ((1, 2), (1, -2))),  # solved again about the errors found
    ],
)
def test_it_goes_on_to_the_bit(arm, trials, tmp_path, options, stages):
    told = []
    whole = identify(arm, trials, free=FREE, listener=told.append, **options)
    for k, (stage, iteration) in enumerate(stages):
        own = [n for n, i in enumerate(told, 1) if i.index == stage]
        after = own[iteration - 1 if iteration > 0 else iteration]
        file, again = tmp_path / f"{k}.jsonl", []
        with pytest.raises(Killed):
            identify(arm, trials, free=FREE, listener=killer(after), checkpoint=file, **options)
        resumed = identify(arm, trials, free=FREE, listener=again.append, checkpoint=file, **options)
        assert timeless(resumed) == timeless(whole)
        assert len(again) <= len(told) - after + 1 + stage + options.get("starts", 1)  # nothing done is done again
        assert again[-1].z.tobytes() == told[-1].z.tobytes()
    once_more = []
    again = identify(arm, trials, free=FREE, listener=once_more.append, checkpoint=file, **options)
    assert timeless(again) == timeless(whole)
    assert len(once_more) <= 2 + options.get("starts", 1)


def test_seconds_add_up(arm, trials, tmp_path):
    """Those of the sitting that was killed count; those in between do not."""
    file = tmp_path / "run.jsonl"
    slow = []

    def listener(iteration):
        slow.append(iteration)
        time.sleep(0.3)
        if len(slow) == 4:
            raise Killed

    with pytest.raises(Killed):
        identify(arm, trials, free=FREE, residuals=("acceleration",), listener=listener, checkpoint=file)
    resumed = identify(arm, trials, free=FREE, residuals=("acceleration",), checkpoint=file)
    assert resumed.stages[0].seconds > 0.9


def test_an_interrupted_run_goes_on_to_the_bit(arm, trials, tmp_path):
    """Ctrl-C gives a result, as without a checkpoint, and the checkpoint goes on where the result's resume is near."""
    whole, file, told = identify(arm, trials, free=FREE), tmp_path / "run.jsonl", []

    def listener(iteration):
        told.append(iteration)
        if iteration.index == 1 and iteration.iteration == 2:
            raise KeyboardInterrupt

    broken = identify(arm, trials, free=FREE, listener=listener, checkpoint=file)
    assert broken.outcome is Outcome.INTERRUPTED
    assert broken.z == tuple(told[-1].z)
    assert timeless(identify(arm, trials, free=FREE, checkpoint=file)) == timeless(whole)


def test_draws_go_on(arm, with_moments, tmp_path):
    result = identify(arm, with_moments, free=MUSCLES, residuals=("moment",), rate=50.0)
    result = replace(result, samples=result.samples[:12])
    whole, file, done = completed_draws(arm, with_moments, result), tmp_path / "draws.jsonl", []
    with pytest.raises(Killed):
        completed_draws(arm, with_moments, result, killer(5), checkpoint=file)
    assert file.read_bytes().count(b'"solution"') == 5
    assert completed_draws(arm, with_moments, result, done.append, checkpoint=file) == whole
    assert done == list(range(1, 13))
    other = replace(result, samples=result.samples[:11])
    with pytest.raises(InputError, match="is of something else: result was"):
        completed_draws(arm, with_moments, other, checkpoint=file)


@pytest.mark.slow
def test_folds_go_on(arm, with_moments, tmp_path):
    settings = {"free": MUSCLES, "blocks": 4, "folds": 2, "starts": 2}
    told = []
    whole = cross_validate(arm, with_moments, listener=told.append, **settings)
    for after in (2, len(told) - 1):
        file = tmp_path / f"{after}.jsonl"
        with pytest.raises(Killed):
            cross_validate(arm, with_moments, listener=killer(after), checkpoint=file, **settings)
        again = []
        assert cross_validate(arm, with_moments, listener=again.append, checkpoint=file, **settings) == whole
        assert len(again) < len(told)
    assert {"2_1.jsonl", "2_2.jsonl"} < {p.name for p in tmp_path.iterdir()}


# The file ---------------------------------------------------------------------------------------------------


@pytest.fixture
def begun(arm, trials, tmp_path):
    """A checkpoint of a run that was killed."""
    file = tmp_path / "run.jsonl"
    with pytest.raises(Killed):
        identify(arm, trials, free=FREE, residuals=("acceleration",), listener=killer(5), checkpoint=file)
    return file


def test_a_torn_end_is_computed_again_and_said(arm, trials, begun):
    given = {"free": FREE, "residuals": ("acceleration",)}
    whole = timeless(identify(arm, trials, **given))
    content = begun.read_bytes()
    torn = {
        "ends in the middle of a line": (content[:-40], content + bytes(100)),
        "is damaged; all of it": (b"", content[:30], bytes(100), b"[1]\n" + content, content + b"{}\n"),
    }
    for words, versions in torn.items():
        for version in versions:
            begun.write_bytes(version)
            with pytest.warns(InputWarning, match=words):
                assert timeless(identify(arm, trials, checkpoint=begun, **given)) == whole


def test_another_problem_is_refused(arm, trials, begun):
    quiet = replace(trials[0], position=trials[0].position + 1e-9)
    for changes, words in (
        ({"rate": 100.0}, r"settings.rate was 200.0, now 100.0"),
        ({"seed": 1}, r"settings.seed was 0, now 1"),
        ({"bounds": {"body/forearm/mass": {"factor": [0.5, 1.5]}}}, "settings.bounds.body/forearm/mass was null"),
        ({"trials": [quiet]}, "trials was"),
    ):
        given = {"trials": trials, "free": FREE, "residuals": ("acceleration",), "checkpoint": begun} | changes
        with pytest.raises(InputError, match=words) as error:
            identify(arm, **given)
        assert "\n" not in str(error.value)


def test_changed_files_are_named(arm, trials, tmp_path):
    file, given = tmp_path / "run.jsonl", {"free": FREE, "residuals": ("acceleration",)}
    identify(arm, trials, hashes={"walk.csv": "a"}, checkpoint=file, **given)
    with pytest.raises(InputError, match=r"walk\.csv has changed since the checkpoint"):
        identify(arm, trials, hashes={"walk.csv": "b"}, checkpoint=file, **given)


def test_a_full_disk_costs_the_checkpoint_only(arm, trials, tmp_path, monkeypatch):
    add = checkpoints.Journal.add

    def full(journal, line):
        if "what" not in line:
            raise OSError(28, "No space left on device")
        add(journal, line)

    whole = identify(arm, trials, free=FREE, residuals=("acceleration",))
    monkeypatch.setattr(checkpoints.Journal, "add", full)
    with pytest.warns(InputWarning, match="No space left on device.*goes on without"):
        result = identify(arm, trials, free=FREE, residuals=("acceleration",), checkpoint=tmp_path / "run.jsonl")
    assert timeless(result) == timeless(whole)
    with pytest.raises(InputError, match=r"\(Is a directory\); choose another place"):
        identify(arm, trials, free=FREE, checkpoint=tmp_path)


def test_two_processes_do_not_share_it(arm, trials, begun):
    before = begun.read_bytes()
    with alone_with(begun), pytest.raises(InputError, match="another process is at work here"):
        identify(arm, trials, free=FREE, residuals=("acceleration",), checkpoint=begun)
    assert begun.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "words"), [("code_digest", 'code was ".*", now "other"'), ("versions", 'versions.jax was ".*", now "0.1"')]
)
def test_what_other_code_computed_is_refused(arm, trials, begun, monkeypatch, name, words):
    other = "other" if name == "code_digest" else {**checkpoints.versions(), "jax": "0.1"}
    monkeypatch.setattr(checkpoints, name, lambda: other)
    with pytest.raises(InputError, match=words):
        identify(arm, trials, free=FREE, residuals=("acceleration",), checkpoint=begun)


# A process, killed --------------------------------------------------------------------------------------------


SCRIPT = """
import sys, time
from pathlib import Path
import mjx_msm.estimation.checkpoint as checkpoints
import mjx_msm.knowledge.posterior as posterior
from mjx_msm.cli.app import run

checkpoints.EVERY = 0.0  # a small problem's iterates are shorter than a second
posterior.SAMPLES = 40  # draws, of which some are lost
sys.exit(run(["identify", sys.argv[1], "--out", sys.argv[2], "--quiet", "--starts", "2", *sys.argv[3:]]))
"""


@pytest.mark.slow
def test_the_command_goes_on_after_sigkill(arm, with_moments, tmp_path, capsys):
    """Killed in the search, among the draws and in a fold, it writes what it would have written."""
    from mjx_msm.cli.app import run as command
    from mjx_msm.recordings.subject_file.loading import write_subject

    entries = [t.save(tmp_path) for t in with_moments]
    write_subject(
        tmp_path / "subject.toml",
        {
            "units": "rad",
            "subject": {"name": "arm", "mass": 70.0},
            "model": {"source": "arm", "free": list(arm.free)},
            "emg": {"muscles": {m: m for m in arm.muscles}},
            "trials": entries,
            "identify": {"free": MUSCLES, "residuals": ["moment"], "rate": 50},
        },
    )

    def start(out, *more):
        return subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path / "subject.toml"), str(out), *more])

    whole, out = tmp_path / "whole", tmp_path / "out"
    assert start(whole).wait(timeout=500) == 0
    more: tuple[str, ...] = ()
    for name, lines in (("identification", 3), ("draws", 20), ("folds_2", 2)):
        process, file = start(out, *more), out / "checkpoint" / f"{name}.jsonl"
        deadline = time.monotonic() + 400
        while not (file.is_file() and file.read_bytes().count(b"\n") >= lines):
            assert process.poll() is None, f"ended before {name}"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (out / "identification.json").exists()
        if not more:  # --resume, or say that it begins anew
            assert command(["identify", str(tmp_path / "subject.toml"), "--out", str(out), "--starts", "2"]) == 2
            assert "--resume" in capsys.readouterr().err
        more = ("--resume",)
    assert start(out, *more).wait(timeout=500) == 0
    left, right = ({p.relative_to(f): p for f_ in [f] for p in f.rglob("*") if p.is_file()} for f in (whole, out))
    assert set(left) == set(right)
    for name, path in left.items():
        if name.suffix == ".csv" or name.name == "model.xml":
            assert path.read_bytes() == right[name].read_bytes(), name
    results = [json.loads((f / "identification.json").read_text()) for f in (whole, out)]
    for result in results:
        for stage in result["stages"]:
            stage.pop("seconds")
    assert json.dumps(results[0]) == json.dumps(results[1])
