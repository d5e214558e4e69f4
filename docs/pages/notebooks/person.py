# %% [markdown]
# # A person from a recording
#
# A recording of somebody's arm goes in; their muscles and bones come out, with how surely they are known. The somebody
# is made up, so that the truth is at hand; with [a recording of yours](../../bring/recording/) only the first cell
# differs.

# %%
# %matplotlib inline
import tempfile
from pathlib import Path

import mjx_msm as msm

model = msm.load_model("arm")
someone = msm.synthetic_subject(model, seed=1)
trials = msm.synthetic_trials(model, someone, count=2, duration=1.0, rate=250, seed=1, angle_noise=0.005)
trials[0].coordinates, trials[0].position.shape, trials[0].emg.shape

# %% [markdown]
# ## Identify
#
# `NotebookProgress` shows where it is. The result shows itself as a table: grey rows are left to the prior.

# %%
result = msm.identify(
    model,
    trials,
    free=["muscle/*/max_isometric_force", "muscle/*/optimal_fiber_length", "body/*/mass"],
    listener=msm.NotebookProgress(),
)
result

# %% [markdown]
# ## How surely
#
# As a table for pandas, and as the picture of it, with the truth marked.

# %%
table = result.to_dataframe()
table["truth"] = [someone.to_dict()[path] for path in table.index]
table["holds"] = (table.low <= table.truth) & (table.truth <= table.high)
table[["unit", "generic", "estimate", "low", "high", "truth", "holds", "knowledge"]]

# %%
from mjx_msm.views.figures import parameter_figure

parameter_figure(result, someone.to_dict())

# %% [markdown]
# Everybody's diagnostics work on the draws from its posterior: `to_arviz` gives them with the prior beside.

# %%
tree = result.to_arviz()
strength = tree["posterior"]["muscle_max_isometric_force"]
strength.quantile([0.025, 0.5, 0.975], dim=("chain", "draw")).to_pandas()

# %% [markdown]
# ## Take it elsewhere
#
# A file that plain MuJoCo loads, and one that holds all that is known of the person.

# %%
folder = Path(tempfile.mkdtemp())
result.export(folder / "someone.xml")
result.save(folder / "someone.json")
assert table["holds"].mean() >= 0.7
