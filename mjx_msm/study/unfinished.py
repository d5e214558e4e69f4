"""What a run keeps of itself in its result folder until it has ended, so that another one can go on from it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mjx_msm.common.errors import InputError
from mjx_msm.common.files import alone_with
from mjx_msm.knowledge.result import Identification
from mjx_msm.study.result_folder import RESULT

FOLDER = "checkpoint"


@dataclass(frozen=True)
class Unfinished:
    """The checkpoints of an identification, its draws and its cross-validation."""

    folder: Path
    begun_from: Identification | None
    """The result that the run goes on from, where there was no checkpoint yet."""

    @staticmethod
    @contextmanager
    def at(out: Path, *, resume: bool, overwrite: bool = False) -> Iterator[Unfinished]:
        """Of a run into a result folder, while it is at work; `resume`: of the one before; `overwrite`: in its place.

        Where the run ends in an error before anything is done, nothing is left of it.

        **Raises:** `InputError` if there is one before and neither is asked for, if that is still at work, or if there
        is nothing to resume.
        """
        folder = out / FOLDER
        begun, there = folder / f"begun_from_{RESULT}", folder.is_dir()
        before = Identification.load(out) if resume and not there else None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror}); choose another folder") from None
        with alone_with(folder):
            if there and not (resume or overwrite):
                raise InputError(f"{out} holds an unfinished run; --resume goes on with it, --overwrite begins anew")
            if there and resume:
                before = Identification.load(begun) if begun.is_file() else None
            elif there:
                for old in folder.iterdir():  # not the folder, whose lock keeps others away
                    old.unlink()
            unfinished = Unfinished(folder, before)
            try:
                if before is not None and not there:
                    before.save(begun)
                yield unfinished
            except BaseException:
                if not any(p.read_bytes().count(b"\n") > 1 for p in folder.glob("*.jsonl")):
                    unfinished.ended()
                    with suppress(OSError):  # it holds something else
                        out.rmdir()
                raise

    @property
    def identification(self) -> Path:
        return self.folder / "identification.jsonl"

    @property
    def draws(self) -> Path:
        return self.folder / "draws.jsonl"

    @property
    def folds(self) -> Path:
        return self.folder / "folds.jsonl"

    def ended(self) -> None:
        """The result is written: nothing more to go on with."""
        shutil.rmtree(self.folder, ignore_errors=True)
