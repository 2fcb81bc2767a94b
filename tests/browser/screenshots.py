"""Makes the pictures of docs/screenshots/: `make screenshots`, or python -m tests.browser.screenshots [NAME...].

The rows and the moment are always the same, so a picture changes only when its page does. What is in the database of
this folder is replaced.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, connections  # noqa: E402
from PIL import Image  # noqa: E402

from recallops import clock  # noqa: E402
from recallops.settings import env  # noqa: E402
from tests.browser import gallery  # noqa: E402
from tests.browser.backstage import PASSWORD, STAFF  # noqa: E402
from tests.browser.looking import log_in, opened  # noqa: E402
from tests.browser.stage import START, Stage  # noqa: E402
from tests.conftest import CHROMIUMS, ROOT, Address  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FOLDER = ROOT / "docs" / "screenshots"
SIZES = {"1280": (1280, 900, 1300), "375": (375, 812, 1500)}  # width, height of the window, and most of the picture
SCHEMES = ("light", "dark")
BOTH = ("dashboard", "batch", "new-batch-cut_line", "timeline", "approval", "rehearsal")
"""What is taken four times; of other pages there is the desk in light and the phone in dark."""
COLOURS = 32


def main(names: list[str]) -> None:
    """Fill, open, look, write."""
    from playwright.sync_api import sync_playwright

    pages = fill()
    wrong = sorted(set(names) - set(pages))
    if wrong:
        raise SystemExit(f"There is no picture {', '.join(wrong)}. There are: {', '.join(pages)}.")
    wanted = {name: url for name, url in pages.items() if not names or name in names}
    FOLDER.mkdir(exist_ok=True)
    database = Address(connection.get_connection_params()).url(str(connection.settings_dict["NAME"]))
    stage = Stage(Path(settings.DATA_DIR) / "stage", database)
    connections.close_all()
    try:
        stage.open_doors()
        with sync_playwright() as playwright:
            found = next(filter(None, map(shutil.which, CHROMIUMS)), None)
            options = ["--no-sandbox"] if os.geteuid() == 0 else []
            browser = playwright.chromium.launch(executable_path=found, args=[*options, "--disable-dev-shm-usage"])
            take(browser, stage.url, wanted)
            browser.close()
    finally:
        stage.close()


def fill() -> dict[str, str]:
    """Begin this folder's own database anew; return the pages."""
    if env.given("DATABASE_URL"):
        raise SystemExit("Unset DATABASE_URL: the pictures are made from a database of their own, which is emptied.")
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    call_command("migrate", verbosity=0)
    with clock.use(clock.ManualClock(START)):
        return gallery.make_rows(STAFF, PASSWORD)


def take(browser: Browser, url: str, pages: dict[str, str]) -> None:
    """Take the pages in both sizes and both schemes."""
    for size, (width, height, most) in SIZES.items():
        for scheme in SCHEMES:
            with opened(browser, url, width=width, height=height, scheme=scheme, zone="Europe/Berlin") as page:
                log_in(page, STAFF, PASSWORD)
                for name, address in pages.items():
                    if (size == "1280") != (scheme == "light") and name not in BOTH:
                        continue
                    page.set_viewport_size({"width": width, "height": height})
                    page.goto(address)
                    page.wait_for_load_state("networkidle")
                    path = FOLDER / f"{name}-{size}-{scheme}.png"
                    path.write_bytes(picture(page, width=width, most=most))
                    sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} kB\n")


def picture(page: Page, *, width: int, most: int) -> bytes:
    """Return the page as a small PNG: a palette instead of every colour there is."""
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": width, "height": min(height, most)})  # what sticks to an edge is where it belongs
    whole = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
    small = io.BytesIO()
    # of few colours those that are rare stay: a red word is what one looks for
    whole.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        small, "PNG", optimize=True
    )
    return small.getvalue()


if __name__ == "__main__":
    main(sys.argv[1:])
