"""`Model`: an MJCF file as a host `MjSpec` and a device `mjx.Model`, with the subject's nominal parameters.

Coordinates are *free* (simulated), *prescribed* (they follow a recording) or *locked* (held at one value).
"""

from __future__ import annotations

import difflib
import hashlib
import warnings
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import mujoco
import numpy as np

from mjx_msm.common.arguments import number, table, words
from mjx_msm.common.errors import InputError, InputWarning, in_one_line, one_of
from mjx_msm.person.compliant_tendon import CompliantTendon
from mjx_msm.person.couplings import independent
from mjx_msm.person.degroote import DeGrooteFregly2016
from mjx_msm.person.inputs import KnownInput, known_inputs
from mjx_msm.person.kept_law import KeptLaw, kept_law, with_kept_constants, with_kept_parameters
from mjx_msm.person.millard import Millard2012, MillardTendon
from mjx_msm.person.mirrored import of_side, other_side
from mjx_msm.person.mjcf import (
    INTEGRATORS,
    muscles_only,
    named,
    nominal_parameters,
    refuse_infinite,
    skeleton_of,
    with_constraints,
    without_constraints,
)
from mjx_msm.person.mjx import import_mjx
from mjx_msm.person.muscle import AbstractMuscle, MujocoMuscle
from mjx_msm.person.obstacles import MJX, TREE, engine_for
from mjx_msm.person.parameters import Names, Parameters
from mjx_msm.person.passive_curves import PassiveCurve, add_passive_curves, passive_curves
from mjx_msm.person.reduction import Part, reduced
from mjx_msm.person.sources import spec_of
from mjx_msm.person.stability import warn_if_too_fast
from mjx_msm.person.thelen import Thelen2003, ThelenTendon
from mjx_msm.person.xml_text import xml_of

_REDUCE = 'load a part that needs no constraint solver (joints=[…], posture={…}), or engine="tree"'


