"""What is measured of a stack of models: clean losses, losses under failure, slopes under small noise, spectra.

Each function returns a table with a row a number: columns `model`, `seed`, `step`, and its own. Losses are in nats a
token and in bits a byte.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from neural.gpt.config import Compute
from neural.gpt.parts import names_of
from neural.measures import curvature, spectra
from neural.measures.perturb import curve
from neural.measures.scoring import score
from neural.robustness.plan import Hit, Measures
from neural.study.stack import Stack
from neural.text.tokens import Tokens, windows

Texts = Mapping[str, Tokens]


def clean(stack: Stack, texts: Texts, measures: Measures) -> pd.DataFrame:
    """The loss and the perplexity of every model on every text."""
    parts = []
    for text, tokens in texts.items():
        scores = score(stack.parameters, stack.config, tokens, measures.sliding)
        estimates = {name: measure.value for name, measure in scores.estimates(resamples=1).items()}
        parts.append(_of_models(stack).assign(text=text, **estimates))
    return pd.concat(parts, ignore_index=True)


def curves(
    stack: Stack, texts: Texts, hit: Hit, measures: Measures, *, matched: str = ""
) -> pd.DataFrame:
    """The losses under every failure at every strength, draw by draw.

    matched: the model to whose loss these were stopped, if they were.
    """
    parts = []
    for failure, strengths in hit.failures:
        for text, tokens in texts.items():
            losses = curve(
                stack.parameters,
                stack.config,
                tokens,
                measures.sliding,
                hit.group,
                failure,
                strengths,
                seed=measures.seed,
                draws=measures.draws,
            )
            place, level, draw = (index.reshape(-1) for index in np.indices(losses.nats.shape))
            rows = _of_models(stack).loc[place].reset_index(drop=True)
            parts.append(
                rows.assign(
                    text=text,
                    group=hit.group,
                    failure=failure,
                    level=level,
                    strength=np.asarray(strengths)[level],
                    draw=draw,
                    nats_per_token=losses.nats_per_token.reshape(-1),
                    bits_per_byte=losses.bits_per_byte.reshape(-1),
                )
            )
    return pd.concat(parts, ignore_index=True).assign(matched=matched)


def slopes(stack: Stack, texts: Texts, measures: Measures) -> pd.DataFrame:
    """Growth of the loss under small noise on each group, absolute and relative: predicted, and measured by sigma."""
    plan = measures.curvature
    groups = {name: names_of(name, stack.config) for name in plan.groups}
    compute = Compute("float64" if stack.config.parameters <= curvature.FINE else "float32")
    rows: list[dict[str, Any]] = []
    for place, seed in enumerate(stack.seeds):
        model = {name: value[place] for name, value in stack.parameters.items()}
        for text, tokens in texts.items():
            read = windows(tokens, plan.windows, stack.config.context)
            options: dict[str, Any] = {"seed": measures.seed, "compute": compute}
            predicted = curvature.curvature(
                model, stack.config, read, probes=plan.probes, **options
            )
            for relative, sigmas in ((False, plan.sigmas), (True, plan.relative)):
                hessian = predicted.slopes(groups, relative=relative)
                gauss_newton = predicted.slopes(groups, matrix="gauss_newton", relative=relative)
                measured = curvature.damages(
                    model,
                    stack.config,
                    read,
                    groups,
                    sigmas,
                    pairs=plan.pairs,
                    relative=relative,
                    **options,
                ).slopes()
                rows += [
                    {
                        "model": stack.name,
                        "seed": seed,
                        "step": stack.steps[place],
                        "text": text,
                        "group": group,
                        "noise": "relative" if relative else "absolute",
                        "sigma": sigma,
                        "hessian": hessian.value[g],
                        "hessian_standard_error": hessian.standard_error[g],
                        "gauss_newton": gauss_newton.value[g],
                        "gauss_newton_standard_error": gauss_newton.standard_error[g],
                        "measured": measured.value[g, s],
                        "measured_standard_error": measured.standard_error[g, s],
                    }
                    for g, group in enumerate(groups)
                    for s, sigma in enumerate(sigmas)
                ]
    return pd.DataFrame(rows)


def spectra_of(stack: Stack) -> pd.DataFrame:
    """What neural.measures.spectra reads off every weight matrix."""
    matrices = spectra.spectra(stack.parameters)
    models = _of_models(stack).loc[matrices.pop("copy").to_numpy()].reset_index(drop=True)
    return pd.concat([models, matrices.rename(columns={"name": "matrix"})], axis=1)


def _of_models(stack: Stack) -> pd.DataFrame:
    return pd.DataFrame({"model": stack.name, "seed": stack.seeds, "step": stack.steps})
