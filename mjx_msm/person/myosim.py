"""Models of the MyoSim collection, by the names of its package `myo-sim` (the extra `[myosim]`).

What of them loads, version 0.2.4 (a part: ``joints=[…]``, e.g. ``["*_r"]`` of the legs):

    myoelbow, myoelbow_2dof, myoelbow_exo   whole, tree engine (the exo's motor is an input)
    myotorso                                whole, tree: 3 coordinates, 15 joints follow them; 146 of 210 slack lengths
                                            are below zero, and start from a prior or a table only
    myoarm_r                                whole, tree: 27 coordinates, 11 joints follow; SUPSP's passive force changes
    myohand_r                               whole, tree: 23 coordinates, paths through rings
    myolegs                                 whole, MJX (free root); a leg or a knee with its patella: tree
    myofullbody                             whole, MJX: 416 muscles, 129 coordinates, contacts (paths through rings have
                                            no finite derivatives in MJX; stepping it was not tried); a part: tree
    myolegs26, osl                          a part, tree; not whole: MJX has no collisions of their meshes' kind
                                            (plane and mesh with a margin; ellipsoid and mesh)
    myofinger                               whole, tree: 4 coordinates, 5 muscles of automatic force
"""

from __future__ import annotations

import warnings

import mujoco

from mjx_msm.common.errors import InputError, suggest
from mjx_msm.person.plain_mjcf import plain

PREFIX = "myo_sim:"
CREDIT = (
    "MyoSim (MyoSuite: Caggiano, Wang, Durandau, Sartori, Kumar 2022, arXiv 2205.13600; github.com/MyoHub/myo_sim), "
    "Apache-2.0; from OpenSim models credited there"
)


def myosim_names() -> tuple[str, ...]:
    """What the installed package has."""
    from myo_sim import REGISTRY
    from myo_sim.build.compose import ALIASES, MODEL_REGISTRY

    return tuple(sorted({*REGISTRY, *ALIASES, *MODEL_REGISTRY}))


def myosim_spec(source: str) -> mujoco.MjSpec:
    """The specification of ``myo_sim:NAME``.

    **Raises:** `InputError` if the package is not installed or has no such model.
    """
    try:
        import myo_sim
    except ImportError as e:
        raise InputError(f"model '{source}' needs the package myo-sim; pip install 'mjx-msm[myosim]'") from e
    name, known = source.removeprefix(PREFIX), myosim_names()
    if name not in known:
        raise InputError(f"model '{source}': the package myo-sim has no '{name}'{suggest(name, known, limit=30)}")
    before = mujoco.get_mju_user_warning()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that what it attaches cannot be saved, which `plain` mends
        try:
            mujoco.set_mju_user_warning(lambda _: None)
            spec = plain(myo_sim.load_spec(name))
        finally:
            mujoco.set_mju_user_warning(before)
    if not any(t.name == "credit" for t in spec.texts):
        spec.add_text(name="credit", data=CREDIT)
    return spec
