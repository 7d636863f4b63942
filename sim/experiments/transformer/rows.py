"""Rows of one batch of transformers: train, break the bottleneck and the groups before it, set the predictions beside.

Rows of group "W" hold the measured risk against the exact formula for the trained weights
(sim.experiments.transformer.bottleneck), and the slope of the trained weights against that of the optimum for the same
features: orthonormal W, covariance S. Rows of the other groups have no closed form: strength is the absolute noise
sigma, slope_measured the growth of the risk over sigma^2, and slope_curvature what half the trace of the Hessian
predicts for sigma -> 0 (statement 31).

`residual` is how far the last two maps are from that optimum: the excess of the risk, relative to that of predicting 0.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sim.config import STRENGTHS, Cell
from sim.experiments.transformer.bottleneck import Bottleneck
from sim.experiments.transformer.config import Architecture, TransformerBatch, TransformerTasks
from sim.experiments.transformer.model import risk, teacher_features, train
from sim.failures.curvature import measured_damages, predicted_slopes
from sim.failures.named import MAKE, exposure
from sim.runs.identity import identity
from sim.scatter import Scatter, of_sample
from theory.covariance import Array
from theory.geometry import KINDS, sample
from theory.representation import Representation, optimal_representation

TOLERANCE = 1e-3
"""Largest residual of a model that counts as converged."""


def rows(batch: TransformerBatch, tasks: TransformerTasks) -> Iterator[dict[str, Any]]:
    """The rows of the sweep's table: one a model, group of parameters, failure and strength."""
    net, T = tasks.architecture, batch.T
    cells = [Cell(geometry, tasks.d, T, tasks.k, seed, "adam") for geometry, seed in tasks.grid]
    names = [identity((cell, net)) for cell in cells]
    targets = np.stack([_targets(net, cell) for cell in cells])
    seeds = np.array([int(name[:8], 16) for name in names], dtype=np.uint32)
    split = jax.vmap(partial(jax.random.split, num=3), out_axes=1)
    train_keys, *noise_keys = split(jax.vmap(jax.random.key)(seeds))
    # Padded alike, the batches of all T share their programs.
    padded = np.pad(targets, ((0, 0), (0, 0), (0, max(tasks.T) - T)))
    trained = train(net, padded, T, tasks.d, tasks.k, train_keys)
    with jax.enable_x64(True):
        models = trained.parameters, jnp.asarray(padded), *noise_keys
        samples = _slopes_and_damages(
            net, tasks.probes, tasks.pairs, jnp.asarray(tasks.sigmas), float(T), models
        )
        slopes, damages = map(np.asarray, samples)

    for i, cell in enumerate(cells):
        model = Representation(trained.parameters["W"][i], trained.parameters["heads"][i][:, :T])
        bottleneck = Bottleneck.fitted(trained.features[i], targets[i])
        optimum = optimal_representation(bottleneck.C, cell.k, covariance=bottleneck.covariance)
        clean, zero = float(bottleneck.risk(model.W, model.heads)), float(np.mean(targets[i] ** 2))
        residual = (clean - bottleneck.unexplained - optimum.risk) / zero
        of_model = {
            "identity": names[i],
            "network": "transformer",
            "geometry": cell.geometry,
            "options": json.dumps(dict(KINDS[cell.geometry].defaults) | asdict(net)),
            "inputs": "tokens",
            **{name: getattr(cell, name) for name in ("d", "T", "k", "seed", "trainer")},
            "risk_zero": zero,
            "risk_clean": clean,
            "converged": bool(residual <= TOLERANCE),
            "residual": residual,
            "iterations": net.steps,
        }
        of_bottleneck = {"slope_closed_form": optimum.slope, "slope_trained": model.slope}
        for row in _bottleneck_rows(tasks, bottleneck, model, clean, names[i]):
            yield of_model | of_bottleneck | row
        for row in _group_rows(tasks, clean, slopes[i], damages[i]):
            yield of_model | row


def _targets(network: Architecture, cell: Cell) -> Array:
    """The cell's tasks of the teacher's features, (sequences, T)."""
    C = sample(cell.geometry, cell.d, cell.T, cell.seed)
    return teacher_features(network, cell.d, cell.seed) @ C


def _bottleneck_rows(
    tasks: TransformerTasks, bottleneck: Bottleneck, model: Representation, clean: float, name: str
) -> Iterator[dict[str, Any]]:
    """What is particular to the failures of W."""
    for perturbation in tasks.perturbations:
        strengths = STRENGTHS[perturbation]
        # One stream a perturbation: strengths share their draws.
        rng = np.random.default_rng(int(identity((name, perturbation)), 16))
        risks_by_strength = bottleneck.measured_risks(
            perturbation, strengths, model, tasks.draws, rng
        )
        for strength, risks in zip(strengths, risks_by_strength, strict=True):
            exposed = exposure(perturbation, strength, bottleneck.covariance.trace, "adam")
            failure = MAKE[perturbation](strength)
            yield {
                "group": "W",
                "perturbation": perturbation,
                "strength": strength,
                "risk_closed_form": bottleneck.expected_risk(failure, model),
                **_measured(
                    clean, risks - clean, exposed, bottleneck.scatter(failure, model, risks)
                ),
            }


def _group_rows(
    tasks: TransformerTasks, clean: float, slopes: Array, damages: Array
) -> Iterator[dict[str, Any]]:
    """What is particular to noise on a group: from slopes (groups, probes) and damages (groups, sigmas, pairs)."""
    for group, predicted, of_group in zip(tasks.architecture.groups, slopes, damages, strict=True):
        for sigma, damage in zip(tasks.sigmas, of_group, strict=True):
            yield {
                "group": group,
                "perturbation": "additive-noise",
                "strength": sigma,
                "slope_curvature": predicted.mean(),
                "slope_curvature_standard_error": of_sample(predicted).standard_error,
                **_measured(clean, damage, sigma**2, of_sample(damage)),
            }


def _measured(clean: float, damages: Array, exposed: float, chance: Scatter) -> dict[str, Any]:
    """The columns of independent samples of the damage, and of the slope they give."""
    unit = exposed if exposed > 0 else np.nan
    return {
        "draws": len(damages),
        "risk_measured": clean + damages.mean(),
        **chance._asdict(),
        "slope_measured": damages.mean() / unit,
        "slope_standard_error": chance.standard_error / unit,
    }


@partial(jax.jit, static_argnames=("network", "probes", "pairs"))
def _slopes_and_damages(
    network: Architecture, probes: int, pairs: int, sigmas: Any, tasks: Any, models: Any
) -> tuple[Any, Any]:
    """Samples of the predicted slopes (n, groups, probes) and of damages (n, groups, sigmas, pairs)."""

    def of_model(model: Any) -> tuple[Any, Any]:
        parameters, targets, probe_key, noise_key = model
        of_parameters = partial(risk, network, targets=targets, tasks=tasks)
        return (
            predicted_slopes(of_parameters, parameters, network.groups, probe_key, probes),
            measured_damages(of_parameters, parameters, network.groups, sigmas, noise_key, pairs),
        )

    return jax.lax.map(of_model, models)
