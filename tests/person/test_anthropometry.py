"""Segment priors: the published table, runs of segments, their place on a model, and their way into an estimate."""

from pathlib import Path

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mjx_msm.common.errors import InputError
from mjx_msm.person.anthropometry import BUNDLED, COM_SD, INERTIA_SD, MASS_SD, SEGMENTS, STATURE, limb, segment_priors
from mjx_msm.person.inertia import inertia_matrix
from mjx_msm.person.model import load_model
from mjx_msm.person.scaling import scale
from mjx_msm.person.space import parameter_space
from mjx_msm.recordings.readers.delimited import write_csv
from mjx_msm.recordings.subject_file.loading import load_subject, write_subject
from mjx_msm.study.settings import settings, study_model

pytestmark = pytest.mark.usefixtures("x64")

WOMAN = {"mass": 58.0, "height": 1.66, "sex": "female"}
MAN = {"mass": 81.0, "height": 1.80, "sex": "male"}
COMPONENTS = ("xx", "yy", "zz", "xy", "xz", "yz")

# The table ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sex", "head", "trunk"), [("female", 6.68, 42.57), ("male", 6.94, 43.46)])
def test_the_parts_of_a_body_weigh_what_it_weighs(sex, head, trunk):
    limbs = 2 * sum(100 * s.mass for s in SEGMENTS[sex].values())
    assert limbs + head + trunk == pytest.approx(100, abs=0.03)  # printed to 0.01 each


# De Leva's table 4, lower half: the same segments to other distal ends, which have to give the same distances.
# Length [mm], then in percent: centre of mass, radii of gyration (sagittal, transverse, longitudinal).
ALTERNATIVES = [
    ("female", "forearm", 262.4, 45.92, (26.3, 25.9, 9.5)),  # to the stylion
    ("female", "hand", 170.1, 34.27, (24.4, 20.8, 15.4)),  # to the third dactylion
    ("female", "shank", 432.3, 44.16, (27.1, 26.7, 9.3)),  # to the lateral malleolus
    ("female", "shank", 426.0, 44.81, (27.5, 27.1, 9.4)),  # to the sphyrion
    ("male", "forearm", 266.9, 46.08, (27.8, 26.7, 12.2)),
    ("male", "hand", 187.9, 36.24, (28.8, 23.5, 18.4)),
    ("male", "shank", 434.0, 44.59, (25.5, 24.9, 10.3)),
    ("male", "shank", 427.7, 45.24, (25.8, 25.3, 10.5)),
]


@pytest.mark.parametrize(("sex", "name", "length", "com", "gyration"), ALTERNATIVES)
def test_distances_do_not_depend_on_the_choice_of_endpoints(sex, name, length, com, gyration):
    segment = SEGMENTS[sex][name]
    own = 1000 * segment.length * STATURE[sex]
    assert segment.com * own == pytest.approx(com / 100 * length, abs=0.1)
    for ours, other in zip(segment.gyration, gyration, strict=True):
        assert ours * own == pytest.approx(other / 100 * length, abs=0.0005 * (own + length) + 0.05)


@pytest.mark.parametrize("sex", ["female", "male"])
def test_every_segment_is_a_possible_body(sex):
    for name, s in SEGMENTS[sex].items():
        squares = np.square(s.gyration)
        assert squares.max() < squares.sum() - squares.max(), name
        assert s.gyration[2] == min(s.gyration), name  # least about the long axis
        assert 0 < s.com < 1, name


# Runs of segments ----------------------------------------------------------------------------------------------


def eight_points(moments, mass) -> np.ndarray:
    """Corners of a box; a body of an eighth of `mass` in each has these principal moments of inertia."""
    second = (sum(moments) / 2 - np.array(moments)) / mass
    signs = np.array([(a, b, c) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)])
    return signs * np.sqrt(second)