@dataclass(frozen=True, eq=False)
class Host:
    """The part of a model that lives on the host: never traced, compared by content.

    So what is compiled for a model serves whoever loads the same one again.
    """

    source: str
    spec: mujoco.MjSpec
    """Uncompiled MJCF, never mutated: `spec.copy()` before an edit."""
    mj_model: mujoco.MjModel
    """Its person: all actuators are muscles."""
    skeleton: mujoco.MjModel
    """The same mechanics without what only draws."""
    coordinates: tuple[str, ...]
    """All joints but those that follow others, in the file's order."""
    free: tuple[str, ...]
    prescribed: tuple[str, ...]
    locked: Mapping[str, float]
    body_ids: np.ndarray
    """Bodies behind `Parameters.body` (moving, with mass). Copy it before it indexes on the device: JAX remembers an
    index array by identity, in the precision of its first use, and fails when float32 and float64 take turns."""
    engine: str = TREE
    """What steps it (`mjx_msm.dynamics.engine`)."""
    joint_ids: tuple[int, ...] = ()
    """Joints behind `Parameters.joint`: those that are coordinates; for MJX all hinges and slides."""
    inputs: tuple[KnownInput, ...] = ()
    """Motors and servos: in `spec`, but neither in `mj_model` nor in `skeleton`."""
    part: Part = field(default_factory=Part)
    """What of the source it is."""
    scaling: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """What `mjx_msm.scale` multiplied the bodies of `source` by, three along their axes; empty where it did not."""
    notes: tuple[str, ...] = ()
    """What was changed on load, in words."""

    def __getstate__(self) -> dict[str, Any]:
        """For another process: an `MjSpec` goes as its XML, what is cached is made again there."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return own | {"spec": (xml_of(self.spec, full=True), dict(self.spec.assets), self.spec.modelfiledir)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        text, files, folder = state["spec"]
        spec = mujoco.MjSpec.from_string(text, assets=files)
        spec.modelfiledir = folder
        self.__dict__.update(state | {"spec": spec})

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Host) and self._content == other._content)

    def __hash__(self) -> int:
        return hash(self._content)

    @cached_property
    def _content(self) -> bytes:
        """Digest of every field; of the MJCF its text, whose numbers the compiled models have in full."""
        each = (hashlib.sha256(_bytes_of(getattr(self, f.name))).digest() for f in fields(self))
        return hashlib.sha256(b"".join(each)).digest()

    @cached_property
    def mjx_model(self) -> Any:
        """The skeleton as an `mjx.Model`; its leaves are float64 NumPy arrays and follow the caller's JAX precision.

        **Raises:** `InputError` if MJX cannot represent it.
        """
        try:
            with jax.enable_x64(True), jax.ensure_compile_time_eval():  # it may be asked for inside a trace first
                return jax.tree.map(np.asarray, import_mjx().put_model(self.skeleton))
        except NotImplementedError as e:
            what = str(e).rstrip(".")
            raise InputError(
                f"model '{self.source}' uses something that MJX cannot represent: {what}; remove it, or load a part of "
                "the model that has none of it, joints=[…]"
            ) from e

    @cached_property
    def passive(self) -> tuple[PassiveCurve, ...]:
        """Passive curves of the joints."""
        return passive_curves(self.mj_model)

    @cached_property
    def by_rk4(self) -> Host:
        """The same model, stepped by RK4; one object, so that what is compiled for it is compiled once."""
        if self.mj_model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4:
            return self
        spec, mj_model, skeleton = self.spec.copy(), copy(self.mj_model), copy(self.skeleton)
        for each in (spec.option, mj_model.opt, skeleton.opt):
            each.integrator = mujoco.mjtIntegrator.mjINT_RK4
        return replace(self, spec=spec, mj_model=mj_model, skeleton=skeleton)

    @cached_property
    def reference(self) -> np.ndarray:
        """Coordinates where the file is at rest."""
        m = self.mj_model
        return (m.qpos0 if self.engine == MJX else m.qpos0[m.jnt_qposadr[independent(m)]]).copy()

    @property
    def dofs(self) -> int:
        """Number of velocities."""
        return self.mj_model.nv if self.engine == MJX else len(self.coordinates)

    def only_tree(self, what: str) -> None:
        """
        **Raises:** `InputError` if the model is stepped by MJX, which cannot do `what`.
        """
        if self.engine == MJX:
            raise InputError(f"{what} is not there for model '{self.source}', which is stepped by MJX; {_REDUCE}")

    @cached_property
    def spring_position(self) -> np.ndarray:
        """Coordinates where the joints' springs are slack."""
        m = self.mj_model
        return m.qpos_spring[m.jnt_qposadr[independent(m)]].copy()

    @property
    def free_index(self) -> np.ndarray:
        return np.array([self.coordinates.index(c) for c in self.free], dtype=int)

    @property
    def prescribed_index(self) -> np.ndarray:
        return np.array([self.coordinates.index(c) for c in self.prescribed], dtype=int)

    @property
    def held_index(self) -> np.ndarray:
        """Prescribed and locked coordinates, in coordinate order."""
        return np.setdiff1d(np.arange(len(self.coordinates)), self.free_index)


def _bytes_of(value: Any) -> bytes:
    """That tell a field of `Host` from another."""
    if isinstance(value, mujoco.MjModel):
        binary = np.zeros(mujoco.mj_sizeModel(value), dtype=np.uint8)
        mujoco.mj_saveModel(value, None, binary)
        return binary.tobytes()
    if isinstance(value, mujoco.MjSpec):
        return xml_of(value).encode()
    return repr(value.tolist() if isinstance(value, np.ndarray) else value).encode()


class Model(eqx.Module):
    """A musculoskeletal model: parameters and muscle law as a pytree, topology, names and MJCF on the host."""

    nominal: Parameters
    """The subject the MJCF file describes."""
    muscle: AbstractMuscle
    host: Host = eqx.field(static=True)

    @property
    def mjx_model(self) -> Any:
        """`mjx.Model` of the nominal subject, for stepping with MJX itself; see `mjx_msm.personalise`."""
        return self.host.mjx_model

    @property
    def timestep(self) -> float:
        """[s]."""
        return float(self.host.mj_model.opt.timestep)

    @property
    def integrator(self) -> str:
        """Of `INTEGRATORS`."""
        return next(k for k, v in INTEGRATORS.items() if v == self.host.mj_model.opt.integrator)

    @property
    def by_rk4(self) -> Model:
        """The same model, stepped by RK4 whatever its MJCF says; what is exported of it says so."""
        return self if self.host.by_rk4 is self.host else replace(self, host=self.host.by_rk4)

    @property
    def muscles(self) -> tuple[str, ...]:
        return self.nominal.names.muscle

    @property
    def coordinates(self) -> tuple[str, ...]:
        return self.host.coordinates

    @property
    def free(self) -> tuple[str, ...]:
        return self.host.free

    @property
    def prescribed(self) -> tuple[str, ...]:
        return self.host.prescribed


