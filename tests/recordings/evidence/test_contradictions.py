"""Signs, units and clocks: what contradicts a trial is said with the line that ends it, and nothing else is."""

import math
import tomllib
import warnings
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest

from mjx_msm.common.errors import InputWarning
from mjx_msm.person.model import load_model
from mjx_msm.recordings.evidence.angles import out_of_range
from mjx_msm.recordings.evidence.channels import Mistake, Parts, exchange_line
from mjx_msm.recordings.evidence.contradictions import channels_and_joints, contradictions
from mjx_msm.recordings.evidence.cycles import unlike_other_cycles
from mjx_msm.recordings.evidence.judged import Judged
from mjx_msm.recordings.evidence.states import States, states
from mjx_msm.recordings.model_clock import weight_moment
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.readers.units import unit_of
from mjx_msm.recordings.subject_file.columns import Column, Reading
from mjx_msm.recordings.subject_file.loading import load_subject, study_of
from mjx_msm.recordings.trial import Trial

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
TIME = np.arange(0, 6, 0.01)


@pytest.fixture(scope="module")
def swing(arm) -> Trial:
    """An arm that swings in the air: its moments by inverse dynamics in C, of a body a fifth heavier."""
    position = np.stack([0.5 + 0.5 * np.sin(2.1 * TIME), 1.0 + 0.7 * np.sin(3.3 * TIME + 1)], axis=1)
    velocity = np.stack([1.05 * np.cos(2.1 * TIME), 2.31 * np.cos(3.3 * TIME + 1)], axis=1)
    acceleration = np.stack([-2.205 * np.sin(2.1 * TIME), -7.623 * np.sin(3.3 * TIME + 1)], axis=1)
    m = arm.host.mj_model
    d = mujoco.MjData(m)
    moment = np.zeros_like(position)
    for i in range(len(TIME)):
        d.qpos[:], d.qvel[:], d.qacc[:] = position[i], velocity[i], acceleration[i]
        mujoco.mj_inverse(m, d)
        moment[i] = 1.2 * (d.qfrc_inverse + d.qfrc_passive)
    return Trial(
        name="swing", time=TIME, coordinates=arm.coordinates, position=position, velocity=velocity,
        channels=arm.muscles, emg=np.zeros((len(TIME), len(arm.muscles))),
        moment_coordinates=arm.coordinates, moment=moment,
        metadata={"moment_columns": {"elbow_flex": Reading(Column("M_elbow"), "Nm")}},
    )  # fmt: skip


def test_a_trial_that_fits_is_not_spoken_of(arm, swing):
    assert contradictions(arm, [swing]) == ()
    noisy = replace(swing, velocity=swing.velocity + np.random.default_rng(0).normal(0, 0.3, swing.velocity.shape))
    assert contradictions(arm, [noisy]) == ()


def test_an_external_moment_is_told_by_the_motion(arm, swing):
    said = contradictions(arm, [replace(swing, moment=swing.moment * [1, -1])])
    assert len(said) == 1
    assert "moment of 'elbow_flex' has the opposite sign of what the motion takes in the model (r = -1.00" in said[0]
    assert 'elbow_flex = { column = "M_elbow", scale = -1.0 } in [moment_columns]' in said[0]


@pytest.mark.parametrize(
    ("factor", "words"), [(1e3, "1.2e+03 times"), (1 / 75, "per kilogram"), (0.0981, "0.118 times")]
)
def test_moments_of_another_unit(arm, swing, factor, words):
    said = contradictions(arm, [replace(swing, moment=swing.moment * factor)])
    assert len(said) == 2
    assert all(words in line for line in said)


