"""The models of a batch spread over the local devices, each of which goes through its share at its own pace."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from numpy.typing import NDArray

SOON_COMPILED = {
    "xla_backend_optimization_level": 1,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
"""For jax.jit of programs of small matrices: compiled in less than half the time. Most are no slower; draws of deleted
weights, many of which take longer than compiling, are by a tenth or two."""


def over_devices(work: Callable[[Any, Any], Any], shared: Any, models: Any) -> Any:
    """work(shared, models), the leading axis of the models' arrays and of the results split over the local devices.

    To be called under jit, with as many models as `full_batch` makes.
    """
    mesh = Mesh(np.array(jax.local_devices()), ("models",))
    of_models = PartitionSpec("models")
    split = jax.shard_map(
        work,
        mesh=mesh,
        in_specs=(PartitionSpec(), of_models),
        out_specs=of_models,
        check_vma=False,  # the loops of different devices end at different times
    )
    return split(shared, models)


def full_batch(n: int, each: int = 1) -> NDArray[np.intp]:
    """Indices of n models, some of them again, until every local device has the same multiple of `each`."""
    share = each * jax.local_device_count()
    return np.arange(-(-n // share) * share) % n
