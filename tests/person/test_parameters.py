"""The parameter tree and the space the solver works in: inverses, physical inertias, bounds, priors, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mjx_msm.common.errors import InputError
from mjx_msm.person.inertia import inertia_matrix, inertia_to_log_cholesky, inertia_vector, log_cholesky_to_inertia
from mjx_msm.person.kinds import KINDS
from mjx_msm.person.muscle import MuscleParameters
from mjx_msm.person.parameters import BodyParameters, EmgParameters, JointParameters, Names, Parameters
from mjx_msm.person.passive_curves import SIDES
from mjx_msm.person.space import parameter_space

pytestmark = pytest.mark.usefixtures("x64")


def random_inertias(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inertias about the centre of mass of random clouds of points, thin ones included; and their second moments."""
    rng = np.random.default_rng(seed)
    inertias, moments = [], []
    for _ in range(count):
        points = rng.normal(size=(8, 3)) * 10.0 ** rng.uniform(-3, 0, 3)
        points = Rotation.random(rng=rng).apply(points)
        mass = rng.uniform(0.01, 1, 8)
        points -= np.average(points, axis=0, weights=mass)
        moment = np.einsum("i,ij,ik->jk", mass, points, points)
        full = np.trace(moment) * np.eye(3) - moment
        inertias.append(full[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]])
        moments.append(moment)
    return np.array(inertias), np.array(moments)


def subject(seed: int = 0) -> Parameters:
    rng = np.random.default_rng(seed)
    muscles, bodies, joints = ("BRA", "BIC", "TRI"), ("humerus", "forearm"), ("shoulder", "elbow")
    return Parameters(
        MuscleParameters(*(rng.uniform(0.1, 1, 3) for _ in range(10))),
        BodyParameters(rng.uniform(1, 2, 2), rng.normal(size=(2, 3)) * 0.05, random_inertias(2, seed)[0]),
        JointParameters(*(rng.uniform(0, 1, 2) for _ in range(8))),
        EmgParameters(np.zeros(0), np.zeros(0), np.zeros(0)),
        Names(muscles, bodies, joints, passive=tuple(f"{j}/{s}" for j in joints for s in SIDES)),
    ).with_channels(("biceps", "triceps"))


# Inertia ---------------------------------------------------------------------------------------------------


def test_vector_and_matrix_of_an_inertia():
    i = np.arange(1.0, 7)
    m = np.asarray(inertia_matrix(jnp.asarray(i)))
    np.testing.assert_array_equal(m, [[1, 4, 5], [4, 2, 6], [5, 6, 3]])
    np.testing.assert_array_equal(inertia_vector(jnp.asarray(m)), i)


def test_log_cholesky_round_trip_and_definition():
    inertias, moments = random_inertias(200)
    z = np.asarray(inertia_to_log_cholesky(jnp.asarray(inertias)))
    back = np.asarray(log_cholesky_to_inertia(jnp.asarray(z)))
    scale = np.abs(inertias).max(axis=1, keepdims=True)
    np.testing.assert_allclose(back / scale, inertias / scale, rtol=0, atol=1e-12)
    for row, moment in zip(z, moments, strict=True):
        d = np.exp(row[:3])
        lower = np.diag(d)
        lower[1, 0], lower[2, 0], lower[2, 1] = row[3:] * d[[1, 2, 2]]
        np.testing.assert_allclose(lower @ lower.T, moment, rtol=0, atol=1e-12 * np.trace(moment))


