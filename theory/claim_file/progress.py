"""How far a check has come, in memory that a process shares with its forks, and so outlives them."""

import mmap
import struct

NUMBERS = struct.Struct("qq")
FLAG = struct.Struct("?")


class Progress:
    """Instances that the search evaluated, of how many, and whether the file's code forks."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, NUMBERS.size + FLAG.size)

    def set(self, evaluated: int, total: int) -> None:
        """Note the instances evaluated so far, and of how many."""
        NUMBERS.pack_into(self._memory, 0, evaluated, total)

    def get(self) -> tuple[int, int]:
        """The instances evaluated, and of how many."""
        evaluated, total = NUMBERS.unpack_from(self._memory, 0)
        return evaluated, total

    def note_fork(self) -> None:
        """Called in a fork that the file's code made and let return."""
        FLAG.pack_into(self._memory, NUMBERS.size, True)

    @property
    def has_forked(self) -> bool:
        """Whether a fork has returned."""
        return bool(FLAG.unpack_from(self._memory, NUMBERS.size)[0])
