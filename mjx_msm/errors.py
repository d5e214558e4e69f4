"""The one exception a user's input can raise."""


class InputError(ValueError):
    """Something a user wrote cannot be used.

    The message is one line that names the file, column or parameter and says how to fix it. The command
    line prints it as it is and exits with 2; in Python it is an ordinary `ValueError`.
    """
