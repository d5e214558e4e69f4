"""One edit, two interpreters: subject parameters into an `mjx.Model` on the device, and into an MJCF file.

`personalise` and `export` are two readings of the same table: for the same parameters both step to the same
trajectory, derived constants included.
"""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr, unescape

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float

from mjx_msm.common.arguments import of_kind
from mjx_msm.common.compiled import float64
from mjx_msm.common.errors import InputError, InputWarning
from mjx_msm.common.files import write_text
from mjx_msm.person.inertia import inertia_matrix
from mjx_msm.person.kept_law import forget_law
from mjx_msm.person.law_file import is_writable, law_path, remove_law, write_law
from mjx_msm.person.mjx import import_mjx
from mjx_msm.person.model import Model, muscle_name
from mjx_msm.person.muscle import FPMAX, MujocoMuscle, MuscleParameters
from mjx_msm.person.native_fit import NativeFit, fitted_native
from mjx_msm.person.parameters import Parameters
from mjx_msm.person.stability import too_fast_for_rk4
from mjx_msm.person.xml_text import xml_of


def native_range(
    parameters: MuscleParameters, lengthrange: Float[Any, "muscle 2"]
) -> tuple[Float[Array, "muscle"], Float[Array, "muscle"]]:
    """MuJoCo's `range` of a muscle: normalised fiber length at both ends of `lengthrange`, (LR − l_slack)/l_opt."""
    slack, optimal = parameters.tendon_slack_length, parameters.optimal_fiber_length
    return (lengthrange[:, 0] - slack) / optimal, (lengthrange[:, 1] - slack) / optimal


def native_muscles(model: Model, muscles: MuscleParameters) -> MuscleParameters:
    """The parameters of MuJoCo's native muscle that stand for `muscles` under the model's muscle model.

    The native muscle's own are themselves. It has no pennation: another model's F0 and l_opt are taken along the
    tendon, and its passive scale multiplies the passive curve of the file (for the bundled models a fit to De Groote
    and Fregly's).
    """
    if isinstance(model.muscle, MujocoMuscle):
        return muscles
    along = jnp.cos(jnp.asarray(muscles.pennation_angle))
    return eqx.tree_at(
        lambda m: (m.max_isometric_force, m.optimal_fiber_length, m.passive_force_scale, m.pennation_angle),
        muscles,
        (
            muscles.max_isometric_force * along,
            muscles.optimal_fiber_length * along,
            muscles.passive_force_scale * model.host.mj_model.actuator_gainprm[:, 7] / FPMAX,
            jnp.zeros_like(along),
        ),
    )


_CURVES = ((4, "lmin"), (5, "lmax"), (8, "fvmax"))
"""Where gainprm holds the shape of the native curves."""


FORCE_ERROR = 0.1
"""Of F0: the largest root mean square error of a muscle with which native muscles stand alone for another law."""
_APART = 1e-9
"""By which principal moments are kept apart, relative to their sum."""


def personalise(model: Model, parameters: Parameters, *, apart: bool = False) -> Any:
    """The `mjx.Model` of a subject, differentiable with respect to `parameters`.

    Inertias are written as principal moments and axes, whose derivative does not exist where two moments
    coincide; `mjx_msm.dynamics.simulation` therefore takes the inertia from `parameters` and only the rest from here.
    Constants that MuJoCo's compiler derives (`dof_M0`, `*_invweight0`, `actuator_acc0`, `body_subtreemass`,
    `stat.meaninertia`) are derived again, so that the result also serves where limits or contacts use them.

    **Arguments:** `apart`: moments of inertia are kept 1e-9 of their sum apart, so that their derivative does exist.

    **Returns:** an `mjx.Model` with float leaves in the caller's JAX precision.
    """
    of_kind("model", model, Model, "load_model makes one")
    of_kind("parameters", parameters, Parameters, "a model has them as .nominal")
    bodies = model.host.body_ids.copy()
    matrix = inertia_matrix(jnp.asarray(parameters.body.inertia))
    if apart:
        size = jax.lax.stop_gradient(jnp.trace(matrix, axis1=-2, axis2=-1))[:, None, None]
        matrix = matrix + _APART * size * jnp.diag(jnp.arange(3.0))
    moments, axes = jnp.linalg.eigh(matrix)
    moments, axes = moments[:, ::-1], axes[:, :, ::-1]  # MuJoCo's order: descending
    axes = axes * jnp.sign(jnp.linalg.det(axes))[:, None, None]
    m = with_parameters(model, parameters)
    m = m.replace(
        body_inertia=m.body_inertia.at[bodies].set(moments),
        body_iquat=m.body_iquat.at[bodies].set(jax.vmap(_quaternion)(axes)),
    )
    return _derive(model, m)