@pytest.mark.parametrize("factor", [1.0, -57.29578, 57.29578])
def test_an_angle_exported_in_the_moments_place(arm, swing, factor):
    said = contradictions(arm, [replace(swing, moment=factor * swing.position)])
    assert len(said) == 2
    times = f"{abs(factor):.3g}"
    assert f"moment of 'elbow_flex' is its angle over again ({times} times it in radians): the column 'M_elb" in said[1]
    spring = replace(swing, moment=-20.0 * swing.position)
    assert not [line for line in contradictions(arm, [spring]) if "over again" in line]


def test_a_limb_in_contact_is_turned_by_its_emg_alone(arm, swing):
    """Four times what the motion takes, of whatever sign: something is held, and the motion does not say which way."""
    flexors = np.array([m.startswith(("BIC", "BRA")) for m in arm.muscles])
    against = -4.0 * swing.moment[:, 1]
    right = (
        np.where(against >= 0, against, 0.0)[:, None] * flexors
        + np.where(against < 0, -against, 0.0)[:, None] * ~flexors
    )
    held = replace(swing, moment=swing.moment * [1, -4], emg=right / right.max())
    assert not [line for line in contradictions(arm, [held]) if "elbow_flex" in line]
    wrong = contradictions(arm, [replace(held, moment=swing.moment * [1, 4])])
    assert any("4.8 times what the motion takes" in line for line in wrong)
    assert any("the moment of 'elbow_flex' has the opposite sign of what the EMG makes" in line for line in wrong)


@pytest.mark.parametrize("factor", [-1e3, -0.3, -0.1, -0.08])
def test_a_moment_of_another_unit_and_sign(arm, swing, factor):
    """Far too large, or smaller than what the motion takes, as no contact makes it: both may be wrong."""
    said = contradictions(arm, [replace(swing, moment=swing.moment * factor)])
    assert [line.split("'")[3] for line in said] == ["shoulder_elev", "elbow_flex"]
    for line in said:
        times = float(line.split(" is ")[1].split(" times what the motion takes")[0])
        assert times == pytest.approx(1.2 * factor, rel=0.01)
    assert all("check its unit, its sign" in line for line in said)


def test_velocities_that_contradict_positions(arm, swing):
    def said(velocity: np.ndarray) -> str:
        (line,) = contradictions(arm, [replace(swing, velocity=velocity)])
        return line

    v = swing.velocity
    assert "in degrees a second" in said(v * [1, 180 / np.pi])
    assert "opposite one" in said(v * [1, -1])
    assert "of another trial" in said(np.stack([v[:, 0], np.roll(v[:, 1], 80)], axis=1))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda q: -q - 0.25, "scale = -1.0 }"),
        (lambda q: q + 2 * np.pi, "offset = -6.283185307"),
        (lambda q: np.rad2deg(q), 'units = "deg"'),
        (lambda q: np.pi + 0.4 - q, "scale = -1.0, offset = 3.141592654"),
    ],
)
def test_angles_outside_the_joint(arm, swing, change, line):
    position = swing.position.copy()
    position[:, 1] = change(position[:, 1])
    said = contradictions(arm, [replace(swing, position=position)])
    assert len(said) == 1
    assert "'elbow_flex' runs from" in said[0]
    assert "outside the joint's range in the model (0 to 135°)" in said[0]
    assert line in said[0]


@pytest.mark.parametrize("wrong", [False, True])
def test_a_held_limb_is_judged_with_its_weight(arm, wrong):
    """A gentle elbow flexion of a held arm: the device shows it less the weight, and so with the other sign."""
    position = np.tile([0.0, 1.2], (len(TIME), 1))
    drive = 0.75 + 0.25 * np.sin(2.0 * TIME)
    muscles = [m for m in arm.muscles if "BIC" in m or "BRA" in m]
    emg = np.stack([drive if m in muscles else 0 * drive for m in arm.muscles], axis=1)
    made = np.stack([0 * drive, 1.6 * drive], axis=1)  # 0.8 to 1.6 N·m
    weight = weight_moment(arm, position, np.ones(len(TIME), bool))
    shown = made - weight
    assert shown[:, 1].max() < 0
    trial = Trial(
        "held", TIME, arm.coordinates, position, arm.muscles, emg, moment_coordinates=("elbow_flex",),
        moment=(-made - weight if wrong else shown)[:, 1:], metadata={"gravity": "included"},
    )  # fmt: skip
    said = contradictions(arm, [trial])
    assert len(said) == wrong
    assert all("opposite sign of what the EMG makes" in line for line in said)


