"""What a user can mend."""


class UserError(Exception):
    """Bad input or an unusable folder. Its one-line message says what is wrong, where, and the remedy; exit code 2."""