def with_parameters(model: Model, parameters: Parameters) -> Any:
    """`model.mjx_model` with everything of `parameters` but the inertias, no derived constants; cheap and smooth."""
    m = jax.tree.map(jnp.asarray, model.mjx_model)
    bodies, muscles = model.host.body_ids.copy(), native_muscles(model, parameters.muscle)
    low, high = native_range(muscles, model.mjx_model.actuator_lengthrange)
    gain = m.actuator_gainprm.at[:, 0].set(low).at[:, 1].set(high)
    gain = gain.at[:, 2].set(muscles.max_isometric_force).at[:, 6].set(muscles.max_contraction_velocity)
    gain = gain.at[:, 7].set(muscles.passive_force_scale * FPMAX)
    dynamics = m.actuator_dynprm
    if isinstance(model.muscle, MujocoMuscle):
        for slot, name in _CURVES:
            gain = gain.at[:, slot].set(getattr(model.muscle, name))
        dynamics = dynamics.at[:, 2].set(model.muscle.tausmooth)
    joints = np.array(model.host.joint_ids, int)
    dofs = np.array(model.host.skeleton.jnt_dofadr[joints], int)
    time_constants = jnp.stack(
        [jnp.asarray(muscles.activation_time_constant), jnp.asarray(muscles.deactivation_time_constant)], -1
    )
    return m.replace(
        actuator_gainprm=gain,
        actuator_biasprm=m.actuator_biasprm.at[:, :9].set(gain[:, :9]),
        actuator_dynprm=dynamics.at[:, :2].set(time_constants),
        body_mass=m.body_mass.at[bodies].set(parameters.body.mass),
        body_ipos=m.body_ipos.at[bodies].set(parameters.body.com),
        dof_damping=m.dof_damping.at[dofs].set(parameters.joint.damping),
        jnt_stiffness=m.jnt_stiffness.at[joints].set(parameters.joint.stiffness),
        tendon_stiffness=_springs(model, parameters, m.tendon_stiffness),
    )


def _springs(model: Model, parameters: Parameters, stiffness: Any) -> Any:
    """Stiffness of the tendons with the subject's passive curves [N·m/rad]."""
    for curve in model.host.passive:
        stiffness = stiffness.at[np.array(curve.tendons)].set(curve.of(parameters.joint, jnp))
    return stiffness


def _quaternion(rotation: Float[Array, "3 3"]) -> Float[Array, "4"]:
    """Unit quaternion of a rotation matrix, from its largest component (Shepperd 1978)."""
    r, t = rotation, jnp.trace(rotation)
    squares = jnp.array([1 + t, 1 + 2 * r[0, 0] - t, 1 + 2 * r[1, 1] - t, 1 + 2 * r[2, 2] - t])  # 4·(w², x², y², z²)
    rows = jnp.array(
        [
            [squares[0], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], squares[1], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]],
            [r[0, 2] - r[2, 0], r[0, 1] + r[1, 0], squares[2], r[1, 2] + r[2, 1]],
            [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], squares[3]],
        ]
    )
    row = rows[jnp.argmax(squares)]
    return row / jnp.linalg.norm(row)