TRUE = 1.0 + 0.7 * np.sin(3.3 * TIME + 1)  # [rad]


def _told(folder: Path, column: dict, moment: dict, angle: np.ndarray, made: np.ndarray):
    """The arm's trial with these numbers in its file, and what the subject file says of the columns."""
    write_csv(folder / "ik.csv", TIME, {"S": 0.5 + 0.5 * np.sin(2.1 * TIME), "K": angle})
    write_csv(folder / "id.csv", TIME, {"M": made})
    document = {
        "subject": {"name": "s", "mass": 75.0},
        "model": {"source": "arm", "free": ["elbow_flex"], "prescribed": ["shoulder_elev"]},
        "columns": {"shoulder_elev": {"column": "S", "units": "rad"}, "elbow_flex": {"column": "K", **column}},
        "moment_columns": {"elbow_flex": {"column": "M", **moment}},
        "emg": {"muscles": {m: 0.0 for m in MUSCLES}},
        "identify": {"free": ["muscle/*/max_isometric_force"], "residuals": ["moment"], "rate": 100},
        "trials": [{"name": "one", "motion": "ik.csv", "moments": "id.csv"}],
    }
    (folder / "subject.toml").touch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)
        (trial,) = study_of(document, folder / "subject.toml").trials
    return trial


MUSCLES = ("BIClong", "BICshort", "BRA", "TRIlong", "TRIlat", "TRImed")


def _suggested(line: str, section: str) -> dict:
    text = line.split("write ")[1].split(f" in [{section}]")[0]
    return tomllib.loads(text)["elbow_flex"]


@pytest.mark.parametrize("column", [
    {"units": "deg"}, {"units": "rad"}, {"units": "deg", "scale": -1.0}, {"units": "rad", "scale": 0.5, "offset": 0.2},
    {"units": "deg", "scale": -2.0, "offset": 10.0},
])  # fmt: skip
@pytest.mark.parametrize("seen", [-TRUE - 0.25, TRUE - math.tau, math.pi + 0.4 - TRUE])
def test_the_line_that_is_suggested_for_an_angle_ends_it(arm, tmp_path, column, seen):
    """Whatever the column says already, and whatever its unit."""
    unit = math.radians(1.0) if column["units"] == "deg" else 1.0
    raw = (seen / unit - column.get("offset", 0.0)) / column.get("scale", 1.0)
    trial = _told(tmp_path, column, {}, raw, np.zeros(len(TIME)))
    (line,) = out_of_range(arm, trial)
    new = _suggested(line, "columns")
    assert new["units"] == column["units"]
    after = _told(tmp_path, {k: v for k, v in new.items() if k != "column"}, {}, raw, np.zeros(len(TIME)))
    assert not list(out_of_range(arm, after))
    # turned, moved by whole or half a turn: never scaled
    k = after.coordinates.index("elbow_flex")
    assert np.nanstd(after.position[:, k]) == pytest.approx(np.std(TRUE), rel=0.01)


def test_an_angle_that_no_joint_has_and_nothing_mends(arm, swing):
    """2 to 450°, read as the degrees that they are."""
    position = swing.position.copy()
    position[:, 1] = np.deg2rad(2 + 448 * (position[:, 1] - position[:, 1].min()) / np.ptp(position[:, 1]))
    metadata = {"columns": {"elbow_flex": Reading(Column("elbow"), "deg")}}
    (line,) = contradictions(arm, [replace(swing, position=position, metadata=metadata)])
    assert "'elbow_flex' runs from 2 to 450°" in line
    assert line.endswith("check its units, its sign and its zero")


