"""The page of the ontology in a real browser: links land on their terms, and the diagram can be read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.test_browser import NARROW, browser, go, pytestmark, server, texts, visit, width

__all__ = ["browser", "pytestmark", "server", "visit", "width"]  # fixtures and the condition of the other file

PATH = "/ontology?format=html"
#: What the browser measures of each text in the diagram and of each box: [text, left, top, right, bottom].
MEASURE = """
const area = e => { const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
const texts = [...document.querySelectorAll('.diagram text')].map(e => [e.textContent, ...area(e)]);
const boxes = [...document.querySelectorAll('.diagram rect')].map(e => ['box', ...area(e)]);
return [texts, boxes];
"""
Area = tuple[str, float, float, float, float]


def meet(a: Area, b: Area) -> bool:
    """Whether two areas share more than an edge of half a pixel."""
    return a[1] + 0.5 < b[3] and b[1] + 0.5 < a[3] and a[2] + 0.5 < b[4] and b[2] + 0.5 < a[4]


def inside(a: Area, b: Area) -> bool:
    return b[1] <= a[1] and a[3] <= b[3] and b[2] <= a[2] and a[4] <= b[4]


def measured(browser: Chrome) -> tuple[list[Area], list[Area]]:
    found_texts, found_boxes = browser.execute_script(MEASURE)
    return [tuple(t) for t in found_texts], [tuple(b) for b in found_boxes]


def collisions(all_texts: list[Area], boxes: list[Area]) -> list[str]:
    """Texts that meet a text, or a box that does not hold them."""
    pairs = [(a, b) for i, a in enumerate(all_texts) for b in all_texts[i + 1 :]]
    found = [f"{a[0]} / {b[0]}" for a, b in pairs if meet(a, b)]
    return found + [f"{t[0]} / a box" for t in all_texts for b in boxes if meet(t, b) and not inside(t, b)]


@pytest.mark.parametrize("anchor", ["Concession", "rateOf", "foaf:Person", "scheme:status"])
def test_an_anchor_lands_on_its_term(browser: Chrome, visit: Callable[[str], None], width: int, anchor: str) -> None:
    visit(f"{PATH}#{anchor}")
    assert browser.execute_script("return document.querySelector(':target').id") == anchor
    top = browser.execute_script("return document.querySelector(':target').getBoundingClientRect().top")
    assert 0 <= top < 450


def test_a_property_of_an_entity_leads_to_its_explanation(browser: Chrome, visit: Callable[[str], None]) -> None:
    visit("/id/proposal/us-jp-auto-contribution")
    go(browser, browser.find_element(By.CSS_SELECTOR, 'td a[href="/ontology#offeredBy"]').click)
    assert texts(browser, ":target h3")[0].startswith("offered by")


def test_no_text_in_the_diagram_meets_another_or_leaves_its_box(
    browser: Chrome, visit: Callable[[str], None], width: int
) -> None:
    visit(PATH)
    all_texts, boxes = measured(browser)
    assert len(boxes) > 15
    assert len(all_texts) > len(boxes)
    assert collisions(all_texts, boxes) == []


def test_a_text_that_is_moved_onto_another_is_found(browser: Chrome, visit: Callable[[str], None]) -> None:
    visit(PATH)
    browser.execute_script(
        "const [a, b] = document.querySelectorAll('.diagram text'); a.setAttribute('x', b.getAttribute('x'));"
        "a.setAttribute('y', b.getAttribute('y')); a.setAttribute('text-anchor', b.getAttribute('text-anchor'));"
    )
    assert collisions(*measured(browser))


def test_a_box_of_the_diagram_leads_to_its_class(browser: Chrome, visit: Callable[[str], None]) -> None:
    visit(PATH)
    link = browser.find_element(By.CSS_SELECTOR, '.diagram a[href="#Tariff"] text')
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", link)
    link.click()
    assert browser.current_url.endswith("#Tariff")


def test_the_diagram_has_a_name_and_a_description(browser: Chrome, visit: Callable[[str], None]) -> None:
    visit(PATH)
    diagram = browser.find_element(By.CSS_SELECTOR, ".diagram")
    assert diagram.accessible_name.startswith("The main classes and what relates them")


def test_the_page_fits_the_screen(browser: Chrome, visit: Callable[[str], None], width: int) -> None:
    visit(PATH)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script("return getComputedStyle(document.querySelector('.wide')).overflowX") == "auto"


def test_tables_of_properties_keep_their_headers_on_a_phone(browser: Chrome, visit: Callable[[str], None]) -> None:
    screen = {"width": NARROW, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    visit(f"{PATH}#Rate")
    header = browser.find_element(By.CSS_SELECTOR, "#Rate tbody th")
    assert header.aria_role == "rowheader"
    assert browser.find_element(By.CSS_SELECTOR, "#Rate thead th").aria_role == "columnheader"