def printed_arm(mass: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """A man's forearm and hand as sixteen points [kg, m]: axes sagittal, transverse, distal; the elbow at 0."""
    weights, points = [], []
    start = 0.0
    for length, share, com, gyration in (
        (268.9 / 1741, 0.0162, 0.4574, (0.276, 0.265, 0.121)),
        (86.2 / 1741, 0.0061, 0.79, (0.628, 0.513, 0.401)),
    ):
        m, long = share * mass, length * height
        cloud = eight_points([m * (r * long) ** 2 for r in gyration], m)
        points.append(cloud + np.array([0, 0, start + com * long]))
        weights.append(np.full(8, m / 8))
        start += long
    return np.concatenate(weights), np.concatenate(points)


def of_points(weights: np.ndarray, points: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Mass, centre of mass, and inertia about it, summed over the points."""
    com = weights @ points / weights.sum()
    inertia = np.zeros((3, 3))
    for w, p in zip(weights, points - com, strict=True):
        inertia += w * (p @ p * np.eye(3) - np.outer(p, p))
    return weights.sum(), com, inertia


def test_a_run_of_segments_is_the_sum_of_its_points():
    mass, com, inertia = of_points(*printed_arm(MAN["mass"], MAN["height"]))
    both = limb(("forearm", "hand"), **MAN)
    assert both.mass == pytest.approx(mass, rel=1e-12)
    assert both.com == pytest.approx(com[2], rel=1e-12)
    assert both.length == pytest.approx((268.9 + 86.2) / 1741 * MAN["height"], rel=1e-12)
    np.testing.assert_allclose(np.diag(both.moments), inertia, rtol=1e-12, atol=1e-15)


def test_a_given_length_stretches_a_run_evenly():
    usual = limb(("thigh", "shank"), **WOMAN)
    longer = limb(("thigh", "shank"), **WOMAN, length=1.1 * usual.length)
    assert longer.mass == usual.mass
    np.testing.assert_allclose([longer.com, longer.length], [1.1 * usual.com, 1.1 * usual.length])
    np.testing.assert_allclose(longer.moments, 1.21 * np.array(usual.moments))


# On the bundled models -----------------------------------------------------------------------------------------


def joints_of(model) -> tuple[mujoco.MjData, mujoco.MjModel]:
    m = model.host.mj_model
    d = mujoco.MjData(m)
    mujoco.mj_forward(m, d)
    return d, m


@pytest.mark.parametrize(
    ("source", "body", "proximal", "distal", "share"),
    [
        ("arm", "humerus", "shoulder_elev", "elbow_flex", {"female": 0.5754, "male": 0.5772}),
        ("knee", "femur", "hip_flexion", "knee_angle", {"female": 0.3612, "male": 0.4095}),
        ("knee", "tibia", "knee_angle", "ankle_angle", {"female": 0.4352, "male": 0.4395}),
    ],
)
@pytest.mark.parametrize("person", [WOMAN, MAN], ids=["woman", "man"])
def test_the_centre_of_mass_divides_the_models_own_segment(request, source, body, proximal, distal, share, person):
    model = request.getfixturevalue(source)
    d, m = joints_of(model)
    ends = d.xanchor[m.joint(distal).id] - d.xanchor[m.joint(proximal).id]
    length = np.linalg.norm(ends)
    axis = d.body(body).xmat.reshape(3, 3).T @ ends / length
    priors = segment_priors(model, **person)
    place = np.array([priors[f"body/{body}/com/{c}"]["mean"] for c in "xyz"])
    own = np.array([model.nominal.to_dict()[f"body/{body}/com/{c}"] for c in "xyz"])
    assert place @ axis == pytest.approx(share[person["sex"]] * length, rel=1e-9)
    np.testing.assert_allclose(place - place @ axis * axis, own - own @ axis * axis, atol=1e-12)  # across: as it was
    spread = np.array([priors[f"body/{body}/com/{c}"]["sd"] for c in "xyz"])
    assert spread[2] == pytest.approx(COM_SD * length, rel=0.01)  # the limbs hang along z
    assert spread[0] == pytest.approx(0.02, rel=0.01)
    grown = segment_priors(model, **{**person, "height": 1.1 * person["height"]})
    assert grown[f"body/{body}/com/z"] == priors[f"body/{body}/com/z"]


def test_forearm_and_hand_in_the_arms_own_axes(arm):
    """Without a wrist the length is the person's; the elbow's hinge is the transverse axis."""
    weights, points = printed_arm(MAN["mass"], MAN["height"])
    distal = np.array([0, 0, -1.0])  # the arm's forearm hangs straight down
    hinge = arm.host.mj_model.joint("elbow_flex").axis
    hinge = hinge - hinge @ distal * distal
    hinge /= np.linalg.norm(hinge)
    axes = np.array([np.cross(hinge, distal), hinge, distal])
    mass, com, inertia = of_points(weights, points @ axes)
    priors = segment_priors(arm, **MAN)
    assert priors["body/forearm/mass"] == {"mean": pytest.approx(mass, rel=1e-12), "relative_sd": MASS_SD}
    found = [priors[f"body/forearm/com/{c}"]["mean"] for c in "xyz"]
    np.testing.assert_allclose(found, com, atol=1e-9)
    ours = np.asarray(inertia_matrix(np.array(priors["body/forearm/inertia"]["mean"])))
    np.testing.assert_allclose(ours, inertia, atol=1e-9)


def test_a_foot_is_long_forwards_and_keeps_its_centre_of_mass(knee):
    priors = segment_priors(knee, **WOMAN)
    assert not [p for p in priors if p.startswith("body/foot/com")]  # counted from the heel, which is no joint
    mass, length = 0.0129 * 58, 228.3 / 1735 * 1.66
    full = np.asarray(inertia_matrix(np.array(priors["body/foot/inertia"]["mean"])))
    expected = mass * (length * np.array([0.139, 0.279, 0.299])) ** 2  # long axis, mediolateral, vertical
    values, vectors = np.linalg.eigh(full)
    np.testing.assert_allclose(values, expected, rtol=1e-9)
    assert np.abs(np.diag(vectors)).min() > np.cos(np.radians(10))  # x forward, y left, z up: within 10 degrees


# Into an estimate ------------------------------------------------------------------------------------------------

PEOPLE = [
    {"mass": mass, "height": height, "sex": sex}
    for mass, height in ((38, 1.45), (58, 1.66), (85, 1.8), (190, 1.95))
    for sex in ("female", "male")
]


@pytest.mark.parametrize("source", ["arm", "knee"])
@pytest.mark.parametrize("person", PEOPLE, ids=lambda p: f"{p['sex']}-{p['mass']}")
def test_the_estimator_starts_from_a_possible_person(request, source, person):
    model = request.getfixturevalue(source)
    priors = segment_priors(model, **person)
    space = parameter_space(model.nominal, ["body/*"], priors=priors)
    assert ((space.lower < space.prior_mean) & (space.prior_mean < space.upper)).all()
    start = space.unpack(jnp.asarray(space.clip(space.prior_mean))).to_dict()
    for body in BUNDLED[source]:
        assert start[f"body/{body}/mass"] == pytest.approx(priors[f"body/{body}/mass"]["mean"], rel=1e-6)
        inertia = [start[f"body/{body}/inertia/{c}"] for c in COMPONENTS]
        np.testing.assert_allclose(inertia, priors[f"body/{body}/inertia"]["mean"], rtol=1e-6, atol=1e-9)
        moments = np.linalg.eigvalsh(np.asarray(inertia_matrix(np.array(inertia))))
        assert moments[0] > 0
        assert moments[2] < moments[0] + moments[1]
        k = space.paths.index(f"body/{body}/mass")
        assert space.prior_scale[k] == MASS_SD
        width = space.physical(space.upper)[k] / start[f"body/{body}/mass"]
        assert width == pytest.approx(2, rel=1e-6)
        assert space.prior_scale[space.paths.index(f"body/{body}/inertia/l11")] == INERTIA_SD
    for path, k in zip(space.paths, range(space.size), strict=True):
        if "/com/" in path and path in priors:
            assert start[path] == pytest.approx(priors[path]["mean"], abs=1e-9)
            assert space.prior_scale[k] == priors[path]["sd"]


@pytest.mark.slow
def test_a_prior_spread_of_an_inertia_is_twice_that_of_its_moments(knee):
    """Draws of the factor's coordinates: the transverse moment of a shank spreads by 20 %, as published."""
    priors = segment_priors(knee, **MAN)
    space = parameter_space(knee.nominal, ["body/tibia/inertia"], priors=priors_of(priors, "body/tibia/inertia"))
    draws = space.prior_mean + INERTIA_SD * np.random.default_rng(0).normal(size=(400, 6))
    moments = [np.log(space.unpack(jnp.asarray(z)).to_dict()["body/tibia/inertia/yy"]) for z in draws]
    assert np.std(moments) == pytest.approx(0.2, rel=0.15)


def priors_of(priors: dict, path: str) -> dict:
    return {path: priors[path]}


def test_only_what_is_freed(knee):
    everything = segment_priors(knee, **MAN)
    assert len(everything) == 3 + 2 * 3 + 3

    def of(*free: str) -> set[str]:
        some = segment_priors(knee, **MAN, free=free)
        assert some == {p: everything[p] for p in some}
        return set(some)

    assert of("muscle/*/max_isometric_force", "emg/*/gain") == set()
    assert of("body/*/mass") == {f"body/{b}/mass" for b in ("femur", "tibia", "foot")}
    assert of("body/tibia/com", "body/femur/com/z") == {f"body/tibia/com/{c}" for c in "xyz"} | {"body/femur/com/z"}
    assert of("body/tibia/inertia") == of("body/tibia/inertia/xy") == {"body/tibia/inertia"}  # freed whole
    assert of("body/*") == of("*") == set(everything)
    for free in (["body/*/mass", "body/t*/inertia"], ["body/*/com/z"]):
        space = parameter_space(knee.nominal, free, priors=segment_priors(knee, **MAN, free=free))
        assert np.isfinite(space.prior_scale).all()
    with pytest.raises(InputError, match="matches nothing"):
        parameter_space(knee.nominal, ["body/*/mass"], priors=everything)


# A model of one's own --------------------------------------------------------------------------------------------

LEG = """
<mujoco>
  <compiler angle="radian"/>
  <worldbody>
    <body name="pelvis">
      <body name="thigh_r" pos="0 0.1 1">
        <joint name="flexion" pos="0 0.02 0" axis="0 0 1"/><joint name="adduction" pos="0 0.02 0" axis="1 0 0"/>
        <inertial mass="8" pos="0.01 -0.2 0" diaginertia="0.13 0.03 0.12"/>
        <body name="cap" pos="0 -0.3 0.05"><joint name="glide" type="slide" axis="0 1 0"/>
          <inertial mass="0.1" pos="0 0 0" diaginertia="1e-4 1e-4 1e-4"/></body>
        <body name="frame" pos="0.06 -0.36 0" euler="0 0 1.5707963267948966">
          <body name="shin[1]"><joint name="knee" pos="-0.02 0 0" axis="0 0 1"/>
            <inertial mass="3" pos="-0.2 0 0" diaginertia="0.005 0.05 0.05"/></body>
        </body>
        <site name="origin"/>
      </body>
      <body name="ball" pos="0 1 0"><joint name="roll" axis="1 0 0"/>
        <inertial mass="1" pos="0 0 0.1" diaginertia="0.01 0.01 0.01"/>
        <body name="toes" pos="0 0 0.2"><joint name="bend" axis="1 0 0"/>
          <inertial mass="0.1" pos="0 0 0" diaginertia="1e-4 1e-4 1e-4"/></body>
      </body>
    </body>
  </worldbody>
  <tendon><spatial name="t"><site site="origin"/><site site="end"/></spatial></tendon>
  <actuator><muscle name="m" tendon="t" lengthrange="0.3 0.6" force="100"/></actuator>
</mujoco>
""".replace('diaginertia="0.005 0.05 0.05"/>', 'diaginertia="0.005 0.05 0.05"/><site name="end" pos="-0.1 0 0"/>')
NAMED = {"thigh_r": "thigh", "shin[1]": ("shank",)}


@pytest.fixture(scope="module")
def leg(tmp_path_factory):
    path = tmp_path_factory.mktemp("leg") / "leg.xml"
    path.write_text(LEG)
    return load_model(path)


def test_bodies_of_an_own_file_are_named(leg):
    assert segment_priors(leg, **MAN) == {}
    priors = segment_priors(leg, **MAN, segments=NAMED)
    assert {p.split("/")[1] for p in priors} == {"thigh_r", "shin[1]"}
    # hip at (0, 0.02, 0); the knee lies where the welded frame, turned by 90 degrees, puts it: (0.06, -0.38, 0)
    hip, knee = np.array([0, 0.02, 0]), np.array([0.06, -0.38, 0])
    axis = (knee - hip) / np.linalg.norm(knee - hip)
    place = np.array([priors[f"body/thigh_r/com/{c}"]["mean"] for c in "xyz"])
    assert (place - hip) @ axis == pytest.approx(0.4095 * np.linalg.norm(knee - hip), rel=1e-9)
    spread = np.array([priors[f"body/thigh_r/com/{c}"]["sd"] for c in "xyz"])
    covariance = 0.02**2 * np.eye(3) + ((COM_SD * np.linalg.norm(knee - hip)) ** 2 - 0.02**2) * np.outer(axis, axis)
    np.testing.assert_allclose(spread, np.sqrt(np.diag(covariance)), rtol=1e-9)
    # two hinges at the hip: nothing says which way is sideways, the limb is round (a man's is anyway)
    of_woman = segment_priors(leg, **WOMAN, segments=NAMED)["body/thigh_r/inertia"]["mean"]
    full = np.asarray(inertia_matrix(np.array(of_woman)))
    about = limb("thigh", **WOMAN, length=float(np.linalg.norm(knee - hip))).moments
    np.testing.assert_allclose(np.linalg.eigvalsh(full), [about[2], *[(about[0] + about[1]) / 2] * 2], rtol=1e-9)
    np.testing.assert_allclose(full @ axis, about[2] * axis, rtol=1e-9, atol=1e-12)
    # no joint after the knee: the person's length, along the body's axis of least inertia; one hinge, across it
    shank = limb("shank", **MAN)
    assert shank.length == pytest.approx(440.3 / 1741 * 1.8)
    assert priors["body/shin[1]/com/x"]["mean"] == pytest.approx(-0.02 - shank.com, rel=1e-9)
    sagittal, transverse, longitudinal = shank.moments
    expected = [longitudinal, sagittal, transverse, 0, 0, 0]
    np.testing.assert_allclose(priors["body/shin[1]/inertia"]["mean"], expected, atol=1e-12)
    space = parameter_space(leg.nominal, ["body/*"], priors=priors)
    start = space.unpack(space.prior_mean).to_dict()
    assert start["body/shin[1]/inertia/xx"] == pytest.approx(longitudinal, rel=1e-9)
    assert start["body/shin[1]/mass"] == pytest.approx(shank.mass, rel=1e-9)


def test_a_round_body_without_a_next_joint_has_a_mass_only(leg):
    """The joint of the toes is not the end of a foot."""
    priors = segment_priors(leg, **MAN, segments={"ball": "foot"})
    assert priors == {"body/ball/mass": {"mean": pytest.approx(0.0137 * 81), "relative_sd": MASS_SD}}


def test_what_a_bundled_body_stands_for_can_be_changed(knee):
    usual = segment_priors(knee, **MAN)
    some = segment_priors(knee, **MAN, segments={"foot": (), "femur": "thigh"})
    assert some == {p: prior for p, prior in usual.items() if "/foot/" not in p}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sex": "f"}, "sex 'f' is unknown; give 'female' or 'male'"),
        ({"height": 180}, "height 180 m is implausible, expected 0.4 to 2.6 m; give metres, 1.8"),
        ({"height": np.nan}, "height must be a number, got NaN"),
        ({"mass": 80000}, "body mass 80000 kg is implausible"),
        ({"segments": {"tibya": "shank"}}, "no moving body 'tibya' with mass; did you mean 'tibia'"),
        ({"segments": {"pelvis": "thigh"}}, "no moving body 'pelvis' with mass; it has femur, tibia, foot"),
        ({"segments": {"tibia": "wing"}}, "body 'tibia': segment 'wing' is unknown; choose from upper_arm, forearm"),
        ({"segments": {"tibia": "shanks"}}, "body 'tibia': segment 'shanks' is unknown; did you mean 'shank'"),
        ({"segments": {"tibia": ("shank", "foot")}}, "body 'tibia': segments shank, foot are no straight limb"),
        ({"segments": {"tibia": ("hand", "forearm")}}, "segments hand, forearm are no straight limb"),
        ({"segments": {"tibia": ("upper_arm", "hand")}}, "segments upper_arm, hand are no straight limb"),
        ({"segments": {"femur": ()}, "height": 0.5}, "body 'tibia' is 0.457 m long to its next joint, shank of this"),
    ],
)
def test_what_cannot_be_is_named(knee, change, message):
    with pytest.raises(InputError, match=message):
        segment_priors(knee, **{**MAN, **change})