def test_the_line_goes_where_the_column_is_said(arm, swing):
    position = -swing.position - 0.25
    for own, place in ((False, "in [columns]"), (True, "in columns of the trial")):
        read = {c: Reading(Column("K", of_trial=own), "rad") for c in arm.coordinates}
        said = list(out_of_range(arm, replace(swing, position=position, metadata={"columns": read})))
        assert said
        assert all(line.endswith(f'column = "K", scale = -1.0 }} {place}') for line in said)


@pytest.mark.parametrize("column", [{}, {"units": "rad"}, {"scale": -1.0, "offset": 0.1}])
def test_the_line_that_is_suggested_for_degrees_ends_it(arm, tmp_path, column):
    seen = np.linspace(2.8, 6.2, len(TIME))  # degrees, read as radians
    raw = (seen - column.get("offset", 0.0)) / column.get("scale", 1.0)
    (line,) = out_of_range(arm, _told(tmp_path, column, {}, raw, np.zeros(len(TIME))))
    new = _suggested(line, "columns")
    assert new["units"] == "deg"
    after = _told(tmp_path, {k: v for k, v in new.items() if k != "column"}, {}, raw, np.zeros(len(TIME)))
    assert not list(out_of_range(arm, after))
    np.testing.assert_allclose(after.position[:, after.coordinates.index("elbow_flex")], np.deg2rad(seen), atol=1e-3)


@pytest.mark.parametrize(("wrong", "moment"), [
    ("turned", {}), ("turned", {"scale": -1.0, "units": "Nmm"}),
    ("turned", {"lever": 0.3, "units": "kgf", "offset": 2}),
    ("turned", {"lever": {"mean": 0.3, "sd": 0.02}, "units": "N"}),
    ("per kilogram", {"units": "Nm"}), ("per kilogram", {"units": "Nmm", "scale": -1.0}),
    ("per kilogram", {"units": "ftlb", "offset": 1.0}),
])  # fmt: skip
def test_the_line_that_is_suggested_for_a_moment_ends_it(tmp_path, wrong, moment):
    model = load_model("arm", free=("elbow_flex",), prescribed=("shoulder_elev",))
    plain = _told(tmp_path, {"units": "rad"}, {}, TRUE, np.zeros(len(TIME)))
    at = states(model, plain)
    assert at is not None
    needed = np.interp(TIME, at.time, at.needed[:, model.host.free_index[0]])
    unit = unit_of(moment.get("units", "Nm"))
    assert unit is not None
    lever = moment.get("lever", 1.0)
    lever = lever["mean"] if isinstance(lever, dict) else lever
    file = (needed / 75 if wrong == "per kilogram" else -needed) / unit.factor / lever
    raw = (file - moment.get("offset", 0.0)) / moment.get("scale", 1.0)
    (line,) = contradictions(model, [_told(tmp_path, {"units": "rad"}, moment, TRUE, raw)])
    new = _suggested(line, "moment_columns")
    assert new.get("lever") == moment.get("lever")
    after = _told(tmp_path, {"units": "rad"}, {k: v for k, v in new.items() if k != "column"}, TRUE, raw)
    assert contradictions(model, [after]) == ()
    np.testing.assert_allclose(after.moment[:, 0], needed, atol=0.02 * np.abs(needed).max())


def test_a_trial_too_short_or_with_gaps_is_left_alone(arm, swing):
    cut = {f: getattr(swing, f)[:15] for f in ("time", "position", "emg", "moment", "velocity")}
    assert contradictions(arm, [replace(swing, **cut)]) == ()
    gone = swing.position.copy()
    gone[200:] = np.nan
    assert contradictions(arm, [replace(swing, position=gone)]) == ()


