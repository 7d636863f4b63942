"""Huge pages for the temporary memory of compiled programs."""

import os
import sys

from theory.command.ending import hand_over

TUNABLES = "GLIBC_TUNABLES"


def restart_with_huge_pages() -> None:
    """On Linux, start this very process over with malloc told to ask for huge pages, unless its environment tells it
    something else already.

    XLA allocates a program's temporary memory anew at every call, and the kernel clears it page by page: on CPUs a
    quarter of a training step, a tenth of that in huge pages. glibc reads its tunables when a process starts, and at no
    other time. For the first line of a command; never for a library.
    """
    if sys.platform == "linux" and TUNABLES not in os.environ:
        os.environ[TUNABLES] = "glibc.malloc.hugetlb=1"
        hand_over()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
