"""What a run keeps of itself in its result folder until it has ended, so that another one can go on from it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mjx_msm.common.errors import InputError
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
    def of(out: Path, *, resume: bool, overwrite: bool = False) -> Unfinished:
        """Of a run into a result folder; `resume`: of the one before; `overwrite`: in its place.

        **Raises:** `InputError` if there is one before and neither is asked for, or nothing to resume.
        """
        folder = out / FOLDER
        begun = folder / f"begun_from_{RESULT}"
        if folder.is_dir() and not resume:
            if not overwrite:
                raise InputError(f"{out} holds an unfinished run; --resume goes on with it, --overwrite begins anew")
            shutil.rmtree(folder, ignore_errors=True)
        if folder.is_dir():
            return Unfinished(folder, Identification.load(begun) if begun.is_file() else None)
        before = Identification.load(out) if resume else None
        try:
            folder.mkdir(parents=True)
            if before is not None:
                before.save(begun)
        except OSError as error:
            raise InputError(f"{out}: cannot be written ({error.strerror}); choose another folder") from None
        return Unfinished(folder, before)

    @property
    def identification(self) -> Path:
        return self.folder / "identification.jsonl"

    @property
    def draws(self) -> Path:
        return self.folder / "draws.jsonl"

    @property
    def folds(self) -> Path:
        return self.folder / "folds.jsonl"

    @contextmanager
    def kept(self) -> Iterator[None]:
        """While the run is at work: where it ends in an error before anything is done, nothing is left of it."""
        try:
            yield
        except BaseException:
            if not any(p.read_bytes().count(b"\n") > 1 for p in self.folder.glob("*.jsonl")):
                self.ended()
                with suppress(OSError):  # it holds something else
                    self.folder.parent.rmdir()
            raise

    def ended(self) -> None:
        """The result is written: nothing more to go on with."""
        shutil.rmtree(self.folder, ignore_errors=True)