def test_a_moment_of_zeros_says_nothing(arm, swing):
    drive = np.tile(1 + np.sin(3 * TIME)[:, None], (1, len(arm.muscles)))
    silent = replace(swing, emg=drive, moment=0 * swing.moment)
    assert channels_and_joints(arm, [silent], {m: {m: 1.0} for m in arm.muscles}) == ()
    assert channels_and_joints(arm, [replace(silent, moment=np.nan * swing.moment)], {"BRA": {"BRA": 1.0}}) == ()


def test_trials_with_columns_of_their_own_say_an_exchange_themselves(arm, swing):
    """What is said for all of them does not reach a trial that overrides it."""
    at = states(arm, swing)
    assert at is not None
    told = {
        "one": {"emg_columns": {"VL": "Ch 1", "BF": "Ch 2"}, "own_channels": ()},
        "two": {"emg_columns": {"VL": "Ch 5", "BF": "Ch 2"}, "own_channels": ("VL",)},
    }
    trials = [Judged(replace(swing, name=n, metadata=m), at, at.needed[:, 1], None, 1) for n, m in told.items()]
    assert exchange_line(trials, Mistake(("VL", "BF"), True, 0.1, 0.5)) == (
        'write VL = "Ch 2", BF = "Ch 1" in [emg.channels], and VL = "Ch 2", BF = "Ch 5" in channels of trial \'two\''
    )


def test_pairs_that_a_mapping_leaves_out_change_nothing(arm, swing):
    at = states(arm, swing)
    assert at is not None
    emg = np.abs(np.sin(TIME[:, None] * (1 + 0.3 * np.arange(len(arm.muscles)))))
    trial = Judged(replace(swing, emg=emg), at, at.needed[:, 1], None, 1)
    own = {"BRA": {"BRA": 1.0}, "TRIlat": {"TRIlat": 0.6, "TRIlong": 0.4}}
    mapped = [(m, c) for m, mix in own.items() for c in mix]
    every = [(m, c) for m in arm.muscles for c in arm.muscles]
    part = Parts([trial], arm.muscles, mapped).explained(own)
    assert part == pytest.approx(Parts([trial], arm.muscles, every).explained(own), abs=1e-9)


def test_the_greatest_of_many_odd_cycles_are_listed():
    """Eight of 24, the later the greater: all are counted, the last six listed, in order; two that touch are one."""
    time = np.arange(0, 24, 0.01)
    angle = np.stack([np.sin(2 * np.pi * time), np.cos(2 * np.pi * time)], axis=1)
    moment = 10 * angle[:, 0]
    for i in range(8):
        moment += (30 + i) * ((time > 3 * i + 0.2) & (time < 3 * i + 0.3))
    moment += 30 * ((time > 21.33) & (time < 21.4))  # 30 ms after the eighth
    nothing = np.zeros((len(time), 2))
    at = States(time, angle, 2 * np.pi * angle[:, ::-1] * [1, -1], slice(None), nothing, np.zeros((len(time), 1, 1)))
    (said,) = unlike_other_cycles("it", at, moment, 1.0)
    assert "motion 8 times, most at 21." in said
    assert "to leave the 6 greatest out" in said
    stretches = tomllib.loads(said.split("write ")[1].split(" in the trial")[0])["mask"]["moments"]
    assert [int(first / 3) for first, _ in stretches] == [2, 3, 4, 5, 6, 7]
    assert stretches[-1] == pytest.approx([21.16, 21.44], abs=0.02)


# Recorded walks ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(data_dir):
    """The trials of the examples, with their model and muscles."""
    out = {}
    for name in ("knee_walk", "treadmill"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InputWarning)
            study = load_subject(EXAMPLES / name / "subject.toml")
        spec = study.model
        model = load_model(spec.source, free=spec.free, prescribed=spec.prescribed, locked=spec.locked)
        out[name] = model, {t.name: t for t in (*study.trials, *study.held_out)}, study.emg_map
    return out