def _derive(model: Model, m: Any) -> Any:
    """What MuJoCo's compiler derives from masses and geometry at qpos0, again (mj_setConst)."""
    mjx = import_mjx()
    mj = model.host.skeleton
    d = mjx.make_data(mj).replace(qpos=m.qpos0)
    d = mjx.kinematics(m, d)
    d = mjx.com_pos(m, d)
    d = mjx.tendon(m, d)
    d = mjx.crb(m, d)
    d = mjx.transmission(m, d)
    mass_matrix = mjx.full_m(m, d) + d._impl.ten_J.T @ (m.tendon_armature[:, None] * d._impl.ten_J)
    inverse = jnp.linalg.inv(mass_matrix)

    def weight(jacobian: Float[Array, "nv k"]) -> Float[Array, ""]:
        return jnp.einsum("ik,ij,jk->", jacobian, inverse, jacobian) / jacobian.shape[1]

    invweight = []
    for b in range(mj.nbody):
        if mj.body_weldid[b] == 0:
            invweight.append(jnp.zeros(2))
        else:
            translation, rotation = mjx.jac(m, d, d.xipos[b], b)
            invweight.append(jnp.stack([weight(translation), weight(rotation)]))
    subtree = [m.body_mass[b] for b in range(mj.nbody)]
    for b in range(mj.nbody - 1, 0, -1):
        subtree[mj.body_parentid[b]] = subtree[mj.body_parentid[b]] + subtree[b]
    return m.replace(
        body_subtreemass=jnp.stack(subtree),
        body_invweight0=jnp.stack(invweight),
        dof_M0=jnp.diagonal(mass_matrix),
        dof_invweight0=jnp.diagonal(inverse),
        tendon_invweight0=jnp.einsum("ti,ij,tj->t", d._impl.ten_J, inverse, d._impl.ten_J),
        actuator_acc0=jnp.linalg.norm(inverse @ d._impl.actuator_moment.T, axis=0),
        stat=m.stat.replace(meaninertia=jnp.mean(jnp.diagonal(mass_matrix))),
    )


# MJCF ------------------------------------------------------------------------------------------------------


def personalised_spec(model: Model, parameters: Parameters) -> mujoco.MjSpec:
    """The subject as an uncompiled `MjSpec`: the same edit as `personalise`, on the host.

    **Raises:** `InputError` if the muscle model is not MuJoCo's own, which MJCF cannot hold.
    """
    if not isinstance(model.muscle, MujocoMuscle):
        raise InputError(
            f"muscle model {type(model.muscle).__name__} cannot be written as MJCF; "
            'identify with muscle = "mujoco", or pass allow_approximation=True for the native muscle and its error'
        )
    return _edit(model, parameters)


def _edit(model: Model, parameters: Parameters, fit: NativeFit | None = None) -> mujoco.MjSpec:
    """`fit`: native muscles in the place of those of the model's own law."""
    spec, compiled = model.host.spec.copy(), model.host.mj_model
    p = jax.tree.map(lambda x: np.asarray(x, dtype=float), parameters)
    if p.body.mass.ndim != 1:
        raise InputError("a population cannot be written to one file; export its members one by one")
    for name, value in p.to_dict().items():
        if not np.isfinite(value):
            raise InputError(f"parameter {name} is {value}; it cannot be written to a file")
    with float64():
        muscle = jax.tree.map(np.asarray, native_muscles(model, p.muscle))
    curves = model.muscle if isinstance(model.muscle, MujocoMuscle) else None
    if fit is not None:
        f0, optimal, slack, vmax, passive, lmin, lmax, fvmax = fit.gain.T
        muscle = replace(
            muscle, max_isometric_force=f0, optimal_fiber_length=optimal, tendon_slack_length=slack,
            max_contraction_velocity=vmax, passive_force_scale=passive,
        )  # fmt: skip
        curves = MujocoMuscle(lmin=lmin, lmax=lmax, fvmax=fvmax)
        forget_law(spec)
    low, high = native_range(muscle, compiled.actuator_lengthrange)
    for i, name in enumerate(parameters.names.muscle):
        actuator = spec.actuator(name)
        for prm in (actuator.gainprm, actuator.biasprm):
            prm[0], prm[1] = low[i], high[i]
            prm[2], prm[6] = muscle.max_isometric_force[i], muscle.max_contraction_velocity[i]
            prm[7] = muscle.passive_force_scale[i] * FPMAX
            if curves is not None:
                for slot, curve in _CURVES:
                    prm[slot] = np.broadcast_to(np.asarray(getattr(curves, curve), dtype=float), low.shape)[i]
        actuator.dynprm[0] = muscle.activation_time_constant[i]
        actuator.dynprm[1] = muscle.deactivation_time_constant[i]
        if isinstance(model.muscle, MujocoMuscle):
            actuator.dynprm[2] = np.broadcast_to(np.asarray(model.muscle.tausmooth, dtype=float), low.shape)[i]
    for k, name in enumerate(parameters.names.body):
        body = spec.body(name)
        body.explicitinertial = True
        body.ialt.type = mujoco.mjtOrientation.mjORIENTATION_QUAT  # also where it was turned by Euler angles
        body.mass, body.ipos, body.iquat = p.body.mass[k], p.body.com[k], [1.0, 0.0, 0.0, 0.0]
        body.inertia = [0.0, 0.0, 0.0]
        body.fullinertia = p.body.inertia[k]
    for j, name in enumerate(parameters.names.joint):
        spec.joint(name).damping[0] = p.joint.damping[j]
        spec.joint(name).stiffness[0] = p.joint.stiffness[j]
    for curve in model.host.passive:
        for t, stiffness in zip(curve.tendons, curve.of(p.joint), strict=True):
            spec.tendon(compiled.tendon(t).name).stiffness[0] = stiffness
    return spec


