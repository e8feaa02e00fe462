"""`python -m mockserver` and the script `mockserver`: the command line."""

import signal


def main() -> None:
    """Run the command line. Until a command handles Ctrl-C itself, it ends the process at once, without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from mockserver.cli import main as command_line  # noqa: PLC0415 - Ctrl-C must be quiet while this loads

    command_line()


if __name__ == "__main__":
    main()
