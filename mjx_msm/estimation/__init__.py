"""How parameters are estimated: residuals, a file a kind, and the least squares that fits them.

`relaxation` finds starts from far away, `envelope_error` makes unknowns of the errors of the EMG. Nothing here knows
of results: those are in `mjx_msm.knowledge`, and `mjx_msm.identification` leads from one to the other.
Imports from `common`, `person`, `dynamics`, `recordings`.
"""
