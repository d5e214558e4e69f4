"""The one exception a user's input can raise, the one warning, and their words."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from mjx_msm.common.printable import printable

LONGEST, ENDING = 1800, 300
"""Most characters of a message, and how many of them are its end, which says how to fix it."""


class InputError(ValueError):
    """Something a user wrote cannot be used.

    The message is one line that names the file, column or parameter and says how to fix it. The command
    line prints it as it is and exits with 2; in Python it is an ordinary `ValueError`. Names in it come from
    files: what would break the line or command a terminal is written out, what is endless is shortened.
    """

    def __init__(self, message: object = "") -> None:
        text = printable(str(message), keep="")
        if len(text) > LONGEST:
            text = f"{text[: LONGEST - ENDING]} … {text[-ENDING:]}"
        super().__init__(text)


class InputErrors(InputError):
    """Several at once: as text one line with all of them, numbered; one by one in `messages`, none cut short."""

    def __init__(self, messages: Iterable[str]) -> None:
        self.messages = tuple(messages)
        listed = "; ".join(f"({i + 1}) {m}" for i, m in enumerate(self.messages))
        super().__init__(f"{len(self.messages)} problems: {listed}")

    def __reduce__(self) -> tuple[type, tuple[tuple[str, ...]]]:
        return type(self), (self.messages,)  # not of the one line that it is as text


class Faults:
    """What is wrong in several places, to be said at once."""

    def __init__(self) -> None:
        self.found: list[tuple[tuple[str | int, ...], str]] = []
        """Where in the document each is, and what is said of it."""

    def __len__(self) -> int:
        return len(self.found)

    def add(self, error: InputError, at: tuple[str | int, ...] = ()) -> None:
        """Keep an error for later; `at`: the keys that lead to where it is in a document."""
        messages = error.messages if isinstance(error, InputErrors) else (str(error),)
        self.found += [(at, message) for message in messages]

    @contextmanager
    def gathered(self, at: tuple[str | int, ...] = ()) -> Iterator[None]:
        """Inside, an `InputError` ends what is done, and is kept for later."""
        try:
            yield
        except InputError as error:
            self.add(error, at)

    def raise_any(self, document: object = None) -> None:
        """**Raises:** `InputError` if there were any; `InputErrors` for several, in the order of `document`, if given,
        else as they were found."""
        ordered = sorted(self.found, key=lambda f: _position(document, f[0])) if document is not None else self.found
        messages = _of_several([message for _, message in ordered])
        if len(messages) > 1:
            raise InputErrors(messages)
        if messages:
            raise InputError(messages[0])


def _of_several(messages: Iterable[str]) -> list[str]:
    """Messages, those that say the same of several files as one: ``a.csv and b.csv: no column 'x'``.

    One that names no file is another fault than the same of a file.
    """
    subjects: dict[tuple[str, bool], dict[str, None]] = {}
    for message in messages:
        subject, _, said = message.partition(": ")
        key = (said, True) if subject and said else (message, False)
        subjects.setdefault(key, {})[subject] = None
    out = []
    for (said, of_files), named in subjects.items():
        first, *others = named
        more = f"{len(others) - 1} more" if len(others) > 2 else others[-1] if others else ""
        listed = ", ".join([first, *others[: 1 if len(others) > 2 else -1]])
        out.append(f"{listed}{f' and {more}' if more else ''}: {said}" if of_files else said)
    return out


def _position(document: object, keys: tuple[str | int, ...]) -> tuple[int, ...]:
    """Where keys lead to in nested tables and lists, in the order of their file; what is not there comes last."""
    out: list[int] = []
    for key in keys:
        if isinstance(document, Mapping):
            out.append(list(document).index(key) if key in document else len(document))
            document = document.get(key)
        elif isinstance(key, int):
            out.append(key)
            document = document[key] if isinstance(document, list | tuple) and key < len(document) else None
        else:
            out.append(0)
    return tuple(out)


def one_of(what: str, value: str, choices: Iterable[str]) -> str:
    """A value that has to be one of a few.

    **Raises:** `InputError` if it is another.
    """
    choices = tuple(choices)
    if value not in choices:
        raise InputError(f"{what} '{value}' is unknown; choose one of {', '.join(choices)}")
    return value


def in_one_line(error: object) -> str:
    """What an exception or another program says, for a message of ours."""
    return " ".join(str(error).split())


class InputWarning(UserWarning):
    """Something in a user's input that can be used but deserves a look."""


def suggest(name: str, options: Iterable[str], *, limit: int = 6) -> str:
    """``; did you mean 'a' or 'b'?``, or what there is to choose from; to end an error message with."""
    options = list(dict.fromkeys(options))
    folded = {o: o.casefold() for o in options}
    wanted = name.casefold()
    close = [o for o in options if folded[o] == wanted]
    close += sorted((o for o in options if len(wanted) > 2 and wanted in folded[o]), key=len)
    close += [o for o in options if len(o) > 2 and folded[o] in wanted]
    by_folded = {f: o for o, f in folded.items()}
    close += [by_folded[f] for f in difflib.get_close_matches(wanted, list(by_folded), n=3, cutoff=0.6)]
    close = list(dict.fromkeys(close))[:3]
    if close:
        return "; did you mean " + " or ".join(f"'{c}'" for c in close) + "?"
    if not options:
        return "; there are none"
    return "; choose from: " + ", ".join(options[:limit]) + (", …" if len(options) > limit else "")


def misspelt(name: str, options: Iterable[str]) -> str | None:
    """The one of `options` that a name is so near to that it is read as that; None if there is none."""
    by_folded = {o.casefold(): o for o in options}
    close = difflib.get_close_matches(name.casefold(), list(by_folded), n=1, cutoff=0.75)
    return by_folded[close[0]] if close else None
