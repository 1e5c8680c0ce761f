"""The way into the program: the console script, and `python -m paddlesrv`."""

import sys


def run() -> None:
    """Run the command line; Ctrl-C while it is still being loaded ends it in silence as well."""
    try:
        from paddlesrv.cli.main import run as run_program

        run_program()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run()
