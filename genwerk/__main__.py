"""``python -m genwerk`` is the ``genwerk`` command."""

from genwerk.cli import main

main()
