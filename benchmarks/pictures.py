"""Pictures for docs/images/: the set-up page of a running local Mailpod, by headless Chromium.

    python -m benchmarks.pictures page https://127.0.0.1:10443/?address=alice@mailpod.test docs/images

Two sizes and both themes. Chromium is Debian's; it looks for nothing but the page.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

SIZES = {"desk": (960, 850), "phone": (412, 1500)}
_QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--ignore-certificate-errors",
]


def shoot(url: str, file: Path, size: tuple[int, int], *, dark: bool = False) -> None:
    """One screenshot."""
    theme = ["--blink-settings=preferredColorScheme=0"] if dark else ["--blink-settings=preferredColorScheme=1"]
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(
            ["chromium", *_QUIET, *theme, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}",
             f"--screenshot={file.absolute()}", url],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


def page(url: str, folder: Path) -> None:
    for name, size in SIZES.items():
        for theme in ("light", "dark"):
            shoot(url, folder / f"setup-{name}-{theme}.png", size, dark=theme == "dark")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("what", choices=["page"])
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args()
    page(chosen.url, chosen.folder)


if __name__ == "__main__":
    main()
