"""How fast any smooth risk grows with noise on a group of its parameters, predicted and measured (statement 31).

For iid noise N of zero mean and unit variance on one group of parameters, E R(theta + sigma N) = R(theta) +
sigma^2 tr(H) / 2 + O(sigma^4), with H the Hessian of R in that group: half its trace is the slope under small noise.

Parameters are a mapping from the name of a group to any pytree of arrays, and a risk is a function of them to a
scalar. The functions return samples, are traced by jax, and know nothing of the network; run them in float64, where
the damage of small noise is not lost in the risk.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp

Parameters = Mapping[str, Any]
Risk = Callable[[Any], Any]
Like = Callable[[Any, Any, Any], Any]
"""Of a tree, a key and sample(key, shape, dtype): a random tree of the same shapes and types."""


def leaf_by_leaf(tree: Any, key: Any, sample: Any) -> Any:
    """A tree of the same shapes and types drawn by sample(key, shape, dtype), each leaf by a key of its own."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    drawn = [sample(key, leaf.shape, leaf.dtype) for key, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, drawn)


def all_leaves_at_once(tree: Any, key: Any, sample: Any) -> Any:
    """The same of leaves of one type, cut from one draw: of many leaves it compiles many times faster."""
    leaves, structure = jax.tree.flatten(tree)
    (dtype,) = {leaf.dtype for leaf in leaves}
    ends = list(accumulate(leaf.size for leaf in leaves))
    parts = jnp.split(sample(key, (ends[-1],), dtype), ends[:-1])
    drawn = [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)]
    return jax.tree.unflatten(structure, drawn)


def predicted_slopes(
    risk: Risk,
    parameters: Parameters,
    groups: Sequence[str],
    key: Any,
    probes: int,
    like: Like = leaf_by_leaf,
) -> Any:
    """Unbiased samples (groups, probes) of tr(H) / 2 for each group (Hutchinson 1990).

    A probe z of random signs on all the groups at once gives each group's z_g . (H z)_g, whose mean is the trace of
    that group's own block, since the signs of different groups are independent: one product with the Hessian for all.
    """

    def rest(hit: Parameters) -> Any:
        return risk({**parameters, **hit})

    hit = {group: parameters[group] for group in groups}

    def probe(key: Any) -> Any:
        z = like(hit, key, jax.random.rademacher)
        product = jax.jvp(jax.grad(rest), (hit,), (z,))[1]
        return jnp.stack([_inner(z[group], product[group]) for group in groups]) / 2

    return jax.lax.map(probe, jax.random.split(key, probes)).T


def measured_damages(
    risk: Risk,
    parameters: Parameters,
    groups: Sequence[str],
    sigmas: Any,
    key: Any,
    pairs: int,
    like: Like = leaf_by_leaf,
) -> Any:
    """Growth of the risk (groups, sigmas, pairs) under noise sigma N on one group, N gaussian, averaged over +-N.

    The pair cancels the gradient's part of the damage, whose mean is zero and which is the greatest part of its
    spread where sigma is small. All sigmas share their draws of N, so a curve over sigma is smooth.
    """
    clean = risk(parameters)
    hit = {group: parameters[group] for group in groups}

    def damage(draw: Any) -> Any:
        chosen, key = draw
        N = like(hit, key, jax.random.normal)
        N = {group: _scaled(N[group], chosen == i) for i, group in enumerate(groups)}

        def at(sigma: Any) -> Any:
            moved = jax.tree.map(lambda weights, noise: weights + sigma * noise, hit, N)
            return risk({**parameters, **moved}) - clean

        return jax.vmap(lambda sigma: (at(sigma) + at(-sigma)) / 2)(jnp.asarray(sigmas))

    keys = jax.random.split(key, (len(groups), pairs))
    chosen = jnp.broadcast_to(jnp.arange(len(groups))[:, None], keys.shape)
    flat = jax.lax.map(damage, (chosen.reshape(-1), keys.reshape(-1)))
    return jnp.moveaxis(flat.reshape(len(groups), pairs, -1), 1, 2)


def _scaled(tree: Any, factor: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf * factor, tree)


def _inner(left: Any, other: Any) -> Any:
    return sum(map(jnp.vdot, jax.tree.leaves(left), jax.tree.leaves(other)))
