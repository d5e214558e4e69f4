"""From an OpenSim model (.osim) to MJCF, through the ``opensim`` package (extra ``[opensim]``), which stays the oracle.

opened      the .osim at hand: coordinates, poses, path lengths and moment arms
skeleton    its bodies as a tree of hinges and slides; what is held is fused, what rolls is the nearest hinge,
                or joints that follow by polynomials
paths       its muscles' points and wraps, and the MuJoCo paths that may stand for them
fitting     one path's points and wraps, fitted to OpenSim's length and moment arms
laws        the law its muscles had
writing     the MJCF
moments     its inverse dynamics against OpenSim's
importing   all of it in turn, and the report of what is left
"""