def export(
    model: Model,
    parameters: Parameters,
    path: str | Path,
    *,
    subject: str = "",
    allow_approximation: bool = False,
) -> Path:
    """Write a subject as an ordinary MJCF file, which plain MuJoCo loads.

    C comes to the trajectory of `mjx_msm.rollout` (to 1e-9 rad) where it is given the same excitation: by Euler's rule
    that is `data.ctrl` at every step, by RK4 the line from each sample to the next, which
    `mjx_msm.recordings.replay` brings as a control callback. `data.ctrl` set once a step is a stair: half a step late,
    and within 1 s of the arm's motion 7 to 11 mrad off; 0.2 to 0.4 mrad, set to the mean of both ends of the step.

    Where RK4 does not hold at the model's timestep (`mjx_msm.person.stability`), the file has a finer one, and an
    `InputWarning` says so. The credit of the model it derives from, the versions and the subject's name are carried in
    the file. Numbers are written so that they read back bit for bit. The file appears whole or not at all.

    **Arguments:** `allow_approximation`: a muscle law that MJCF cannot hold is written as the native muscles that come
    nearest to it (`mjx_msm.person.native_fit`), and the force error over the working range is stated in the file.
    Beside it, ``<name>_muscles.py`` has the law itself: plain Python with which MuJoCo steps it, without this package.
    Where a native muscle misses it by more than `FORCE_ERROR` of F0, an `InputWarning` says that this file is needed.

    **Raises:** `InputError` if the muscle law cannot be written, as one of your own which native muscles miss by more
    than `FORCE_ERROR` of F0, or the folder cannot be.
    """
    of_kind("model", model, Model, "load_model makes one")
    of_kind("parameters", parameters, Parameters, "a model has them as .nominal")
    path = Path(path)
    spec, approximation, poor = _written_spec(model, parameters, allow_approximation)
    source = Path(model.host.source).name
    text = {
        "mjx_msm": f"written by mjx_msm {version('mjx-msm')} with MuJoCo {mujoco.__version__}, from model {source}",
        "subject": subject,
        "approximation": approximation,
    }
    for name, data in text.items():
        if data:
            existing = next((t for t in spec.texts if t.name == name), None)
            (existing or spec.add_text(name=name)).data = data
    credit = next((t.data for t in spec.texts if t.name == "credit"), "")
    try:
        compiled = spec.compile()
    except ValueError as e:
        advice = "put the file back" if "opening file" in str(e) else "the parameters are not physical"
        raise InputError(f"{path} not written: {' '.join(str(e).split())}; {advice}") from e
    fast = too_fast_for_rk4(compiled) if model.integrator == "RK4" else None
    if fast is not None:
        spec.option.timestep = fast.stable_timestep
        spec.compile()
        note = f"{path}: {fast}; written with a timestep of {1e3 * fast.stable_timestep:.4g} ms"
        warnings.warn(note, InputWarning, stacklevel=2)
    xml = re.sub(r'(\w+)="([^"]*)"', _shorten, xml_of(spec, full=True))
    xml = _with_files(spec, xml, path)
    lines = (text["mjx_msm"], f"subject: {subject}" if subject else "", credit, approximation)
    comment = "\n".join(filter(None, lines)).replace("--", "—")
    write_text(path, f"<!--\n{comment}\n-->\n{xml}")
    if approximation and is_writable(model):
        write_law(model, parameters, path)
    else:
        remove_law(path)  # of somebody who was written here before
    if poor:
        note = f"{path}: {poor}; step it with {law_path(path).name} beside it, which is exact"
        warnings.warn(note, InputWarning, stacklevel=2)
    return path