MUSCLES: Mapping[str, Callable[[], AbstractMuscle]] = {
    "mujoco": MujocoMuscle,
    "degroote": DeGrooteFregly2016,
    "degroote-compliant": CompliantTendon,
    "mujoco-compliant": lambda: CompliantTendon(MujocoMuscle()),
    "thelen": Thelen2003,
    "thelen-compliant": lambda: CompliantTendon(Thelen2003(), ThelenTendon()),
    "millard": Millard2012,
    "millard-compliant": lambda: CompliantTendon(Millard2012(), MillardTendon()),
}
"""Muscle laws by name."""


def load_model(
    source: str | Path,
    *,
    joints: Iterable[str] | None = None,
    muscles: Iterable[str] | None = None,
    posture: Mapping[str, float] | None = None,
    side: str | None = None,
    muscle: str | AbstractMuscle = "mujoco",
    free: Iterable[str] | None = None,
    prescribed: Iterable[str] = (),
    locked: Mapping[str, float] | None = None,
    timestep: float | None = None,
    integrator: str | None = None,
    engine: str | None = None,
    passive: Iterable[str] = (),
) -> Model:
    """Load a musculoskeletal model.

    **Arguments:**

    - `source`: ``"arm"``, ``"knee"``, the path of an MJCF file with muscles, ``"myo_sim:NAME"`` of the package myo-sim,
      or the path of an OpenSim model, which is imported anew each time (``mjx-msm import`` does it once).
    - `joints`, `muscles`, `posture`: a part of the model (`mjx_msm.person.reduction`): the joints to keep, the muscles
      (by default those that the joints move), and where the other joints are held [rad or m].
    - `side`: ``"left"`` or ``"right"``: mirrored (`mjx_msm.person.mirrored`) where the file is of the other one; names
      that tell no side, like those of the bundled models, are of the right. Coordinates keep their signs; ``_r`` in a
      name becomes ``_l``, also in what is asked for here.
    - `muscle`: ``"mujoco"`` (native, exported exactly), ``"degroote"``, ``"thelen"`` or ``"millard"`` (rigid tendon),
      one of them with ``-compliant`` behind it (the same fibers behind a tendon that yields) or a muscle model of your
      own. An imported file's own fibers, pennation, strains and curves are taken up (`mjx_msm.person.kept_law`).
    - `free`, `prescribed`: coordinate names; what is neither prescribed nor locked is free.
    - `locked`: coordinate to its fixed value [rad or m].
    - `timestep`: [s]; the file's own by default.
    - `integrator`: "Euler" or "RK4"; the file's own by default.
    - `engine`: "tree" or "mjx" (`mjx_msm.dynamics.engine`); by default "tree" for what needs no constraint solver,
      limits as springs and contacts left out, and "mjx" for what does; "mjx" keeps limits and contacts of any file.
    - `passive`: joints to give the passive moments at the ends of their range that the literature has
      (`mjx_msm.person.passive_curves`: knee_angle, also with _r or _l at its end, flexion counted either way), where
      the file has none; then they are parameters.

    **Raises:** `InputError` naming what the simulation cannot represent, with the fix. An `InputWarning` names a joint
    that RK4 does not follow at the timestep (`mjx_msm.person.stability`).
    """
    # a text is refused below, and not for its letters
    joints, muscles = (n if n is None or isinstance(n, str) else tuple(n) for n in (joints, muscles))
    wanted = joints if not isinstance(joints, tuple) else (*joints, *(c for c in posture or {} if c not in joints))
    spec, name = _spec_of_side(source, wanted, muscles, side)
    done: list[str] = []
    if side is not None:
        spec, done = of_side(spec, name, side)
    imported = name.lower().endswith(".osim")  # which brought only what was wanted
    if posture or (not imported and (joints is not None or muscles is not None)):
        spec, held = reduced(spec, name, joints=joints, muscles=muscles, posture=posture)
        done += held
    if timestep is not None:
        spec.option.timestep = number("timestep", timestep)
    if integrator is not None:
        spec.option.integrator = INTEGRATORS[one_of("integrator", integrator, INTEGRATORS)]
    add_passive_curves(spec, words("passive", passive))
    roles: Any = {"free": free, "prescribed": prescribed, "locked": locked}
    model = model_of(spec, name, muscle=muscle, **roles, engine=engine)
    asked = {k: tuple(v) for k, v in (("joints", joints), ("muscles", muscles)) if v is not None}
    part = Part(**asked, posture=dict(posture or {}), engine=engine or "", side=side or "")
    if part != Part():
        model = replace(model, host=replace(model.host, part=part, notes=(*done, *model.host.notes)))
    if model.integrator == "RK4":
        warn_if_too_fast(model.host.mj_model, model.free, name)
    negative = negative_slack(model.nominal)
    if negative:
        warnings.warn(f"model '{name}': {negative}", InputWarning, stacklevel=2)
    return model


