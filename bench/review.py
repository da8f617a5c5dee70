"""How large the review is, how long a browser takes to show it, and the pictures of it in the documents.

Run in a workspace after ``propensity review``, with chromium at hand::

    propensity review --sample 500
    python -m bench.review WORKSPACE --repeats 5
    python -m bench.review WORKSPACE --pictures docs

Times are from the start of loading the file, in milliseconds. `shown` is the first paint with content,
`ready` the end of its script, `leads` the second frame after the leads are opened, when they stand on
the screen. `work` is what the page took of a processor until then, which a busy machine does not lengthen.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

CHROMIUM = os.environ.get("PROPENSITY_CHROMIUM", "/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
TIMES = """() => new Promise((done) => {
    const paint = performance.getEntriesByName("first-contentful-paint")[0]?.startTime;
    const ready = performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd;
    const start = performance.now();
    location.hash = "#leads";
    requestAnimationFrame(() => requestAnimationFrame(() =>
        done({ shown: paint ?? NaN, ready, leads: performance.now() - start })));
})"""
COLOURS = 64


@contextmanager
def open_browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


def measure_size(html: str) -> dict[str, float]:
    """Return the bytes of the page, and of its lead cards."""
    cards = [len(card.encode()) for card in re.findall(r"<article.*?</article>", html, re.DOTALL)]
    return {
        "bytes": len(html.encode()),
        "cards": len(cards),
        "mean_card": statistics.fmean(cards) if cards else 0.0,
        "largest_card": max(cards, default=0),
    }


def measure_times(browser: Browser, path: Path, repeats: int) -> dict[str, tuple[float, float]]:
    """Return the median and the largest of each time, every opening in a fresh context."""
    found: list[dict[str, float]] = []
    for _ in range(repeats):
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(path.as_uri())
        page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
        times = page.evaluate(TIMES)
        counters = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
        found.append({**times, "work": counters["TaskDuration"] * 1000})
        page.close()
    return {k: (statistics.median(f[k] for f in found), max(f[k] for f in found)) for k in found[0]}


def take_pictures(browser: Browser, path: Path, folder: Path) -> None:
    """Write the pictures that the documents show, in few colours so that they stay small."""
    wide = {"viewport": {"width": 1200, "height": 960}}
    phone = {"viewport": {"width": 390, "height": 900}, "device_scale_factor": 2}
    _take(browser, path, folder / "review-meeting.png", "cutoffs", whole=True, **wide)
    _take(browser, path, folder / "review-audit.png", "audit", **wide)
    _take(browser, path, folder / "review-card.png", "lead-1", **wide)
    _take(browser, path, folder / "review-dark.png", "lead-1", color_scheme="dark", **wide)
    _take(browser, path, folder / "review-phone.png", "lead-1", **phone)


def _take(
    browser: Browser, path: Path, target: Path, part: str, *, whole: bool = False, **options: Any
) -> None:
    page = browser.new_page(**options)
    page.goto(f"{path.as_uri()}#{part}")
    _write_picture((page.locator(f"#{part}") if whole else page).screenshot(), target)
    page.close()


def _write_picture(content: bytes, target: Path) -> None:
    from PIL import Image

    picture = Image.open(io.BytesIO(content)).convert("RGB")
    picture.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE).save(target, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pictures", type=Path)
    options = parser.parse_args()
    path = options.workspace.resolve() / "reports" / "review.html"
    with open_browser() as browser:
        if options.pictures:
            take_pictures(browser, path, options.pictures)
            return
        print("  ".join(f"{k} {v:,.0f}" for k, v in measure_size(path.read_text(encoding="utf-8")).items()))
        for name, (median, largest) in measure_times(browser, path, options.repeats).items():
            print(f"{name} {median:,.0f} ms, at most {largest:,.0f} ms, of {options.repeats}")


if __name__ == "__main__":
    main()
