"""The one exception a user's input can raise, and its words."""

from collections.abc import Iterable


class InputError(ValueError):
    """Something a user wrote cannot be used.

    The message is one line that names the file, column or parameter and says how to fix it. The command
    line prints it as it is and exits with 2; in Python it is an ordinary `ValueError`.
    """


def one_of(what: str, value: str, choices: Iterable[str]) -> str:
    """A value that has to be one of a few.

    **Raises:** `InputError` if it is another.
    """
    choices = tuple(choices)
    if value not in choices:
        raise InputError(f"{what} '{value}' is unknown; choose one of {', '.join(choices)}")
    return value


def in_one_line(error: Exception) -> str:
    """What an exception says, for a message of ours."""
    return " ".join(str(error).split())
