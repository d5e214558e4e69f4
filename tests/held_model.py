"""A whole model in C whose other joints are held, against a reduced one: what both do at one state."""

import mujoco
import numpy as np


def compared(whole, part, held, position, velocity, activation):
    """Lengths, moment arms and accelerations of `part` (a compiled model), and those of `whole` with `held` in place.

    The whole model's accelerations are those under forces that keep the other joints where they are:
    M_kk q̈_k = (τ − bias)_k. `position`, `velocity`: of part's joints, by name; `held`: of the others, by name.
    """
    names = [part.joint(j).name for j in range(part.njnt)]
    acts = [part.actuator(i).name for i in range(part.nu)]
    small, big = mujoco.MjData(part), mujoco.MjData(whole)
    for name, value in held.items():
        at, value = whole.joint(name).qposadr[0], np.atleast_1d(value)
        big.qpos[at : at + len(value)] = value
    dofs = []
    for name in names:
        for m, d in ((part, small), (whole, big)):
            d.qpos[m.joint(name).qposadr[0]], d.qvel[m.joint(name).dofadr[0]] = position[name], velocity[name]
        dofs.append(int(whole.joint(name).dofadr[0]))
    same = [whole.actuator(a).id for a in acts]
    for m, d, i in ((part, small, np.arange(part.nu)), (whole, big, np.array(same))):
        address = m.actuator_actadr[i]
        d.act[address[address >= 0]] = activation[: np.count_nonzero(address >= 0)]
        mujoco.mj_forward(m, d)
    matrix = np.zeros((whole.nv, whole.nv))
    mujoco.mj_fullM(whole, big, matrix)
    force = big.qfrc_passive - big.qfrc_bias + _arms(whole, big)[same].T @ big.actuator_force[same]
    acceleration = np.linalg.solve(matrix[np.ix_(dofs, dofs)], force[dofs])
    return (
        (small.actuator_length.copy(), _arms(part, small), small.qacc.copy()),
        (big.actuator_length[same], _arms(whole, big)[np.ix_(same, dofs)], acceleration),
    )


def _arms(m, d):
    out = np.zeros((m.nu, m.nv))
    mujoco.mju_sparse2dense(out, d.actuator_moment, d.moment_rownnz, d.moment_rowadr, d.moment_colind)
    return out