def test_any_coordinates_are_a_possible_body():
    """Positive moments, triangle inequality, and Rucker & Wensing's criterion: a positive definite pseudo-inertia."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=(500, 6)) * [2, 2, 2, 1, 1, 1]
    for inertia in np.asarray(log_cholesky_to_inertia(jnp.asarray(z))):
        full = np.asarray(inertia_matrix(inertia))
        moments = np.linalg.eigvalsh(full)
        assert moments[0] > 0
        assert moments[2] <= moments[0] + moments[1] + 1e-12 * moments[2]
        mass, com = rng.uniform(0.1, 10), rng.normal(size=3)
        second = 0.5 * np.trace(full) * np.eye(3) - full + mass * np.outer(com, com)  # about the body's origin
        pseudo = np.block([[second, mass * com[:, None]], [mass * com[None], np.array([[mass]])]])
        scale = np.sqrt(np.diag(pseudo))
        assert np.linalg.eigvalsh(pseudo / np.outer(scale, scale))[0] > -1e-12
        sign, logdet = np.linalg.slogdet(pseudo)
        if np.linalg.cond(pseudo) < 1e12:
            assert sign == 1
            assert np.isfinite(logdet)


def test_impossible_inertia_is_named():
    broken = subject().updated({"body/forearm/inertia/zz": 1e6})
    with pytest.raises(InputError, match=r"body/forearm/inertia/l\d\d is not physically possible"):
        parameter_space(broken, ["body/*/inertia"])


def test_scale_of_an_inertia_is_a_shift_of_three_coordinates():
    inertias, _ = random_inertias(5)
    difference = inertia_to_log_cholesky(4 * inertias) - inertia_to_log_cholesky(inertias)
    np.testing.assert_allclose(difference, np.tile([np.log(2)] * 3 + [0] * 3, (5, 1)), atol=1e-9)


# The space -------------------------------------------------------------------------------------------------


def test_pack_and_unpack_are_inverse_over_everything():
    nominal, other = (subject(seed).with_levers({"elbow": 0.2 + 0.1 * seed}) for seed in (0, 1))
    space = parameter_space(nominal, ["*"])
    assert space.size == len(nominal.to_dict()) == len(set(space.paths))
    assert set(space.kinds) == set(KINDS.values())
    back = space.unpack(space.pack(other)).to_dict()
    for path, value in other.to_dict().items():
        np.testing.assert_allclose(back[path], value, rtol=1e-10, atol=1e-13, err_msg=path)
    z = jnp.asarray(np.random.default_rng(0).normal(size=space.size) * 0.3)
    np.testing.assert_allclose(space.pack(space.unpack(z)), z, rtol=0, atol=1e-10)


def test_what_is_not_free_stays():
    nominal = subject()
    space = parameter_space(nominal, ["muscle/B*/max_isometric_force", "body/forearm/mass"])
    assert space.paths == (
        "muscle/BRA/max_isometric_force",
        "muscle/BIC/max_isometric_force",
        "body/forearm/mass",
    )
    changed = space.unpack(space.pack(nominal) + np.log(2.0)).to_dict()
    for path, value in nominal.to_dict().items():
        np.testing.assert_allclose(changed[path], 2 * value if path in space.paths else value, rtol=1e-12, err_msg=path)
    np.testing.assert_allclose(
        space.physical(space.pack(nominal)), [nominal.to_dict()[p] for p in space.paths], rtol=1e-12
    )


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("muscle/*", 30),
        ("muscle/*/*_time_constant", 6),
        ("body/forearm/com", 3),
        ("body/forearm/com/y", 1),
        ("body/*/inertia", 12),
        ("body/forearm/inertia/xy", 6),  # a factor is freed whole
        ("joint/elbow/*", 8),
        ("emg/*/delay", 2),
        ("muscle/[BT]R[AI]/pennation_angle", 2),
    ],
)
def test_wildcards(pattern, count):
    assert parameter_space(subject(), [pattern]).size == count
    assert parameter_space(subject(), [pattern, pattern]).size == count


@pytest.mark.slow
def test_population_is_a_batch_axis():
    """vmap over z gives the stacked subjects, and the stacked subjects pack back."""
    space = parameter_space(subject(), ["muscle/*/optimal_fiber_length", "body/*/inertia", "body/*/com", "emg/*/delay"])
    z = jnp.asarray(np.random.default_rng(0).normal(size=(4, space.size)) * 0.1)
    fixed = jax.vmap(space.unpack)(z)
    assert fixed.body.inertia.shape == (4, 2, 6)
    np.testing.assert_allclose(fixed.body.inertia[2], space.unpack(z[2]).body.inertia, rtol=1e-12)
    np.testing.assert_allclose(jax.vmap(space.pack)(fixed), z, atol=1e-9)


def test_default_bounds_and_priors():
    nominal = subject()
    space = parameter_space(nominal, ["*"])
    z = np.asarray(space.pack(nominal))
    assert (space.lower < space.upper).all()
    assert ((space.lower <= z) & (z <= space.upper)).all()
    np.testing.assert_array_equal(space.prior_mean, z)
    values = nominal.to_dict()
    for k, (path, kind) in enumerate(zip(space.paths, space.kinds, strict=True)):
        low, high = space.physical(space.lower)[k], space.physical(space.upper)[k]
        if kind.transform == "log":
            np.testing.assert_allclose([low, high], [kind.lower * values[path], kind.upper * values[path]], rtol=1e-12)
        elif path in values:
            centre = values[path] if kind.offset else 0
            np.testing.assert_allclose([low, high], [centre + kind.lower, centre + kind.upper], rtol=1e-12)
        assert space.prior_scale[k] == kind.prior_scale
    inside = space.clip(np.full(space.size, 1e9))
    assert ((space.lower < inside) & (inside < space.upper)).all()


def test_bounds_and_priors_given():
    nominal = subject()
    force = nominal.to_dict()["muscle/BRA/max_isometric_force"]
    com = nominal.to_dict()["body/forearm/com/x"]
    space = parameter_space(
        nominal,
        ["muscle/*/max_isometric_force", "body/forearm/com", "emg/*/delay", "body/forearm/inertia"],
        bounds={
            "muscle/*/max_isometric_force": {"range": [0.01, 9.0]},
            "muscle/BRA/max_isometric_force": {"factor": [0.9, 1.1]},  # the later, more special one counts
            "emg/*/delay": {"range": [0, 0.1]},
            "body/forearm/com/x": {"factor": [0.5, 2.0]},
        },
        priors={
            "muscle/*/max_isometric_force": {"relative_sd": 0.2},
            "muscle/BRA/max_isometric_force": {"mean": 1.05 * force, "sd": 0.21 * force},
            "emg/*/delay": {"mean": 0.03, "sd": 0.01},
            "body/forearm/com": "none",
            "body/forearm/inertia": {"relative_sd": 0.4},
        },
    )
    at = {p: k for k, p in enumerate(space.paths)}
    lower, upper = space.physical(space.lower), space.physical(space.upper)
    bra, bic = at["muscle/BRA/max_isometric_force"], at["muscle/BIC/max_isometric_force"]
    np.testing.assert_allclose([lower[bra], upper[bra]], [0.9 * force, 1.1 * force])
    np.testing.assert_allclose([lower[bic], upper[bic]], [0.01, 9])
    x = at["body/forearm/com/x"]
    np.testing.assert_allclose([lower[x], upper[x]], sorted([0.5 * com, 2 * com]))
    np.testing.assert_allclose([space.prior_mean[bra], space.prior_scale[bra]], [np.log(1.05 * force), 0.2])
    np.testing.assert_allclose(space.prior_scale[bic], 0.2)
    delay = at["emg/biceps/delay"]
    np.testing.assert_allclose([space.prior_mean[delay], space.prior_scale[delay], upper[delay]], [0.03, 0.01, 0.1])
    assert np.isinf(space.prior_scale[x])
    np.testing.assert_array_equal(space.prior_scale[at["body/forearm/inertia/l21"]], 0.4)


FORCE, INERTIA = "muscle/BRA/max_isometric_force", "body/forearm/inertia"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"free": []}, "nothing to estimate"),
        ({"free": ["muscle/BRA/max_isometric_forc"]}, "matches nothing; did you mean muscle/BRA/max_isometric_force"),
        ({"free": ["muscle/XYZ/*"]}, r"'muscle/XYZ/\*' matches nothing"),
        ({"bounds": {"muscle/BIC/max_isometric_force": {"factor": [0.5, 2]}}}, "matches nothing"),
        ({"bounds": {FORCE: {"factor": [2, 3]}}}, f"starting value of {FORCE} lies outside its bounds"),
        ({"bounds": {FORCE: {"range": [3, 2]}}}, f"bounds of {FORCE} are empty"),
        ({"bounds": {FORCE: {"range": [0, 2]}}}, f"lower bound of {FORCE} must be positive"),
        ({"bounds": {FORCE: {"range": [1]}}}, f"bounds of {FORCE} need two finite numbers"),
        ({"bounds": {FORCE: {"range": "wide"}}}, f"bounds of {FORCE} need two finite numbers"),
        ({"bounds": {FORCE: {"range": [0.001, np.inf]}}}, f"bounds of {FORCE} need two finite numbers"),
        ({"bounds": {FORCE: {"factor": [0.5, None]}}}, f"bounds of {FORCE} need two finite numbers"),
        ({"bounds": {FORCE: {"min": 1}}}, f"bounds of {FORCE} need either factor"),
        ({"bounds": {INERTIA: {"factor": [0.5, 2]}}}, "cannot be set one by one"),
        ({"priors": {FORCE: {"sd": 1, "relative_sd": 1}}}, f"prior of {FORCE} needs"),
        ({"priors": {FORCE: "wide"}}, f"prior of {FORCE} needs"),
        ({"priors": {FORCE: {"mean": -1, "sd": 1}}}, f"prior mean of {FORCE} must be positive"),
        ({"priors": {FORCE: {"sd": 0}}}, f"prior sd of {FORCE} must be positive"),
        ({"priors": {FORCE: {"sd": np.nan}}}, f"prior sd of {FORCE} must be positive"),
        ({"priors": {INERTIA: {"sd": 1}}}, "takes relative_sd only"),
        ({"priors": {INERTIA: {"mean": 0.1}}}, f"prior mean of {INERTIA} needs six numbers"),
        ({"priors": {INERTIA: {"mean": [1, 1, 1]}}}, f"prior mean of {INERTIA} needs six numbers"),
        ({"priors": {INERTIA: {"mean": [1, 1, 1, 0, 0, np.nan]}}}, f"prior mean of {INERTIA} needs six numbers"),
        ({"priors": {INERTIA: {"mean": [1, 1, 2.1, 0, 0, 0]}}}, f"prior mean of {INERTIA} is not physically possible"),
        ({"priors": {f"{INERTIA}/xx": {"mean": [1, 1, 1, 0, 0, 0]}}}, f"is given whole; write it for '{INERTIA}'"),
        ({"priors": {FORCE: {"mean": [1, 2]}}}, f"prior of {FORCE} needs"),
        (
            {"priors": {FORCE: {"mean": 1e3, "relative_sd": 0.1}}, "bounds": {FORCE: {"range": [0.1, 9]}}},
            f"prior mean of {FORCE} lies outside its bounds; widen the bounds or move the prior",
        ),
    ],
)
def test_what_is_impossible_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        parameter_space(subject(), **{"free": [FORCE, INERTIA], **arguments})


def test_default_bounds_follow_the_prior_mean():
    nominal = subject()
    mass, com = nominal.to_dict()["body/forearm/mass"], nominal.to_dict()["body/forearm/com/x"]
    inertia = 9.0 * nominal.body.inertia[1]
    space = parameter_space(
        nominal,
        ["body/forearm/mass", "body/forearm/com/x", INERTIA, "emg/biceps/delay"],
        priors={
            "body/forearm/mass": {"mean": 5 * mass, "relative_sd": 0.1},
            "body/forearm/com/x": {"mean": com + 0.3},
            INERTIA: {"mean": list(inertia), "relative_sd": 0.2},
            "emg/biceps/delay": {"mean": 0.06},
        },
    )
    at = {p: k for k, p in enumerate(space.paths)}
    lower, upper = space.physical(space.lower), space.physical(space.upper)
    k = at["body/forearm/mass"]
    np.testing.assert_allclose([lower[k], upper[k]], [2.5 * mass, 10 * mass])  # half to twice
    k = at["body/forearm/com/x"]
    np.testing.assert_allclose([lower[k], upper[k]], [com + 0.2, com + 0.4])
    k = at["emg/biceps/delay"]
    np.testing.assert_allclose([lower[k], upper[k]], [0, 0.1])  # a limit of physiology, not around anything
    start = space.unpack(space.clip(space.prior_mean)).to_dict()
    np.testing.assert_allclose(start["body/forearm/mass"], 5 * mass)
    np.testing.assert_allclose([start[f"{INERTIA}/{c}"] for c in ("xx", "yy", "zz", "xy", "xz", "yz")], inertia)
    np.testing.assert_array_equal(space.prior_scale[[p.startswith(INERTIA) for p in space.paths]], 0.2)


def test_prior_mean_of_an_inertia_is_the_coordinates_of_that_inertia():
    nominal, other = subject(), subject(1)
    mean = [float(x) for x in other.body.inertia[1]]
    space = parameter_space(nominal, ["body/*/inertia"], priors={INERTIA: {"mean": mean}})
    forearm = np.array([p.startswith(INERTIA) for p in space.paths])
    np.testing.assert_allclose(space.prior_mean[forearm], space.pack(other)[forearm], rtol=1e-12)
    np.testing.assert_allclose(space.prior_mean[~forearm], space.pack(nominal)[~forearm], rtol=1e-12)
    np.testing.assert_array_equal(space.prior_scale, KINDS["body", "inertia"].prior_scale)  # as before


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_starting_values_that_cannot_be_are_named(value):
    with pytest.raises(InputError, match=f"{FORCE} is not physically possible"):
        parameter_space(subject().updated({FORCE: value}), [FORCE])


def test_tied_parameters_are_one_unknown():
    nominal = subject()
    space = parameter_space(
        nominal, ["muscle/*/max_isometric_force", "emg/*"], tied=["muscle/*/max_isometric_force", "emg/*/delay"]
    )
    assert space.size == 1 + 2 + 1 + 2
    z = np.array(space.pack(nominal))
    same = space.unpack(jnp.asarray(z)).to_dict()
    np.testing.assert_allclose(list(same.values()), list(nominal.to_dict().values()), rtol=1e-10, atol=1e-13)
    k, d = space.paths.index("muscle/*/max_isometric_force"), space.paths.index("emg/*/delay")
    z[k] += np.log(1.3)
    z[d] = 0.04
    moved = space.unpack(jnp.asarray(z))
    np.testing.assert_allclose(moved.muscle.max_isometric_force, 1.3 * nominal.muscle.max_isometric_force, rtol=1e-12)
    np.testing.assert_allclose(moved.emg.delay, 0.04)
    np.testing.assert_allclose(space.pack(moved), z, rtol=1e-12)
    # what is said of one member is said of that member, not of the group's first
    force = nominal.to_dict()["muscle/TRI/max_isometric_force"]
    space = parameter_space(
        nominal,
        ["muscle/*/max_isometric_force"],
        tied=["muscle/*/max_isometric_force"],
        bounds={"muscle/TRI/max_isometric_force": {"range": [force, 2 * force]}},
        priors={"muscle/TRI/max_isometric_force": {"mean": 1.2 * force, "sd": 0.6 * force}},
    )
    scaled = [space.unpack(z).muscle.max_isometric_force for z in (space.lower, space.upper, space.prior_mean)]
    np.testing.assert_allclose(scaled, np.outer([1, 2, 1.2], nominal.muscle.max_isometric_force), rtol=1e-10)
    np.testing.assert_allclose(space.prior_scale, 0.5)
    with pytest.raises(InputError, match=r"'emg/\*' mixes parameters of different kinds"):
        parameter_space(nominal, ["emg/*"], tied=["emg/*"])
    with pytest.raises(InputError, match="is tied twice"):
        parameter_space(nominal, ["emg/*"], tied=["emg/*/delay", "emg/biceps/delay"])


# The tree --------------------------------------------------------------------------------------------------


def test_updated_and_to_dict():
    nominal = subject()
    changed = nominal.updated(
        {"muscle/*/max_isometric_force": 500, "body/forearm/com/z": -0.2, "joint/elbow/damping": 2}
    )
    np.testing.assert_array_equal(changed.muscle.max_isometric_force, 500)
    values = changed.to_dict()
    assert values["body/forearm/com/z"] == -0.2
    assert values["joint/elbow/damping"] == 2
    untouched = [p for p in values if values[p] != nominal.to_dict()[p]]
    assert len(untouched) == 5
    with pytest.raises(InputError, match="matches nothing; did you mean joint/elbow/damping"):
        nominal.updated({"joint/elbow/dampin": 1})


def test_neutral_channels():
    p = subject().with_channels(["a", "b", "c"])
    assert p.names.emg == ("a", "b", "c")
    np.testing.assert_array_equal([p.emg.gain, p.emg.delay, p.emg.shape], [[1] * 3, [0] * 3, [0] * 3])