def without_cycles(said: tuple[str, ...]) -> tuple[str, ...]:
    """What is said but for the strides that are unlike others, which are there in the treadmill's recordings."""
    return tuple(line for line in said if "unlike that of other cycles" not in line)


@pytest.mark.parametrize("name", ["knee_walk", "treadmill"])
def test_no_false_alarm_on_recordings(recorded, name):
    model, trials, emg_map = recorded[name]
    assert without_cycles(contradictions(model, trials.values(), emg_map)) == ()
    for trial in trials.values():
        assert without_cycles(contradictions(model, [trial], emg_map)) == ()


def test_recorded_strides_that_are_unlike_all_others(recorded):
    """In a run, -148 N·m in the air: a force plate took another foot's. Left out as the line says, it is silent."""
    model, trials, emg_map = recorded["treadmill"]
    (said,) = contradictions(model, [trials["run81"]], emg_map)
    assert "trial 'run81': the moment of 'knee_angle' is unlike that of other cycles in the same motion 2 times" in said
    stretches = tomllib.loads(said.split("write ")[1].split(" in the trial")[0])["mask"]["moments"]
    assert any(first < 28.52 < last for first, last in stretches)
    moment = trials["run81"].moment.copy()
    for first, last in stretches:
        moment[(trials["run81"].time >= first) & (trials["run81"].time <= last)] = np.nan
    assert contradictions(model, [replace(trials["run81"], moment=moment)], emg_map) == ()
    assert contradictions(model, [trials["walk45"]], emg_map) == ()


@pytest.mark.parametrize("pair", [("vas_lat_r", "bifemlh_r"), ("vas_lat_r", "med_gas_r")])
def test_recorded_channels_that_are_exchanged(recorded, pair):
    """Of what moves the knee most, against what moves it the other way: all three trials together tell it."""
    model, trials, emg_map = recorded["treadmill"]
    other = dict(zip(pair, pair[::-1], strict=True))
    wrong = {m: {other.get(c, c): w for c, w in mix.items()} for m, mix in emg_map.items()}
    (said,) = without_cycles(contradictions(model, trials.values(), wrong))
    assert "exchanged would explain" in said
    columns = tomllib.loads(said.split("write ")[1].split(" in [emg.channels]")[0].replace(", ", "\n"))
    assert columns == other


def test_a_line_a_channel_says_what_it_does(recorded):
    model, trials, emg_map = recorded["treadmill"]
    said = {line.split(" ")[0]: line for line in channels_and_joints(model, trials.values(), emg_map)}
    assert set(said) == {c for m, mix in emg_map.items() if m not in ("soleus", "tibant") for c in mix}
    assert "vaslat) pulls against" in said["vas_lat_r"]
    assert "'knee_angle': r = 0.8" in said["vas_lat_r"]
    assert "pulls along 'knee_angle'" in said["bifemlh_r"]
    # the oracle of what is lost: the lateral vastus carries most, its neighbours what it leaves
    assert int(said["vas_lat_r"].split("without it ")[1].split(" ")[0]) >= 5


@pytest.mark.parametrize(("name", "late"), [("walk36", -0.4), ("walk36", 0.2), ("walk45", -0.2), ("walk45", 0.4)])
def test_a_clock_is_suggested_by_the_motion_alone(recorded, name, late):
    model, trials, emg_map = recorded["treadmill"]
    bare = replace(trials[name], moment=None, moment_coordinates=())
    assert contradictions(model, [bare], emg_map) == ()
    moved = np.roll(bare.emg, round(late / bare.timestep), axis=0)
    (said,) = contradictions(model, [replace(bare, emg=moved)], emg_map)
    assert "as far as nothing but gravity acts" in said
    assert "what inertia and gravity take in the model" in said
    moved_by = float(said.split(", EMG ")[1].split(" s ")[0])
    assert moved_by == pytest.approx(abs(late), abs=0.07)
    assert ("s later" in said) is (late < 0)
    # a third of a stride may be a phase: that is asked, and no line given to copy
    assert (f"emg = {'-' * (late > 0)}{moved_by}" in said) is (abs(late) < 0.3)


