"""`python -m paddlesrv`: the command line."""

from paddlesrv.cli.main import run

if __name__ == "__main__":
    run()
