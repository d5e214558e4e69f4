"""The person: whose body it is, what they want, and what of it arrives at their muscles.

`drive` is the way from intent to excitation, past reflex, tremor and fatigue; another intent goes into `intent`.
`arm` and `leg` say which models are one. Imports from `motions`, `engines`.
"""
