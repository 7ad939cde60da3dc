"""A headless Chromium that reads pages from disk, for tests and for pictures."""

import base64
import re
import shutil
import zlib
from contextlib import contextmanager

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

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

    def open(self, path, width=1400, medium="screen"):
        """medium: "print" for what a printer would get, laid out at that width."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": medium})
        self.errors()  # those of the page before are not this one's
        # On a busy machine the driver has returned while the page was still read.
        self.driver.get("about:blank")
        self.driver.get(path.as_uri())
        WebDriverWait(self.driver, 60).until(
            lambda driver: driver.execute_script(
                "return location.protocol === 'file:' && document.readyState === 'complete'"
            )
        )
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

    def printed(self, paper):
        """What is drawn on each printed page, as the operators of PDF. paper: width and height in
        inches."""
        settings = dict(zip(("paperWidth", "paperHeight"), paper, strict=True))
        # A medium that was emulated before would be printed as well: the page as on the screen.
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        answer = self.driver.execute_cdp_cmd("Page.printToPDF", settings)
        return _drawn(base64.b64decode(answer["data"]))


def _drawn(pdf):
    """bytes of each page of a PDF as Chromium writes it: page objects plain, contents deflated."""
    objects = dict(re.findall(rb"^(\d+) 0 obj\n(.*?)\nendobj", pdf, re.DOTALL | re.MULTILINE))
    pages = [text for text in objects.values() if re.search(rb"/Type /Page\b", text)]
    contents = [objects[re.search(rb"/Contents (\d+) 0 R", text)[1]] for text in pages]
    return [zlib.decompress(text.partition(b"stream\n")[2]) for text in contents]


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
