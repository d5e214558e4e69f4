# %% [markdown]
# # Many people, and what they tell of each other
#
# Twelve people are recorded for half a second each, which leaves much open. They have something in common, though: they
# are all weaker than the model. The population learned from all of them makes each better known.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import numpy as np

import mjx_msm as msm

model = msm.load_model("arm")
free = ["muscle/*/max_isometric_force"]
space = msm.parameter_space(model.nominal, free)
rng = np.random.default_rng(0)
truths, cohort = {}, {}
for k in range(12):
    name = f"person {k + 1}"
    strength = np.exp(-0.25 + 0.1 * rng.normal(size=space.size))
    values = {path: float(s * model.nominal.to_dict()[path]) for path, s in zip(space.paths, strength, strict=True)}
    truths[name] = values
    someone = model.nominal.updated(values)
    cohort[name] = msm.synthetic_trials(model, someone, count=1, duration=0.5, rate=250, seed=k, angle_noise=0.01)

# %% [markdown]
# ## Everybody by themselves

# %%
alone = msm.identify_many(model, cohort, free=free, held="exact")
alone["person 1"]

# %% [markdown]
# ## Everybody with what the others lead to expect

# %%
from mjx_msm.knowledge.population import learned

population = learned(alone, name="twelve")
together = {name: population.shrunk(result) for name, result in alone.items()}


def error(results) -> float:
    """Root mean square of the logarithm, over everybody and every muscle."""
    off = [np.log(e.value / truths[name][e.path]) for name, r in results.items() for e in r.estimates]
    return float(np.sqrt(np.mean(np.square(off))))


print(f"off the truth: {error(alone):.1%} alone, {error(together):.1%} with the population")
assert error(together) < error(alone)

# %%
from matplotlib.figure import Figure

path = "muscle/TRIlat/max_isometric_force"
figure = Figure(figsize=(7, 3.2), layout="constrained")
axes = figure.subplots()
for k, name in enumerate(cohort):
    for results, shift, colour in ((alone, -0.15, "0.6"), (together, 0.15, "#c8374d")):
        e = results[name][path]
        axes.errorbar(k + shift, e.value, [[e.value - e.low], [e.high - e.value]], fmt="o", ms=3, color=colour)
    axes.plot(k, truths[name][path], "_", ms=14, color="#00798c")
axes.set(xlabel="person", ylabel="TRIlat [N]", title="grey: alone, red: with the others, line: truth")
figure

# %% [markdown]
# ## Somebody whom nobody recorded
#
# The population is a file that `identify(prior=…)`, environments and `mjx-msm verify` take.

# %%
population.save(Path(tempfile.mkdtemp()) / "population.json")
population.somebody()
