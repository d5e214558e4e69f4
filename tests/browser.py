"""A page as a real browser has it once its scripts have run: Chromium without a screen."""

import re
import shutil
import subprocess
from dataclasses import dataclass, field

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LONGEST = 90


@dataclass
class Opened:
    html: str
    """Of the page after its scripts."""
    complaints: list[str] = field(default_factory=list)
    """What the browser's console says: errors of scripts, and what could not be fetched."""

    @property
    def charts(self) -> int:
        """How many are drawn, not only asked for."""
        return self.html.count('class="plot-container')

    @property
    def text(self) -> str:
        """What a person reads, without what charts say."""
        bare = re.sub(r"<(script|style|svg).*?</\1>", " ", self.html, flags=re.S)
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", bare))


def command() -> str | None:
    """The browser of this machine."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def opened(page, folder, *, network=False) -> Opened:
    """Open an HTML file; without `network`, whatever it asks of one is a complaint.

    **Arguments:** `folder`: an empty one for the browser's profile.
    """
    program = command()
    assert program is not None, "no Chromium here"
    alone = [] if network else ["--host-resolver-rules=MAP * ~NOTFOUND"]
    done = subprocess.run(
        [program, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}", *alone,
         "--enable-logging=stderr", "--v=0", "--virtual-time-budget=10000", "--dump-dom", page.absolute().as_uri()],
        capture_output=True, text=True, timeout=LONGEST, check=True,
    )  # fmt: skip
    told = re.findall(r":CONSOLE[:(][^\]]*\] (.*)", done.stderr)
    return Opened(done.stdout, [line for line in told if re.search(r"error|failed|refused", line, re.I)])
