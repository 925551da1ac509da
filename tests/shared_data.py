"""Where the real data is: `../shared/data`, which is no part of the product and may be absent."""

from __future__ import annotations

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def data_path(*parts: str) -> Path:
    """Returns a path below the shared data, or skips the test with one clear line where it is absent."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"real data is absent: {path}")
    return path
