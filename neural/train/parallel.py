"""Devices and hosts: a mesh of models and data, how parameters lie on it, and arrays to and from it.

A run of S models on N devices has a mesh of gcd(S, N) groups of devices, each with its share of the models; within a
group every device takes its share of each batch. Parameters are the same on all devices of a group (`data`), or
each matrix is divided over them and gathered where it is used (`full`). Several hosts run the same program, and each
keeps the part of an array that its devices hold.
"""

from math import gcd
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sim.runs.errors import UserError

if TYPE_CHECKING:
    import jax
    from jax.sharding import Mesh, NamedSharding

Shard = Literal["data", "full"]


def connect(coordinator: str, hosts: int, host: int) -> None:
    """Join the hosts of a run, before anything else is computed. coordinator is "address:port" of host 0."""
    import jax

    if not 0 <= host < hosts:
        raise UserError(f"--host {host} of {hosts}: give 0 to {hosts - 1}, each to one host")
    address, _, port = coordinator.rpartition(":")
    if not (address and port.isascii() and port.isdecimal() and 0 < int(port) < 2**16):
        raise UserError(
            f"--coordinator {coordinator}: give host 0's address:port, as 10.0.0.1:1234"
        )
    try:
        jax.distributed.initialize(coordinator, num_processes=hosts, process_id=host)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"cannot join {hosts} hosts at {coordinator} ({reason}): start all, give them host 0's address:port"
        ) from None


def mesh_of(models: int) -> "Mesh":
    """All devices of all hosts, as (groups of models, devices that share a batch)."""
    import jax
    from jax.sharding import Mesh

    devices = np.array(jax.devices())
    groups = gcd(models, len(devices))
    return Mesh(devices.reshape(groups, -1), ("models", "data"))


def everywhere(mesh: "Mesh") -> "NamedSharding":
    """The same on all devices."""
    from jax.sharding import NamedSharding, PartitionSpec

    return NamedSharding(mesh, PartitionSpec())


def of_batch(mesh: "Mesh") -> "NamedSharding":
    """Tokens (models, parts, sequences, context + 1): models over groups, sequences over the devices of a group."""
    from jax.sharding import NamedSharding, PartitionSpec

    return NamedSharding(mesh, PartitionSpec("models", None, "data"))


def of_windows(mesh: "Mesh") -> "NamedSharding":
    """Tokens (languages, parts, sequences, context + 1), the same for all models: sequences over devices of a group."""
    from jax.sharding import NamedSharding, PartitionSpec

    return NamedSharding(mesh, PartitionSpec(None, None, "data"))


def division(arrays: Any, mesh: "Mesh", shard: Shard, *, stacked: bool) -> Any:
    """A sharding for each of the arrays of a model, or of a stack of models with a leading axis that groups share.

    `full` divides the largest axis of a matrix that the devices of a group divide evenly.
    """
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    devices = mesh.shape["data"]

    def sharding(array: Any) -> "NamedSharding":
        shape = array.shape[1:] if stacked else array.shape
        axes: list[str | None] = [None] * len(shape)
        even = [axis for axis, size in enumerate(shape) if size % devices == 0]
        if shard == "full" and len(shape) > 1 and even:
            axes[max(even, key=lambda axis: shape[axis])] = "data"
        return NamedSharding(mesh, PartitionSpec(*(["models"] if stacked else []), *axes))

    return jax.tree.map(sharding, arrays)


def check(sequences: int, models: int) -> None:
    """Raise UserError unless the devices of a group can share so many sequences."""
    import jax

    devices = jax.device_count()
    share = devices // gcd(models, devices)
    if sequences % share:
        raise UserError(
            f"{sequences} sequences at once on {share} devices: make --batch / --accumulation a multiple of {share}"
        )


def place(array: NDArray[Any], sharding: "NamedSharding") -> "jax.Array":
    """A numpy array that all hosts have, on the devices; each host transfers what its own devices hold."""
    import jax

    if sharding.is_fully_addressable:
        return jax.device_put(array, sharding)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def fetch(tree: Any) -> Any:
    """Whole numpy arrays on every host. All hosts must take part."""
    import jax
    from jax.experimental import multihost_utils

    def whole(array: "jax.Array") -> NDArray[Any]:
        if array.is_fully_addressable or array.is_fully_replicated:
            return np.asarray(array)
        return multihost_utils.process_allgather(array, tiled=True)

    return jax.tree.map(whole, tree)


def is_first() -> bool:
    """Whether this is the host that writes."""
    import jax

    return jax.process_index() == 0


def barrier(name: str) -> None:
    """Wait for the other hosts."""
    import jax
    from jax.experimental import multihost_utils

    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


def agree(fingerprint: str) -> None:
    """Raise UserError unless all hosts have read the same."""
    import jax
    from jax.experimental import multihost_utils

    if jax.process_count() > 1:
        mine = np.frombuffer(fingerprint.encode(), dtype=np.uint8)
        if (multihost_utils.process_allgather(mine) != mine).any():
            raise UserError(
                "hosts have read different text or tokenizers: give all the same --corpus and --tokenizer"
            )