@pytest.mark.parametrize(("period", "low", "ahead"), [(2.0, 0.1, 0.0), (1.0, 0.6, 0.6)])
def test_who_stands_or_pedals_is_not_told_another_clock(period, low, ahead):
    """A squat, and pedalling: quadriceps against the ground or pedal, when the motion by itself asks for none."""
    model = load_model("knee", free=("knee_angle",), prescribed=("hip_flexion", "ankle_angle"))
    turn = 2 * np.pi * TIME / period
    bent, hip = ((1 - np.cos(turn + x)) / 2 for x in (0.0, ahead))
    angles = {"knee_angle": low + (1.8 - low) * bent, "hip_flexion": 0.4 + 0.8 * hip, "ankle_angle": 0.2 * hip}
    quadriceps = ("recfem", "vasmed", "vasint", "vaslat")
    position = np.stack([angles[c] for c in model.coordinates], axis=1)
    for phase in (2.5, 2.8, 3.7):  # most of it about the deepest point
        push, pull = (0.03 + ((1 + np.cos(turn - p)) / 2) ** 2 for p in (phase, phase + 2.2))
        emg = np.stack([push if m in quadriceps else 0.4 * pull for m in model.muscles], axis=1)
        assert contradictions(model, [Trial("squat", TIME, model.coordinates, position, model.muscles, emg)]) == ()


def test_recorded_moments_of_the_other_sign(recorded):
    for name, one in (("knee_walk", ["walk"]), ("treadmill", ["walk36", "walk45", "run81"])):
        model, trials, emg_map = recorded[name]
        said = contradictions(model, [replace(trials[t], moment=-trials[t].moment) for t in one], emg_map)
        said = without_cycles(said)
        assert len(said) == 1, said
        assert "opposite sign of what the EMG makes" in said[0]
        keys = "" if name == "treadmill" else ", scale = -1.0"  # its subject file turns them already
        assert f'knee_angle = {{ column = "knee_angle_r_moment"{keys} }} in [moment_columns]' in said[0]


def test_recorded_knee_flexion_counted_negative(recorded):
    model, trials, emg_map = recorded["treadmill"]
    for trial in trials.values():
        turned = trial.position * np.where(np.array(trial.coordinates) == "knee_angle", -1, 1)
        (said,) = contradictions(model, [replace(trial, position=turned)], emg_map)
        assert 'knee_angle = { column = "knee_angle_r" } in [columns]' in said  # its scale was -1


def test_moments_of_another_recorded_trial(recorded):
    model, trials, emg_map = recorded["treadmill"]
    for name, trial in trials.items():
        for other, source in trials.items():
            if other != name:
                (said,) = contradictions(model, [_with_moments_of(trial, source)], emg_map)
                assert "not with the motion" in said, (name, other)


def _with_moments_of(trial: Trial, other: Trial) -> Trial:
    count = min(len(trial.time), len(other.time))
    cut = {f: getattr(trial, f)[:count] for f in ("time", "position", "emg")}
    return replace(trial, **cut, moment=other.moment[:count])


@pytest.mark.parametrize("late", [-0.2, 0.2])
def test_another_clock_of_the_emg_is_suggested(recorded, late):
    for name, trial_name in (("knee_walk", "walk"), ("treadmill", "walk36"), ("treadmill", "run81")):
        model, trials, emg_map = recorded[name]
        trial = trials[trial_name]
        moved = np.roll(trial.emg, round(late / trial.timestep), axis=0)
        (said,) = without_cycles(contradictions(model, [replace(trial, emg=moved)], emg_map))
        shift = float(said.split("emg = ")[1].split(" ")[0])
        assert shift == pytest.approx(-late, abs=0.07), said
