"""What a user of the command line can mend."""

import sys


class InputError(ValueError):
    """Bad input. Its message says what is wrong, where, and the remedy; the command ends with it, and exit code 2."""


def unprintable(error: Exception) -> str | None:
    """The line that says that the terminal, or what reads the output, has no such characters; None for other errors."""
    if not isinstance(error, UnicodeEncodeError) or error.encoding != sys.stdout.encoding:
        return None
    letter = ascii(error.object[error.start])
    return f"cannot print {letter} in {error.encoding}: set PYTHONIOENCODING=utf-8"