# From a subject file ---------------------------------------------------------------------------------------------


def written(folder: Path, source: str, segments: dict | None = None, **identify) -> Path:
    """A study of a model whose muscles are silent: its recordings do not matter here."""
    model = load_model(source)
    time = np.arange(101) / 100
    write_csv(folder / "motion.csv", time, {c: 0.1 * np.sin(time + i) for i, c in enumerate(model.coordinates)})
    document = {
        "subject": {"name": "s", **WOMAN},
        "model": {"source": source, "free": list(model.coordinates), "segments": segments},
        "emg": {"muscles": {m: 0.0 for m in model.muscles}},
        "trials": [{"name": "t", "motion": "motion.csv"}],
        "identify": {"free": ["body/*/mass"], "residuals": ["acceleration"], "rate": 100, **identify},
    }
    write_subject(folder / "subject.toml", document)
    return folder / "subject.toml"


def test_a_file_with_height_and_sex_gets_segment_priors(tmp_path, knee):
    study = load_subject(written(tmp_path, "knee", free=["body/*/mass", "body/tibia/com/z"]))
    found = settings(study).priors
    at_her_size = scale(knee, **WOMAN)  # a bundled model is scaled where the file says whose it is
    expected = segment_priors(at_her_size, **WOMAN, free=study.identify.free)
    assert found.keys() == expected.keys()
    for path, prior in expected.items():
        assert found[path] == pytest.approx(prior), path
    assert set(found) == {"body/femur/mass", "body/tibia/mass", "body/foot/mass", "body/tibia/com/z"}
    assert settings(study, study_model(study)).priors == found


