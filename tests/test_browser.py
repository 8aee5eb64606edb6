"""The pages in a real browser: they fit the screen, their links run, and nothing they need is blocked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.server import Server, served

WIDE, NARROW = 1280, 390
PAGES = [
    "/",
    "/questions",
    "/questions/concessions-by-tariff",
    "/questions/round-participants?number=5",
    "/questions/rounds?number=five",
    "/id/proposal/us-jp-auto-contribution",
    "/source/2025-06-06-cna-scaled-auto-tariff",
    "/sparql?query=DESCRIBE+country:JP",
    "/graphs",
    "/ontology",
    "/shapes",
    "/nowhere",
]
_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_DRIVER = shutil.which("chromedriver")

# In CI the browser must be there: without it these tests fail, they are not skipped.
pytestmark = pytest.mark.skipif(
    not (_CHROMIUM and _DRIVER) and os.environ.get("CI") != "true", reason="Chromium and its driver are not installed"
)


@pytest.fixture(scope="module")
def server(shipped_home: Path) -> Iterator[Server]:
    with served(shipped_home) as server:
        yield server


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    assert _CHROMIUM, "Chromium is not installed"
    assert _DRIVER, "chromedriver is not installed"
    options = ChromeOptions()
    options.binary_location = _CHROMIUM
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options, ChromeService(_DRIVER))
    try:
        yield browser
    finally:
        browser.quit()


@pytest.fixture(params=[WIDE, NARROW])
def width(browser: Chrome, request: pytest.FixtureRequest) -> int:
    """A screen of this width in CSS pixels, which a headless window cannot be made narrow enough for by itself."""
    width = int(request.param)
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == NARROW}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    return width


@pytest.fixture
def visit(browser: Chrome, server: Server) -> Iterator[Callable[[str], None]]:
    """Open a path of the server. Whatever the browser complains of meanwhile fails the test."""
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    yield lambda path: browser.get(server.url + path)
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def texts(browser: Chrome, selector: str) -> list[str]:
    return [element.text for element in browser.find_elements(By.CSS_SELECTOR, selector)]


def go(browser: Chrome, link: Callable[[], None]) -> None:
    """Follow a link and wait until the page has changed."""
    before = browser.find_element(By.TAG_NAME, "html")
    link()
    WebDriverWait(browser, 20).until(lambda b: b.find_element(By.TAG_NAME, "html") != before)


def test_the_start_page_shows_what_is_there(browser: Chrome, visit: Callable[[str], None], width: int) -> None:
    visit("/")
    assert "Parley" in browser.title
    assert texts(browser, "h1") == ["A knowledge graph of trade actors"]
    counts = dict(zip(texts(browser, ".counts dt"), texts(browser, ".counts dd"), strict=True))
    assert int(counts["facts"].replace(",", "")) > 10_000
    assert len(texts(browser, ".questions a")) > 15


@pytest.mark.parametrize("name", ["concessions-by-tariff", "round-participants", "corrections"])
def test_a_question_runs_at_a_click(browser: Chrome, visit: Callable[[str], None], name: str, width: int) -> None:
    visit("/")
    go(browser, browser.find_element(By.CSS_SELECTOR, f'a[href^="/questions/{name}"]').click)
    assert f"/questions/{name}" in browser.current_url
    rows = browser.find_elements(By.CSS_SELECTOR, "tbody tr")
    assert len(rows) > 1


def test_a_parameter_is_filled_in_by_hand(browser: Chrome, visit: Callable[[str], None]) -> None:
    visit("/questions/round-participants")
    all_rows = len(browser.find_elements(By.CSS_SELECTOR, "tbody tr"))
    browser.find_element(By.NAME, "number").send_keys("5")
    go(browser, browser.find_element(By.CSS_SELECTOR, ".parameters button").click)
    assert 0 < len(browser.find_elements(By.CSS_SELECTOR, "tbody tr")) < all_rows


def test_the_form_asks_a_query(browser: Chrome, visit: Callable[[str], None], width: int) -> None:
    visit("/")
    go(browser, browser.find_element(By.XPATH, "//form[@action='/sparql']//button").click)
    assert texts(browser, "thead th") == ["tariff", "percent", "from"]
    assert len(texts(browser, "tbody tr")) > 3


def test_an_entity_shows_who_says_so(browser: Chrome, visit: Callable[[str], None], width: int) -> None:
    visit("/id/proposal/us-jp-auto-contribution")
    links = browser.find_elements(By.CSS_SELECTOR, "td a[href*='/source/']")
    assert links
    go(browser, links[0].click)
    assert "/source/" in browser.current_url
    assert texts(browser, "h2")[0] == "What this source says"


def test_the_description_of_the_api_opens(browser: Chrome, visit: Callable[[str], None], width: int) -> None:
    visit("/docs")
    WebDriverWait(browser, 20).until(lambda b: b.find_elements(By.CSS_SELECTOR, ".opblock"))
    assert {"/sparql", "/graphs", "/rate"} <= {
        text.replace("\u200b", "") for text in texts(browser, ".opblock-summary-path")
    }


@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_a_telephone(browser: Chrome, server: Server, path: str) -> None:
    screen = {"width": NARROW, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    browser.get(server.url + path)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= NARROW
