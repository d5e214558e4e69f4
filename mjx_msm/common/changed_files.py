"""Whether a run has the files of another one: by what they hold, wherever they lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


def changed_file(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """What differs between the files of two runs, in words that go on with "since"; None if nothing does.

    The same contents under other paths are the same files: a study may have been copied or moved.

    **Arguments:** digests by path, of each run; where one is empty, nothing is known and nothing said.
    """
    if not before or not now:
        return None
    for path in sorted(before.keys() & now.keys()):
        if before[path] != now[path]:
            return f"{path} has changed"
    for words, some, others in (("come in", now, before), ("gone", before, now)):
        more = Counter(some.values()) - Counter(others.values())
        moved = [path for path in sorted(some) if some[path] in more and path not in others]
        if moved:
            return f"{moved[0]} has {words}"
    return None
