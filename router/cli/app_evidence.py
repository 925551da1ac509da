"""The commands that read decision logs; they need the extra `analytics`, which the error says where it is missing."""

from __future__ import annotations

import typer


def add_to(app: typer.Typer) -> None:
    """Adds the commands to the others."""