def _spec_of_side(source: str | Path, joints: Any, muscles: Any, side: str | None) -> tuple[mujoco.MjSpec, str]:
    """`spec_of`, where an OpenSim model of the other side may be asked for by the names it will have."""
    try:
        return spec_of(source, joints=joints, muscles=muscles)
    except InputError:
        if side is None or not (isinstance(joints, tuple) or isinstance(muscles, tuple)):
            raise
        own = ([other_side(n) for n in x] if isinstance(x, tuple) else x for x in (joints, muscles))
        return spec_of(source, **dict(zip(("joints", "muscles"), own, strict=True)))


def negative_slack(parameters: Parameters) -> str:
    """Which muscles' tendons are shorter than nothing, and what follows; "" if none is."""
    slack = np.asarray(parameters.muscle.tendon_slack_length)
    bad = np.flatnonzero(slack <= 0)
    if not len(bad):
        return ""
    worst = parameters.names.muscle[int(bad[np.argmin(slack[bad])])]
    listed = ", ".join(parameters.names.muscle[i] for i in bad[:6]) + (", …" if len(bad) > 6 else "")
    return (
        f"{len(bad)} of {len(slack)} muscles ({listed}) have a tendon slack length below zero, which MuJoCo's range "
        f"implies (worst: {worst}, {1e3 * slack.min():.0f} mm): they step as in C, but it can be neither "
        "scaled nor estimated from there; start it from a prior mean in metres "
        f"(priors = {{'muscle/{worst}/tendon_slack_length': {{'mean': 0.1}}}}), or give lengths from a table or an "
        "OpenSim model to model.nominal.updated"
    )


def refuse_memory(model: Model, what: str) -> None:
    """
    **Raises:** `InputError` if the tension of its muscles depends on what was before, which `what` cannot do.
    """
    if model.muscle.remembers:
        raise InputError(
            f"{what} is not there for muscle model '{muscle_name(model)}', whose tendons yield; load the "
            'model with muscle="degroote", whose tendons are rigid'
        )


def check_model(model: object) -> None:
    """Before a long computation begins.

    **Raises:** `InputError` if it is no loaded model, but e.g. the name of one.
    """
    if not isinstance(model, Model):
        named = isinstance(model, str | Path)
        got = f"'{model}'; give load_model('{model}')" if named else f"{type(model).__name__}; load_model makes one"
        raise InputError(f"model must be a loaded model, got {got}")


