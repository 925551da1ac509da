"""Pictures of a report as readers see it: phone and desk, light and dark, and printed.

    python benchmarks/report_pictures.py FOLDER [--report FILE.html]

Needs `chromium` and, for the printed pages, `pdftoppm` (Debian: chromium, poppler-utils). Without a file it takes the
made-up report of the tests, as the pictures in docs/images do. For each device there is a picture of the first screen
and one of the whole page. It fails if the page asks for anything but itself, says something on the console, or is wider
than the screen.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the made-up report is the tests'

from router.analytics.html import html_of
from tests.analytics.reports import plausible

DEVICES = {"phone": (390, 844), "desk": (1280, 900)}
SCHEMES = ("light", "dark")
TROUBLE = {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --remote-debugging-port=0 about:blank"
).split()
A4 = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True, "displayHeaderFooter": False}


@dataclass(slots=True)
class Tab:
    """A tab of a browser, driven by the DevTools protocol."""

    socket: aiohttp.ClientWebSocketResponse
    requests: list[str] = field(default_factory=list)
    trouble: list[Any] = field(default_factory=list)
    sent: int = 0

    async def do(self, method: str, **parameters: Any) -> Any:
        """Returns the result of one command; what happens meanwhile is kept."""
        self.sent += 1
        await self.socket.send_json({"id": self.sent, "method": method, "params": parameters})
        while (message := await self.socket.receive_json()).get("id") != self.sent:
            self._note(message)
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    async def until(self, event: str) -> None:
        """Waits for an event."""
        while (message := await self.socket.receive_json()).get("method") != event:
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        elif message.get("method") in TROUBLE:
            self.trouble.append(message["params"])


@asynccontextmanager
async def tab(profile: str) -> AsyncIterator[Tab]:
    """Starts a browser with one tab, and ends it."""
    browser = await asyncio.create_subprocess_exec(
        "chromium",
        *FLAGS,
        f"--user-data-dir={profile}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert browser.stderr
        while not (line := (await browser.stderr.readline()).decode()).startswith("DevTools listening on"):
            assert line, "the browser ended before it listened"
        host = line.split("/")[2]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{host}/json/list") as reply:
                page = next(entry for entry in await reply.json() if entry["type"] == "page")
            async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        browser.terminate()
        await browser.communicate()


async def pictures(address: str) -> AsyncIterator[tuple[str, bytes]]:
    """Yields the pictures of a page, and the page printed, each with the name of its file."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        async with tab(profile) as seen:
            for domain in ("Page", "Network", "Log", "Runtime"):
                await seen.do(f"{domain}.enable")
            for device, (width, height) in DEVICES.items():
                for scheme in SCHEMES:
                    await show(seen, address, width=width, height=height, scheme=scheme)
                    yield f"{device}-{scheme}.png", await shot(seen, whole=False)
                    yield f"{device}-{scheme}-whole.png", await shot(seen, whole=True)
            printed = await seen.do("Page.printToPDF", **A4)  # while the screen is dark: paper stays white
            yield "print.pdf", b64decode(printed["data"])
            assert set(seen.requests) == {address}, seen.requests
            assert not seen.trouble, seen.trouble


async def show(seen: Tab, address: str, *, width: int, height: int, scheme: str) -> None:
    """Opens a page on a screen, and looks whether it fits."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    await seen.do("Emulation.setDeviceMetricsOverride", **metrics)
    await seen.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    await seen.do("Page.navigate", url=address)
    await seen.until("Page.loadEventFired")
    content = (await seen.do("Page.getLayoutMetrics"))["cssContentSize"]
    assert content["width"] <= width, f"the page is {content['width']} px wide on a screen of {width}"


async def shot(seen: Tab, *, whole: bool) -> bytes:
    """Returns what is seen: the screen, or all of the page."""
    picture = await seen.do("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
    return b64decode(picture["data"])


async def write(address: str, folder: Path) -> None:
    """Writes the pictures into a folder."""
    async for name, content in pictures(address):
        folder.joinpath(name).write_bytes(content)
        print(folder / name)


def main() -> None:
    """Writes the pictures, and those of the printed pages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    page = options.report or options.folder / "report.html"
    if not options.report:
        page.write_text(html_of(plausible()), "utf-8")
    asyncio.run(write(page.resolve().as_uri(), options.folder))
    if shutil.which("pdftoppm"):
        command = ["pdftoppm", "-r", "80", "-png", str(options.folder / "print.pdf"), str(options.folder / "print")]
        subprocess.run(command, check=True)  # noqa: S603 - the command is ours


if __name__ == "__main__":
    main()
