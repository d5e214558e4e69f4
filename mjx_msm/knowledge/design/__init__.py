"""Which recordings would tell most about a person: excitations, starting postures and payloads, before the session.

The information that a recording holds about the unknowns z is known before it is made: for angles with white noise of
standard deviation σ it is F = JᵀJ/σ², J the sensitivity of the simulated motion with the initial state eliminated. The
information of trials adds up, so a session is chosen like the points of a classical optimal design: many random
candidates are simulated and the best set among them is picked greedily and by exchange (Fedorov 1972, Theory of Optimal
Experiments), then every trial is refined by random search. The criterion is the expected gain of information over the
prior (Bayesian D-optimality; Lindley 1956, doi 10.1214/aoms/1177728069; Chaloner and Verdinelli 1995, doi
10.1214/ss/1177009939), or the widest relative interval. The design is local: it is the best for the subject at which
it is made, the prior mean unless another is given.

A trial starts at rest in a posture that the limb is held in, with the muscles at their first excitation; then it is
let go. Prescribed coordinates stay where they start.
"""
