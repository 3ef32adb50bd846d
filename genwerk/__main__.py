"""``python -m genwerk`` is the ``genwerk`` command."""

import sys


def main() -> None:
    """Run the command; Ctrl-C ends it with exit code 130, while it is still being loaded too."""
    try:
        from genwerk.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
