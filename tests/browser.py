"""A headless Chromium that reads pages from disk, for tests and for pictures."""

import base64
import shutil
from contextlib import contextmanager

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

ARGUMENTS = ("--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-sandbox")


def missing():
    """What is not installed, or None."""
    programs = ("chromium", "chromedriver")
    absent = [name for name in programs if shutil.which(name) is None]
    return (
        f"no {' and no '.join(absent)} here (apt-get install chromium-driver)" if absent else None
    )


needs_browser = pytest.mark.skipif(missing() is not None, reason=str(missing()))


class Page:
    """A page in a window of some width."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, path, width=1400):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get(path.as_uri())
        return self

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def press(self, *keys):
        """Keys to whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def errors(self):
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def picture(self, selector=None, height=None):
        """PNG of the whole page or of one element, or of that much from its top."""
        box = "const b = document.querySelector(arguments[0]).getBoundingClientRect();"
        box += "return [b.x + scrollX, b.y + scrollY, b.width, b.height]"
        x, y, width, height_there = self.run(box, selector or "html")
        height = min(height or height_there, height_there)
        clip = {"x": x, "y": y, "width": width, "height": height, "scale": 1}
        settings = {"captureBeyondViewport": True, "clip": clip}
        answer = self.driver.execute_cdp_cmd("Page.captureScreenshot", settings)
        return base64.b64decode(answer["data"])


@contextmanager
def chromium():
    """A Page; the browser ends with the block."""
    options = webdriver.ChromeOptions()
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # Named, so that selenium neither looks for a driver nor fetches one.
    options.binary_location = shutil.which("chromium")
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        yield Page(driver)
    finally:
        driver.quit()


__all__ = ["Keys", "Page", "chromium", "missing", "needs_browser"]