def model_of(
    spec: mujoco.MjSpec,
    source: str,
    *,
    muscle: str | AbstractMuscle = "mujoco",
    free: Iterable[str] | None = None,
    prescribed: Iterable[str] = (),
    locked: Mapping[str, float] | None = None,
    engine: str | None = None,
) -> Model:
    """The model of an `MjSpec`, which is changed on the way: hand over a copy.

    **Arguments:** `source`: what messages and files call it; the rest as in `load_model`.

    **Raises:** `InputError`, as `load_model`.
    """
    free = None if free is None else words("free", free)
    prescribed, locked = words("prescribed", prescribed), table("locked", locked or {})
    locked = {name: number(f"locked coordinate '{name}'", value) for name, value in locked.items()}
    mj_model = spec.compile()
    if not 0 < spec.option.timestep < np.inf:
        raise InputError(f"model '{source}': timestep {spec.option.timestep} s; it must be positive")
    notes = named(spec, mj_model)
    mj_model = spec.compile() if notes else mj_model
    engine = engine_for(mj_model, source, engine)
    try:
        notes += (without_constraints if engine == TREE else with_constraints)(spec, mj_model)
        inputs = known_inputs(mj_model)
        own = muscles_only(spec, mj_model)
        mj_model = own.compile()
    except ValueError as e:
        reason = in_one_line(e)
        raise InputError(f"model '{source}' does not compile without joint limits and contacts: {reason}") from e
    refuse_infinite(mj_model, source)
    if inputs:
        listed = ", ".join(f"'{i.name}'" for i in inputs)
        notes.append(f"not muscles, but known inputs, zero unless given: {listed}")

    joints = independent(mj_model) if engine == TREE else _single(mj_model)
    coordinates = _coordinates(mj_model, joints, engine)
    if engine == MJX:
        if prescribed or locked:
            raise InputError(
                f"model '{source}' is stepped by MJX, where no coordinate is prescribed or locked; {_REDUCE}"
            )
        if isinstance(muscle, AbstractMuscle) or muscle != "mujoco":
            raise InputError(
                f"model '{source}' is stepped by MJX, whose muscle is MuJoCo's own; load it with muscle=\"mujoco\""
            )
    free, prescribed, locked = _roles(coordinates, free, prescribed, locked)
    moving = np.array(
        [b for b in range(mj_model.nbody) if mj_model.body_weldid[b] != 0 and mj_model.body_mass[b] > 0],
        dtype=int,
    )
    names = Names(
        muscle=tuple(mj_model.actuator(i).name for i in range(mj_model.nu)),
        body=tuple(mj_model.body(b).name for b in moving),
        joint=tuple(mj_model.joint(j).name for j in joints),
        passive=tuple(f"{c.name}/{c.side}" for c in passive_curves(mj_model)),
    )
    host = Host(
        source=source,
        spec=spec,
        mj_model=mj_model,
        skeleton=skeleton_of(own, mj_model, touching=engine == MJX),
        coordinates=coordinates,
        free=free,
        prescribed=prescribed,
        locked=locked,
        body_ids=moving,
        engine=engine,
        joint_ids=tuple(joints),
        inputs=inputs,
        notes=tuple(notes),
    )
    if engine == MJX:
        _ = host.mjx_model  # what MJX cannot represent is said on load
    nominal = nominal_parameters(mj_model, names, moving, joints)
    kept = None if _is_native(muscle) else kept_law(spec, mj_model, source)
    law = _muscle_model(muscle, mj_model, kept)
    _refuse_without_tendon(law, nominal, source)
    if not isinstance(law, MujocoMuscle):  # the file's passive force belongs to the native curve
        nominal = eqx.tree_at(lambda p: p.muscle.passive_force_scale, nominal, np.ones(mj_model.nu))
    return Model(with_kept_parameters(nominal, law, kept), law, host)


def _single(m: mujoco.MjModel) -> list[int]:
    """Hinges and slides."""
    single = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)
    return [j for j in range(m.njnt) if mujoco.mjtJoint(m.jnt_type[j]) in single]


_PARTS = {
    mujoco.mjtJoint.mjJNT_FREE: ("x", "y", "z", "qw", "qx", "qy", "qz"),
    mujoco.mjtJoint.mjJNT_BALL: ("qw", "qx", "qy", "qz"),
}


def _coordinates(m: mujoco.MjModel, joints: Iterable[int], engine: str) -> tuple[str, ...]:
    """Names of the joints; for MJX of all of qpos, a free joint's place and quaternion by component."""
    if engine == TREE:
        return tuple(m.joint(j).name for j in joints)
    out = []
    for j in range(m.njnt):
        name, parts = m.joint(j).name, _PARTS.get(mujoco.mjtJoint(m.jnt_type[j]))
        out += [f"{name}/{p}" for p in parts] if parts else [name]
    return tuple(out)


def _muscle_model(
    muscle: str | AbstractMuscle, mj_model: mujoco.MjModel, kept: KeptLaw | None = None
) -> AbstractMuscle:
    if isinstance(muscle, AbstractMuscle):
        return muscle
    law = MUSCLES[one_of("muscle model", muscle, MUSCLES)]()
    if isinstance(law, CompliantTendon):
        return replace(law, fibers=_with_curves(law.fibers, muscle, mj_model, kept))
    return _with_curves(law, muscle, mj_model, kept)


