"""The command line `mjx-msm`: a file a command. The only place that prints.

Imports from every room.
"""


def main() -> None:
    """Entry point of the `mjx-msm` command."""
    from mjx_msm.cli.app import main  # here, for whoever wants one command's file only

    main()
