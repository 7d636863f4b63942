"""Permutations of 0 .. n-1 that are computed entry by entry: nothing is stored, whatever n, and no state is kept.

A Feistel network on a table of about sqrt(n) rows and columns is a bijection whatever its round function; an entry that
leaves the range is sent through again until it is back, which few are. (Black and Rogaway, Ciphers with arbitrary
finite domains, CT-RSA 2002: generalised Feistel and cycle walking.)
"""

import hashlib
from math import isqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

Words = NDArray[np.uint64]

ROUNDS = 6
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
"""Odd multipliers of SplitMix64 (Steele, Lea and Flood 2014), whose products keep their low 64 bits."""


def key(*parts: int | str) -> int:
    """A 64-bit number that differs wherever a part does."""
    text = "\0".join(f"{type(part).__name__} {part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def mix(word: ArrayLike, number: ArrayLike) -> Words:
    """64-bit words hashed with numbers, elementwise."""
    with np.errstate(over="ignore"):
        return _scramble(np.asarray(word, np.uint64) + GOLDEN * np.asarray(number, np.uint64))


def shuffles(n: int, keys: ArrayLike) -> NDArray[np.int64]:
    """A permutation of 0 .. n-1 for each key, (len(keys), n), all of them equally likely; for small n."""
    keys = np.asarray(keys, np.uint64)[:, None]
    return np.argsort(mix(keys, np.arange(n)), axis=1, kind="stable")


def permute(index: ArrayLike, n: int, keys: ArrayLike) -> NDArray[np.int64]:
    """Where the permutation of 0 .. n-1 that a key names sends an index; elementwise over indices and keys."""
    entry, keys = np.broadcast_arrays(np.asarray(index, np.uint64), np.asarray(keys, np.uint64))
    with np.errstate(over="ignore"):
        round_keys = [_scramble(keys + GOLDEN * np.uint64(number)) for number in range(ROUNDS)]
        entry = _through(entry, n, round_keys)
        while (outside := entry >= n).any():
            again = _through(entry[outside], n, [word[outside] for word in round_keys])
            entry[outside] = again
    return entry.astype(np.int64)


def _through(entry: Words, n: int, round_keys: list[Words]) -> Words:
    rows = np.uint64(isqrt(n - 1) + 1)
    columns = np.uint64(-(-n // int(rows)))
    column, row = np.divmod(entry, rows)
    for number, word in enumerate(round_keys):
        if number % 2:
            column = (column + _scramble(row ^ word)) % columns
        else:
            row = (row + _scramble(column ^ word)) % rows
    return column * rows + row


def _scramble(words: Words) -> Words:
    words = words * FIRST
    words = (words ^ (words >> np.uint64(32))) * SECOND
    return words >> np.uint64(16)
