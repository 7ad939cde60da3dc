"""Take the pictures of the documentation from a finished run's report.

python docs/images/take.py results/demo/report.html
"""

import argparse
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parents[1] / "tests"))
from browser import chromium  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="report.html")
    args = parser.parse_args()
    with chromium() as page:
        page.open(args.report.resolve(), 1280)
        (FOLDER / "report.png").write_bytes(page.picture(height=1150))
        # The bar of contents would lie across a picture of what is further down.
        page.run("document.querySelector('.contents').remove()")
        page.one("#video-list").send_keys("j")
        page.run("document.activeElement.blur()")
        (FOLDER / "viewer.png").write_bytes(page.picture("#viewer-app", height=820))


if __name__ == "__main__":
    main()
