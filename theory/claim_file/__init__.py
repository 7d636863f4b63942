"""A user's claim file: read, run and checked in a process of its own, with limits.

A claim file is somebody's code. `ask` (in the process of the command line) starts `child`, a script that forks before
it touches the file: the fork (`load`, `guard`) runs the file and the whole check under limits of processor time and
memory, its output dropped; what stays behind counts the wall clock, outlives whatever the file does to its process,
and ends every process that the file leaves. The result comes back as plain data, which `ask` looks over before it
shows it.

This guards against accident, not malice: random or stateful sides, arrays written into, loops without end, exits,
prints, changes made to this package. Code that means to forge a verdict runs in the process that computes it, with the
rights of the user who started it, and can: read a file before you check it.
"""