def _is_native(muscle: str | AbstractMuscle) -> bool:
    """MuJoCo's own muscle, which takes nothing of what another law left."""
    return muscle == "mujoco" or isinstance(muscle, MujocoMuscle)


def _with_curves(law: AbstractMuscle, name: str, mj_model: mujoco.MjModel, kept: KeptLaw | None) -> AbstractMuscle:
    """A law of fibers with the curves of the file: MuJoCo's, or that which an imported file's muscles had."""
    if not isinstance(law, MujocoMuscle):
        return with_kept_constants(law, name, kept)
    gain = mj_model.actuator_gainprm
    return MujocoMuscle(
        lmin=gain[:, 4].copy(),
        lmax=gain[:, 5].copy(),
        fvmax=gain[:, 8].copy(),
        tausmooth=mj_model.actuator_dynprm[:, 2].copy(),
    )


def muscle_constants(model: Model) -> dict[str, float | tuple[float, ...]]:
    """Constants of a muscle model of this package that are not those it has by itself on the model's file."""
    name = muscle_name(model)
    if name not in MUSCLES:
        return {}
    kept = None if _is_native(name) else kept_law(model.host.spec, model.host.mj_model, model.host.source)
    own, out = law_constants(_muscle_model(name, model.host.mj_model, kept)), {}
    for constant, value in law_constants(model.muscle).items():
        value = np.asarray(value, dtype=float)
        if not np.array_equal(value, np.asarray(own[constant])):
            out[constant] = tuple(value.tolist()) if value.ndim else float(value)
    return out


def law_constants(law: AbstractMuscle) -> dict[str, Any]:
    """The constants of a muscle law by name; of a law within a law behind its name, ``fibers.fiber_damping``."""
    found = jax.tree_util.tree_flatten_with_path(law)[0]
    return {".".join(part.name for part in path): value for path, value in found}


def with_muscle_constants(model: Model, constants: Mapping[str, Any]) -> Model:
    """The model with some constants of its muscle model changed, numbers or one for every muscle."""
    law = model.muscle
    for name, value in constants.items():
        law = _with_constant(law, name.split("."), np.asarray(value, dtype=float))
    return eqx.tree_at(lambda m: m.muscle, model, law) if constants else model


def _with_constant(law: Any, path: list[str], value: np.ndarray) -> Any:
    """Made anew, so that it is checked."""
    first, *rest = path
    return replace(law, **{first: _with_constant(getattr(law, first), rest, value) if rest else value})


def _refuse_without_tendon(law: AbstractMuscle, nominal: Parameters, source: str) -> None:
    slack = np.asarray(nominal.muscle.tendon_slack_length)
    if isinstance(law, CompliantTendon) and np.any(slack <= 0):
        worst = nominal.names.muscle[int(np.argmin(slack))]
        raise InputError(
            f"model '{source}': muscle '{worst}' has a tendon slack length of {slack.min():.4g} m, and a tendon that "
            'yields has a length; load it with muscle="degroote", whose tendons are rigid'
        )


def _roles(
    coordinates: tuple[str, ...],
    free: Iterable[str] | None,
    prescribed: tuple[str, ...],
    locked: dict[str, float],
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, float]]:
    for role, names in (("free", free or ()), ("prescribed", prescribed), ("locked", locked)):
        for name in names:
            if name not in coordinates:
                close = difflib.get_close_matches(name, coordinates, n=1, cutoff=0)
                raise InputError(
                    f"{role} coordinate '{name}' is not in the model (closest: '{close[0]}'); it has "
                    f"{', '.join(coordinates)}"
                )
    held = (*prescribed, *locked)
    rest = tuple(c for c in coordinates if c not in held)
    chosen = rest if free is None else tuple(c for c in coordinates if c in set(free))
    for name in coordinates:
        count = (name in chosen) + (name in prescribed) + (name in locked)
        if count != 1:
            what = "has no role" if count == 0 else "has more than one role"
            raise InputError(f"coordinate '{name}' {what}; make it free, prescribed or locked")
    return (
        chosen,
        tuple(c for c in coordinates if c in prescribed),
        {c: float(locked[c]) for c in coordinates if c in locked},
    )


def muscle_name(model: Model) -> str:
    """Of `MUSCLES`, or the name of its class."""
    kind = jax.tree.structure(model.muscle)
    return next((n for n, law in MUSCLES.items() if jax.tree.structure(law()) == kind), type(model.muscle).__name__)
