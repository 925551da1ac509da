from __future__ import annotations

import pytest
import typer

from router.cli.ending import ending
from router.errors import ConfigError, NoCandidate, RequestError


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (ConfigError("c"), 2), (RequestError("r"), 2), (NoCandidate("n"), 1)],
)
def test_exit_codes(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Whose fault an error is chooses the exit code; something is always said on stderr, nothing on stdout."""
    with pytest.raises(typer.Exit) as caught, ending(as_json=False):
        raise error
    assert caught.value.exit_code == code
    written = capsys.readouterr()
    assert written.err
    assert not written.out


def test_bugs_keep_their_traceback() -> None:
    """What is not raised on purpose is not hidden."""
    with pytest.raises(ZeroDivisionError), ending(as_json=False):
        raise ZeroDivisionError
