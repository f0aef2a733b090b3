"""The page in a real browser: headless Chromium, driven by selenium, on a virtual testbed."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.commands import Commands, wait_for
from tests.monitored import nodes_to_watch, wait_for_systems

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        CHROMIUM is None or DRIVER is None,
        reason="needs Debian's chromium and chromium-driver, which .ci/run installs as root",
    ),
    # of selenium, or of what it is made of, on its way out
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LIMIT_S = 15.0


@pytest.fixture(scope="module")
def browser() -> Iterator["Chrome"]:
    """One browser for all tests."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    assert CHROMIUM is not None
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # which root cannot have
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """The page, as a browser shows it."""

    def __init__(self, browser: "Chrome", url: str) -> None:
        """Open it."""
        self.browser = browser
        browser.get("about:blank")
        self.complaints()  # of what was there before
        browser.get(url)

    def find(self, selector: str) -> "list[WebElement]":
        """The elements."""
        return self.browser.find_elements("css selector", selector)

    def tile(self, node: str) -> "WebElement":
        """The tile, or row, of a node."""
        return self.find(f'tr[data-node="{node}"]')[0]

    def says(self, node: str, word: str) -> bool:
        """Whether a word is on a tile; not while the page is being loaded anew."""
        from selenium.common.exceptions import StaleElementReferenceException

        try:
            return any(word in row.text for row in self.find(f'tr[data-node="{node}"]'))
        except StaleElementReferenceException:
            return False

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until it is so."""
        wait_for(lambda: bool(condition()), LIMIT_S)

    def computed(self, selector: str, what: str) -> str:
        """How an element is shown."""
        found = self.find(selector)[0].value_of_css_property(what)
        assert isinstance(found, str)
        return found

    def complaints(self) -> list[Any]:
        """What the browser has complained about, as things that the policy forbids."""
        entries = self.browser.execute("getLog", {"type": "browser"})["value"]
        return [entry["message"] for entry in entries]


@contextmanager
def emulated(browser: "Chrome", scheme: str, width: int, *, scripts: bool = True) -> Iterator[None]:
    """A colour scheme and a width, and perhaps no scripts."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.fixture(scope="module", autouse=True)
def loaded(shared_testbed: Commands) -> Iterator[None]:
    with nodes_to_watch(shared_testbed, "of-the-browser"):
        yield


@pytest.fixture
def url(testbed: Commands) -> Iterator[str]:
    """A monitor of nodes that are up, and where its page is."""
    wait_for_systems(testbed)
    with testbed.setting("cycle_s = 0.5", "cycle_s = 0.1"):
        yield start(testbed, "0")[1]


def start(testbed: Commands, port: str) -> "tuple[Any, str]":
    """Start a monitor; its process, and where its page is."""
    process = testbed.start("imaging-monitor", "-q", "--web", f":{port}", "1-4")
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "page at http://127.0.0.1:" in line, line
    return process, line.split()[-1]


def test_it_says_that_leases_are_not_known(browser: "Chrome", testbed: Commands) -> None:
    with testbed.setting("backend = none", "backend = r2labapi"):  # which nobody serves here
        page = Page(browser, start(testbed, "0")[1])
        page.until(lambda: page.find("#status")[0].text == "live")
        page.until(lambda: testbed.setting_value("url") in page.find("#leases")[0].text)
    assert page.find("#leases")[0].is_displayed()


def test_tiles_follow_what_happens(browser: "Chrome", url: str, testbed: Commands) -> None:
    with emulated(browser, "light", 1200):
        page = Page(browser, url)
        page.until(lambda: "3 of 4 nodes up" in browser.title)
        tile = page.tile("fit01")
        assert tile.find_element("css selector", ".image").text == "sample"
        assert "Virtual Linux 1" in tile.find_element("css selector", ".system").text
        assert "connection refused" in page.tile("fit04").text
        assert page.computed("tbody", "display") == "grid"
        assert not page.find("#leases")[0].is_displayed()
        testbed.order("fit02", "off")
        page.until(lambda: page.says("fit02", "off"))
        page.until(lambda: "2 of 4 nodes up" in browser.title)
        (chip,) = page.find('#counts [data-condition="off"] button')
        chip.click()
        assert [row.is_displayed() for row in page.find("tbody tr")] == [False, True, False, False]
        chip.click()
        testbed.order("fit02", "on")
        page.until(lambda: "3 of 4 nodes up" in browser.title)
        assert all(row.is_displayed() for row in page.find("tbody tr"))
        before = tile.find_element("css selector", ".since").text
        page.until(lambda: tile.find_element("css selector", ".since").text != before)
        assert page.complaints() == []


def test_light_dark_and_a_phone(browser: "Chrome", url: str) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        for width in (390, 1200):
            with emulated(browser, scheme, width):
                page = Page(browser, url)
                page.until(lambda: "3 of 4 nodes up" in browser.title)
                colours[scheme] = page.computed("body", "background-color")
                overflow = browser.execute_script(
                    "return document.documentElement.scrollWidth - innerWidth"
                )
                assert overflow <= 0
                columns = page.computed("tbody", "grid-template-columns").split()
                assert len(columns) >= 2
                assert page.complaints() == []
    assert colours["light"] != colours["dark"]


def test_without_scripts_it_is_a_table_that_refreshes(
    browser: "Chrome", url: str, testbed: Commands
) -> None:
    with emulated(browser, "light", 1000, scripts=False):
        page = Page(browser, url)
        page.until(lambda: page.says("fit03", "up"))
        assert len(page.find("tbody tr")) == 4
        assert page.find("button") == []
        testbed.order("fit03", "off")
        page.until(lambda: page.says("fit03", "off"))
        assert page.computed("tbody tr", "display") == "table-row"  # it was refreshed just now
    testbed.order("fit03", "on")


def test_a_monitor_that_goes_and_comes_back_is_followed(
    browser: "Chrome", testbed: Commands
) -> None:
    assert testbed.run("imaging-wait", "-s", "-t", "20", "1-3").returncode == 0
    process, url = start(testbed, "0")
    with emulated(browser, "light", 1000):
        page = Page(browser, url)
        page.until(lambda: "3 of 4 nodes up" in browser.title)
        started = time.monotonic()
        process.terminate()
        assert process.wait(5) == 0
        assert time.monotonic() - started < 1  # though a browser follows
        page.until(lambda: "no connection" in page.find("#status")[0].text)
        _, again = start(testbed, url.rstrip("/").rpartition(":")[2])
        assert again == url
        page.until(lambda: page.find("#status")[0].text == "live")
        page.until(lambda: "3 of 4 nodes up" in browser.title)


def test_a_second_name_is_refused(browser: "Chrome", url: str) -> None:
    """As after DNS rebinding: the browser comes to us under another name."""
    browser.get(url.replace("127.0.0.1", "evil.localhost"))
    assert "unknown name" in browser.page_source
    assert "fit01" not in browser.page_source
