"""The last linear maps of a trained network as the theory's linear model, whatever lies before them.

A network predicts heads^T W phi(x) from features phi (d,), and its targets y(x) (T,) need not be linear in them. Let
S = E[phi phi^T] over the inputs the risk is an average of, and C = S^+ E[phi y^T] the best linear readout. Then
y - C^T phi is uncorrelated with phi, so that for any weights W' in the place of W

    R(W', heads) = E|y - heads^T W' phi|^2 / T = E|y - C^T phi|^2 / T + |S^(1/2) (C - W'^T heads)|_F^2 / T:

a part that no failure of W changes, and the theory's risk for the task matrix C and the covariance S. Every exact
expectation of theory.perturbation therefore holds for the trained weights as they are, optimal or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from sim.failures.named import MAKE
from sim.scatter import Scatter, of_sample, scatter
from theory.covariance import Array, Covariance
from theory.perturbation import Deterministic, NoClosedForm, Perturbation
from theory.representation import Representation

MEMORY = 2**24
"""Bytes of predictions held at once."""


@dataclass(frozen=True, eq=False)
class Bottleneck:
    """Features (n, d) and targets (n, T) of equally likely inputs, with S, C (d, T) and what C leaves unexplained."""

    features: Array
    targets: Array
    covariance: Covariance
    C: Array
    unexplained: float

    @classmethod
    def fitted(cls, features: Array, targets: Array) -> Self:
        """Fit C by least squares, of least norm where S is singular."""
        S = Covariance.of_inputs(features)
        fit: Any = np.linalg.lstsq(S.coordinates(features.T).T, targets)[0]
        C = S.embed(fit)
        return cls(features, targets, S, C, float(np.mean((targets - features @ C) ** 2)))

    def risk(self, W: Array, heads: Array) -> Array:
        """Mean square error with weights W (..., k, d), from the predictions themselves: (...)."""
        errors = self.features @ np.swapaxes(W, -1, -2) @ heads - self.targets
        return np.mean(errors**2, axis=(-2, -1))

    def expected_risk(self, failure: Perturbation, model: Representation) -> float:
        """The exact expectation of the risk over the failure's draws; NaN where no closed form is known."""
        answer = failure.expected_risk(model, self.C, self.covariance)
        return np.nan if isinstance(answer, NoClosedForm) else float(self.unexplained + answer)

    def scatter(self, failure: Perturbation, model: Representation, risks: Array) -> Scatter:
        """Of the mean of the risks (draws,) under a failure: exact where the theory knows the law of a draw."""
        return scatter(
            failure.risk_variance(model, self.C, self.covariance),
            failure.risk_distribution(model, self.C, self.covariance),
            of_sample(risks),
            len(risks),
        )

    def measured_risks(
        self,
        name: str,
        strengths: Sequence[float],
        model: Representation,
        draws: int,
        rng: np.random.Generator,
    ) -> Array:
        """Risks (strengths, draws) under independent draws of a failure, which its strengths share.

        The features are those of the unbroken network: no failure of W reaches what lies before it. One draw where
        nothing is random.
        """
        failures = [MAKE[name](strength) for strength in strengths]
        draws = 1 if isinstance(failures[0], Deterministic) else draws
        block = max(1, MEMORY // (8 * self.targets.size))
        blocks = []
        for start in range(0, draws, block):
            shape = (min(block, draws - start), *model.W.shape)
            draw = failures[0].draw(shape, rng)
            copies = np.broadcast_to(model.W, shape)
            risks = [self.risk(failure.apply(copies, draw), model.heads) for failure in failures]
            blocks.append(np.stack(risks))
        return np.concatenate(blocks, axis=1)
