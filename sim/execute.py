"""Where batches run: in this process, or in local processes."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")


def execute(work: Callable[[Item], None], items: list[Item], workers: int) -> Iterator[Item]:
    """Do the work on every item, and yield each when it is done, in any order.

    With one worker the work is done here; with more, in processes that are spawned, since JAX's threads do not survive
    a fork. The first exception ends the rest.
    """
    if workers <= 1 or len(items) <= 1:
        for item in items:
            work(item)
            yield item
        return
    with ProcessPoolExecutor(min(workers, len(items)), mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(work, item): item for item in items}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