def _written_spec(model: Model, parameters: Parameters, allow_approximation: bool) -> tuple[mujoco.MjSpec, str, str]:
    """What is written, in words what it only approximates, and why it does not stand alone, if so."""
    if isinstance(model.muscle, MujocoMuscle) or not allow_approximation:
        return personalised_spec(model, parameters), "", ""
    fit, names = fitted_native(model, parameters), parameters.names.muscle
    worst = int(np.argmax(fit.rms))
    poor = ""
    if not fit.rms[worst] <= FORCE_ERROR:
        poor = (
            f"muscle '{names[worst]}' under muscle model '{muscle_name(model)}' is none that MJCF can hold: the "
            f"nearest native muscle misses its force by {100 * fit.rms[worst]:.0f} % of F0 (RMS over the working "
            f"range, {100 * FORCE_ERROR:.0f} % at most)"
        )
        if not is_writable(model) or not np.isfinite(fit.rms[worst]):
            raise InputError(f"{poor}; identify with muscle = 'mujoco'")
    approximation = (
        f"muscle model {muscle_name(model)} written as the nearest of MuJoCo's native muscles; over the working range "
        f"force differs by {100 * np.sqrt(np.mean(fit.rms**2)):.1f} % of F0 (RMS), by {100 * fit.rms[worst]:.1f} % in "
        f"{names[worst]}, and by {100 * fit.worst.max():.0f} % at most ({names[int(np.argmax(fit.worst))]})"
    )
    return _edit(model, parameters, fit), approximation, poor


def _with_files(spec: mujoco.MjSpec, xml: str, path: Path) -> str:
    """Copy the meshes, textures and height fields a model reads next to its export; the XML with their new places."""
    here, folder = Path(spec.modelfiledir), path.parent / f"{path.stem}_files"
    mesh, texture = spec.compiler.meshdir, spec.compiler.texturedir
    groups = ((spec.meshes, mesh), (spec.hfields, mesh), (spec.textures, texture))
    copies: dict[Path, str] = {}
    for elements, subfolder in groups:
        for file in (f for e in elements for f in (e.file, *getattr(e, "cubefiles", ())) if f):
            original = here / subfolder / (Path(file).name if spec.strippath else file)
            if original not in copies:
                copies[original] = _free_name(Path(file), copies.values())
            try:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(original, folder / copies[original])
            except OSError as e:
                raise InputError(f"cannot copy {original} to {folder}: {e.strerror}; export to another folder") from e
    tags = {"mesh": mesh, "hfield": mesh, "texture": texture}

    def moved(element: re.Match[str]) -> str:
        subfolder = tags[element.group(1)]

        def place(found: re.Match[str]) -> str:
            file = unescape(found.group(2), {"&quot;": '"', "&apos;": "'"})
            copy = copies.get(here / subfolder / (Path(file).name if spec.strippath else file))
            return found.group() if copy is None else f"{found.group(1)}={quoteattr(f'{folder.name}/{copy}')}"

        return re.sub(r'(\bfile\w*)="([^"]*)"', place, element.group())

    xml = re.sub(r"<(mesh|hfield|texture) [^>]*>", moved, xml)
    return re.sub(r' (?:mesh|texture|asset)dir="[^"]*"', "", xml)


def _free_name(file: Path, taken: Iterable[str]) -> str:
    """A name for a copy: its own, or numbered where files of other folders have it already, in upper or lower case."""
    used, number, name = {t.casefold() for t in taken}, 1, file.name
    while name.casefold() in used:
        number += 1
        name = f"{file.stem}_{number}{file.suffix}"
    return name


def _shorten(attribute: re.Match[str]) -> str:
    """An XML attribute with every number as the shortest text that reads back to it; colours are single precision."""
    name, text = attribute.groups()
    if name in ("name", "data", "file"):
        return attribute.group()
    single = name in ("rgba", "rgb1", "rgb2", "ambient", "diffuse", "specular", "shininess", "znear", "texrepeat")
    shortest = (lambda n: str(np.float32(n.group()))) if single else (lambda n: repr(float(n.group())))
    return f'{name}="{re.sub(r"-?[0-9]+[.][0-9]{6,}(?:e[-+][0-9]+)?", shortest, text)}"'
