"""A dynamometer's export: one angle and one moment, of whichever joint was on it, which its columns do not say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mjx_msm.common.errors import InputError
from mjx_msm.recordings.subject_file.joints import DYNAMOMETER
from mjx_msm.recordings.survey.columns import Seen
from mjx_msm.recordings.survey.files import Clock, Survey
from mjx_msm.recordings.survey.spellings import called, words_of


def maker_of(found: Survey) -> str:
    """Whose dynamometer wrote a file, as its header says; "" if it says none."""
    return next((c.table.header[DYNAMOMETER] for c in found.clocks if DYNAMOMETER in c.table.header), "")


def named_in(text: str, coordinates: Sequence[str], side: str) -> list[str]:
    """The coordinates that a text names best: with the most of their words, the joint's first; of one side, its own.

    **Arguments:** `side`: the one meant where the text says none; "" for either.
    """
    told = called(text).side or side
    words = words_of(text)
    said = {c: called(c) for c in coordinates}
    own = {c: x.plain.split(" ") for c, x in said.items() if told in (x.side, "") or not x.side}
    count = {c: sum(w in words for w in plain) for c, plain in own.items() if plain[0] in words}
    return [c for c, n in count.items() if n == max(count.values())]


def of_joint(found: Survey, coordinates: Sequence[str], usual: Sequence[str], side: str) -> Survey:
    """A file of a dynamometer whose angle and moment are of a coordinate of the model; another file as it is.

    **Arguments:** `usual`: coordinates that may be meant, where neither the file's name nor its folder's says one.
    `side`: that was asked for; "" for none.

    **Raises:** `InputError` if several may be.
    """
    angle, moment = _of_no_joint(found.of("angle")), _of_no_joint(found.of("moment"))
    if not maker_of(found) or not moment:
        return found
    names = (found.path.name, found.path.parent.name)
    joint = next((named for n in names if (named := named_in(n, coordinates, side))), list(usual))
    if len(joint) != 1:
        raise InputError(
            f"{found.path}: is of a dynamometer ({maker_of(found)}), which does not say whether of "
            f"{' or '.join(joint)}; put it into the file's name, like {joint[0]}_{found.path.name}"
        )
    anatomical = [c for c in angle if "anat" in c.name.casefold()]
    own = {c.name for c in ((anatomical or angle)[:1] + moment[:1])}

    def meant(c: Seen) -> Seen:
        return replace(c, called=replace(called(joint[0]), quantity=c.called.quantity)) if c.name in own else c

    clocks = tuple(Clock(clock.table, tuple(map(meant, clock.columns))) for clock in found.clocks)
    return replace(found, clocks=clocks)


def _of_no_joint(columns: Sequence[Seen]) -> list[Seen]:
    return [c for c in columns if not c.called.coordinate and not c.called.muscles]