def test_a_file_without_free_bodies_gets_none(tmp_path):
    study = load_subject(written(tmp_path, "knee", free=["muscle/*/max_isometric_force"], priors={"muscle/*": "none"}))
    assert settings(study).priors == {"muscle/*": "none"}


def test_segment_priors_can_be_switched_off(tmp_path):
    study = load_subject(written(tmp_path, "knee", segment_priors=False))
    assert settings(study).priors == {}


def test_priors_of_the_file_come_last_and_in_their_order(tmp_path, knee):
    explicit = {
        "body/*/mass": {"relative_sd": 0.01},
        "body/tibia/mass": {"mean": 3.0, "sd": 0.6},  # a key of both, after the pattern that matches it
        "body/foot/mass": "none",
    }
    study = load_subject(written(tmp_path, "knee", priors=explicit))
    space = parameter_space(knee.nominal, study.identify.free, priors=settings(study).priors)
    femur, tibia, foot = (space.paths.index(f"body/{b}/mass") for b in ("femur", "tibia", "foot"))
    mean = space.physical(space.prior_mean)
    assert mean[femur] == pytest.approx(0.1478 * 58)  # a spread alone leaves the person's mean
    assert space.prior_scale[femur] == 0.01
    assert mean[tibia] == pytest.approx(3.0)
    assert space.prior_scale[tibia] == pytest.approx(0.2)
    assert np.isinf(space.prior_scale[foot])


def test_a_file_names_the_bodies_of_its_own_model(tmp_path, leg):
    (tmp_path / "leg.xml").write_text(LEG)
    study = load_subject(written(tmp_path, str(tmp_path / "leg.xml"), segments={"shin[1]": "shank"}))
    assert settings(study).priors == segment_priors(leg, **WOMAN, segments={"shin[1]": "shank"}, free=["body/*/mass"])
    study = load_subject(written(tmp_path, str(tmp_path / "leg.xml"), segments={"thigh_r": ["hand", "forearm"]}))
    with pytest.raises(
        InputError, match=r"subject.toml \[model.segments\]: body 'thigh_r': segments hand, forearm are"
    ):
        settings(study)
