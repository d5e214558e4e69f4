"""The command `mjx-msm`: its subcommands put together, and how each ends: one line for an error, an exit code."""

from __future__ import annotations

import functools
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from mjx_msm.cli.compare import compare
from mjx_msm.cli.console import BAD_INPUT, INTERRUPTED, fail, silence, speak_any_encoding
from mjx_msm.cli.demo import demo
from mjx_msm.cli.fatigue import fatigue
from mjx_msm.cli.identify import identify
from mjx_msm.cli.import_model import import_model
from mjx_msm.cli.info import info
from mjx_msm.cli.live import live
from mjx_msm.cli.look import look
from mjx_msm.cli.new import new
from mjx_msm.cli.predict import predict
from mjx_msm.cli.profile import profile
from mjx_msm.cli.render import render
from mjx_msm.cli.simulate import simulate
from mjx_msm.cli.study import study
from mjx_msm.cli.verify import verify
from mjx_msm.cli.view import view
from mjx_msm.common.errors import InputError, InputErrors
from mjx_msm.common.interrupts import repeated_interrupts


def _heard(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command whose interrupt reaches `run`: typer would end it without a word."""

    @functools.wraps(command)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            raise typer.Abort from None

    return call


app = typer.Typer(
    help="From a recording of a person to that person's musculoskeletal model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    look,
    new,
    identify,
    study,
    compare,
    predict,
    fatigue,
    live,
    profile,
    simulate,
    render,
    view,
    verify,
    info,
    demo,
):
    app.command()(_heard(command))
app.command("import")(_heard(import_model))  # the word is Python's, too


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"mjx-msm {version('mjx-msm')}")
        raise typer.Exit


@app.callback()
def _every_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the ``mjx-msm`` command."""
    speak_any_encoding()
    code = run(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: what could be interrupted now is how libraries end
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command; the exit code is 0, 2 for bad input (one line on stderr) or 130 after an interrupt."""
    # newer releases of typer bring their own copy of click, so its base class is found by name
    usage_error: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")  # type: ignore[assignment]
    try:
        with repeated_interrupts():
            code = int(app(list(arguments), prog_name="mjx-msm", standalone_mode=False) or 0)
        if code == INTERRUPTED:  # also where typer met it before the command began, which it does without a word
            print("mjx-msm: interrupted", file=sys.stderr)
        return code
    except InputErrors as errors:
        return fail(f"{len(errors.messages)} problems", *errors.messages)
    except InputError as error:
        return fail(str(error))
    except usage_error as error:
        words = getattr(error, "format_message", lambda: "")()
        if not words:  # no command given: the help has been printed
            return BAD_INPUT
        context = getattr(error, "ctx", None)
        return fail(f"{words} (see {context.command_path if context else 'mjx-msm'} --help)")
    except (KeyboardInterrupt, typer.Abort):
        print("mjx-msm: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, e.g. `head`, has left
        silence(sys.stdout)
        return 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return fail(f"{place}{error.strerror or error}; make room, or choose another place")
    except MemoryError:
        return fail("there is not enough memory; identify from fewer or shorter trials")
