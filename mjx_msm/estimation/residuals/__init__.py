"""What a model gets wrong about a recording, a file a kind of residual: `moment`, `acceleration`, `motion`.

A term compares a model with all recordings at once. `evaluate` gives the residuals in physical units (simulated minus
recorded, 0 where nothing was measured), `expand` their sum of squares about a point as a quadratic in the
parameters, one per coordinate, so that noise scales can be chosen afterwards. Instants and intervals go through
compiled functions of one shape each, whatever the length of the recordings.

A new kind is a new file with an `AbstractTerm` (see `term`); where it looks at instants of the recorded motion, an
`InstantTerm` (see `instants`).
"""
