"""Is the Laplace posterior right? NUTS on the same posterior of a small noisy arm, marginal by marginal.

    python examples/benchmarks/posterior.py [--quick] [--json FILE]

Two trials of 1 s with 0.3° of angle noise; nine unknowns, among them optimal fiber and tendon slack length of the
brachialis, which hardly move apart. The posterior is the estimator's own, noise scales at their best values
(`mjx_msm.knowledge.profile_likelihood.Posterior`), restricted to the bounds. NUTS (Hoffman and Gelman 2014; blackjax,
``pip install "mjx-msm[bench]"``) walks in units of the Laplace covariance. That is compared which follows from the
curvature at the mode; a result's is a little wider, because it counts residuals that repeat each other as fewer.
`--quick` takes 150 draws of one chain instead of 500 of two, about 3 minutes instead of 20. Rows have the form
``{"name", "target", "measured", "unit", "met", "n"}``.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import blackjax  # pyright: ignore[reportMissingImports]
import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

import mjx_msm as msm
from mjx_msm.knowledge.log_posterior import Posterior, posterior_of
from mjx_msm.knowledge.uncertainty import truncated_normal

FREE = ["muscle/*/max_isometric_force", "muscle/BRA/*_length", "body/forearm/mass"]
SPREAD, NOISE = 0.1, np.deg2rad(0.3)
SETTLE = 6
"""Gauss–Newton steps of the initial states per evaluation, at most; two or three settle them."""


def problem() -> tuple[msm.Identification, Posterior]:
    """An identified arm, and its posterior."""
    model, rng = msm.load_model("arm"), np.random.default_rng(1)
    values = model.nominal.to_dict()
    paths = [p for p in values if any(fnmatch.fnmatchcase(p, pattern) for pattern in FREE)]
    truth = model.nominal.updated({p: values[p] * (1 + SPREAD * rng.uniform(-1, 1)) for p in paths})
    trials = msm.synthetic_trials(model, truth, count=2, duration=1.0, rate=250, seed=1, angle_noise=NOISE)
    result = msm.identify(model, trials, free=FREE)
    return result, posterior_of(model, trials, result)


def walk(
    posterior: Posterior, centre: np.ndarray, covariance: np.ndarray, count: int, warmup: int, seed: int
) -> tuple[Any, int]:
    """Draws of z by NUTS, and how often the posterior was evaluated."""
    root, space, evaluations, latest = np.linalg.cholesky(covariance), posterior.space, 0, []

    def evaluate(w: Any) -> tuple[np.ndarray, np.ndarray]:
        nonlocal evaluations, latest
        z = centre + root @ np.asarray(w, dtype=float)
        if np.any((z < space.lower) | (z > space.upper)):
            return np.array(-np.inf), np.zeros(len(z))
        evaluations += 1
        value, gradient, latest = posterior(z, latest or None, settle=SETTLE)
        if not np.isfinite(value):
            latest = []
            return np.array(-np.inf), np.zeros(len(z))
        return np.array(-value), -root.T @ gradient

    shapes = jax.ShapeDtypeStruct((), np.float64), jax.ShapeDtypeStruct(centre.shape, np.float64)

    @jax.custom_vjp
    def log_density(w: Any) -> Any:
        return jax.pure_callback(evaluate, shapes, w)[0]

    log_density.defvjp(lambda w: jax.pure_callback(evaluate, shapes, w), lambda gradient, g: (g * gradient,))
    kernel = blackjax.nuts(log_density, step_size=0.5, inverse_mass_matrix=jnp.ones(len(centre)), max_num_doublings=5)
    step = jax.jit(kernel.step)
    start = 0.5 * np.random.default_rng(seed).standard_normal(len(centre))
    state, out = kernel.init(jnp.asarray(start), jax.random.key(seed)), []
    for k in range(warmup + count):
        state, _ = step(jax.random.fold_in(jax.random.key(seed), k), state)
        if k >= warmup:
            out.append(centre + root @ np.asarray(state.position))
    return np.array(out), evaluations


def row(name: str, target: float, measured: float, unit: str, n: int) -> dict[str, Any]:
    """One line of the table: what was wanted at most, what came out."""
    return {"name": name, "target": target, "measured": measured, "unit": unit, "met": measured <= target, "n": n}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="150 draws of one chain")
    parser.add_argument("--json", type=Path, help="write the rows here")
    options = parser.parse_args()
    chains, count, warmup = (1, 150, 20) if options.quick else (2, 500, 30)
    jax.config.update("jax_enable_x64", True)
    result, posterior = problem()
    space, centre = posterior.space, np.array(result.z)
    centre_states = posterior(centre, settle=20)[2]
    curvature = posterior.known(centre, centre_states).spread
    began, draws, evaluations = time.perf_counter(), [], 0
    for seed in range(chains):
        drawn, used = walk(posterior, centre, curvature, count, warmup, seed)
        draws.append(drawn)
        evaluations += used
    seconds = time.perf_counter() - began
    every = np.stack(draws)  # (chain, draw, parameter)
    effective = np.asarray(blackjax.diagnostics.effective_sample_size(every))
    nuts = every.reshape(-1, every.shape[-1])
    laplace = truncated_normal(centre, curvature, space.lower, space.upper, 10_000, seed=0)
    wider = np.sqrt(np.diag(result.covariance) / np.diag(curvature))

    table = Table("", "sd, Laplace", "sd, NUTS", "95 %, Laplace", "95 %, NUTS", "effective draws", box=None)
    physical = space.physical
    for k, e in enumerate(result.estimates):
        ends = [[physical(np.quantile(x, q, axis=0))[k] for q in (0.025, 0.975)] for x in (laplace, nuts)]
        table.add_row(
            f"{e.path}, {e.unit}",
            *(f"{np.std(np.array([physical(z)[k] for z in x])):.3g}" for x in (laplace, nuts)),
            *(f"{a:.4g} … {b:.4g}" for a, b in ends),
            f"{effective[k]:.0f}",
        )
    Console(width=118).print(table)

    sd = laplace.std(axis=0)
    ratio = nuts.std(axis=0) / sd
    shift = np.abs(nuts.mean(axis=0) - laplace.mean(axis=0)) / sd
    quantiles = [np.quantile(x, (0.025, 0.975), axis=0) for x in (laplace, nuts)]
    size = len(nuts)
    error = float(np.sqrt(1.0 / effective.min()))  # of a mean, in sd; about √½ of it of an sd, twice of an end
    rows = [
        row("largest difference of a marginal sd", 0.1 + 2 * error, float(np.abs(ratio - 1).max()), "of it", size),
        row("largest difference of a mean", 0.1 + 3 * error, float(shift.max()), "sd", size),
        row(
            "largest difference of an end of a 95 % interval",
            0.25 + 5 * error,
            float(np.abs((quantiles[1] - quantiles[0]) / sd).max()),
            "sd",
            size,
        ),
        row("a result's sd over that of the curvature, largest", np.inf, float(wider.max()), "-", len(wider)),
        row("fewest effective draws", np.inf, float(effective.min()), "", size),
        row("time of the walk", np.inf, seconds, "s", evaluations),
    ]
    table = Table("", "target", "measured", "unit", "met", "n", box=None)
    for r in rows:
        wanted = "" if np.isinf(r["target"]) else f"{r['target']:.3g}"
        table.add_row(
            r["name"], wanted, f"{r['measured']:.3g}", r["unit"], "" if not wanted else "yes" if r["met"] else "no",
            str(r["n"]),
        )  # fmt: skip
    Console(width=118).print(table)
    if options.json:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        for r in rows:  # JSON has no infinity: a figure without a target
            r["target"] = None if np.isinf(r["target"]) else r["target"]
        options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
