"""Take the pictures of the documentation from a finished run's report.

python docs/images/take.py results/demo/report.html
"""

import argparse
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parents[1] / "tests"))
from browser import chromium  # noqa: E402

# One with labels and much that occurs; without the bar of contents, which would lie across it.
SHOW_A_TELLING_VIDEO = """
document.querySelector(".contents").remove();
const telling = (video) => video.labels.length && video.seconds > 60 ? video.classes.length
  + (video.truth || []).length + video.ratings.length : 0;
const videos = [...report.viewer.videos].sort((a, b) => telling(b) - telling(a));
window.showVideo(videos[0].id, null);
document.activeElement.blur();
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path, help="report.html")
    args = parser.parse_args()
    with chromium() as page:
        page.open(args.report.resolve(), 1280)
        (FOLDER / "report.png").write_bytes(page.picture(height=1150))
        page.run(SHOW_A_TELLING_VIDEO)
        (FOLDER / "viewer.png").write_bytes(page.picture("#viewer-app", height=820))


if __name__ == "__main__":
    main()
