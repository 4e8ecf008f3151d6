"""The ``striate`` command. Each module holds a few subcommands; what they have in common is in ``program``,
``output`` and ``parameters``. Commands only present what the library does: nothing here knows a file format.
"""

from __future__ import annotations

from striate.cli.commands import app

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line of this process and exit with its code: 0 success, 1 failure, 2 wrong use."""
    app.main()
