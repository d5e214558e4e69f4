"""New recordings through an identified person: what their muscles do, offline and ahead of time.

`offline` runs a recording from its EMG and angles to forces, moments, power and motion, each with the posterior's band;
`prediction` is what comes out, and its files. Imports from all rooms up to `identification`.
"""
