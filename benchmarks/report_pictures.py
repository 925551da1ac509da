"""Pictures of a report as readers see it: phone and desk, light and dark, and printed.

    python benchmarks/report_pictures.py FOLDER [--report FILE.html]

Needs `chromium` and, for the printed pages, `pdftoppm` (Debian: chromium, poppler-utils). Without a file it takes the
made-up report of the tests. The browser is asked for nothing but that file.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the made-up report is the tests'

from router.analytics.html import html_of
from tests.analytics.reports import plausible

SIZES = {"phone": (390, 844), "desk": (1280, 900)}
SCHEMES = {"dark": 0, "light": 1}
"""What Chromium's setting `preferredColorScheme` calls them."""

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars"
).split()


def chromium(page: Path, *flags: str) -> None:
    """Opens a page and does what the flags say."""
    with tempfile.TemporaryDirectory() as profile:
        command = ["chromium", *FLAGS, f"--user-data-dir={profile}", *flags, page.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)  # noqa: S603 - the command is ours


def framed(page: Path, width: int, folder: Path) -> Path:
    """Returns a page that shows another at a width: a browser's own window is never narrower than 500 pixels."""
    frame = folder / "frame.html"
    frame.write_text(
        '<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><body style="margin:0">'
        f'<iframe src="{page.resolve().as_uri()}" style="width:{width}px;height:100vh;border:0;display:block"></iframe>'
    )
    return frame


def pictures(page: Path, folder: Path, *, whole_px: int) -> None:
    """Writes the pictures into a folder: the first screen of each, and the whole page."""
    with tempfile.TemporaryDirectory() as held:
        for device, (width, height) in SIZES.items():
            for scheme, number in SCHEMES.items():
                for part, tall in (("", height), ("-whole", whole_px)):
                    chromium(
                        framed(page, width, Path(held)),
                        f"--window-size={width if width >= 500 else 500},{tall}",
                        f"--blink-settings=preferredColorScheme={number}",
                        f"--screenshot={folder / f'{device}-{scheme}{part}.png'}",
                    )
    chromium(page, "--no-pdf-header-footer", f"--print-to-pdf={folder / 'print.pdf'}")
    if shutil.which("pdftoppm"):
        command = ["pdftoppm", "-r", "80", "-png", str(folder / "print.pdf"), str(folder / "print")]
        subprocess.run(command, check=True)  # noqa: S603 - the command is ours


def main() -> None:
    """Writes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--whole-px", type=int, default=5200, help="height of the pictures of the whole page")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    page = options.report or options.folder / "report.html"
    if not options.report:
        page.write_text(html_of(plausible()), "utf-8")
    pictures(page, options.folder, whole_px=options.whole_px)
    print(f"wrote {', '.join(sorted(path.name for path in options.folder.glob('*.png')))} to {options.folder}")


if __name__ == "__main__":
    main()
