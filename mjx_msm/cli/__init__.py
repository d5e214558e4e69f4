"""The command line `mjx-msm`: a file a command. The only place that prints.

Imports from every room.
"""

import sys


def main() -> None:
    """Entry point of the `mjx-msm` command."""
    try:
        from mjx_msm.cli.app import main  # here, for whoever wants one command's file only

        main()
    except KeyboardInterrupt:  # while that loads
        print("mjx-msm: interrupted", file=sys.stderr)
        sys.exit(130)
