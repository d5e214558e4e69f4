"""New recordings through an identified person: what their muscles do, offline and ahead of time.

`offline` runs a recording from its EMG and angles to forces, moments, power and motion, each with the posterior's band;
`prediction` is what comes out, and its files. `predictor` is fed one sample at a time about a
`known_person` and looks ahead: `live_step` is what it does with each, from and to a `live_state`, `extrapolation` what
EMG is taken to do beyond now.
Imports from all rooms up to `identification`.
"""
