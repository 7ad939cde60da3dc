"""The page as people meet it: in a browser, by mouse and keyboard."""

import io
import json
import os
import re
from dataclasses import replace
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
from browser import Keys, chromium, needs_browser
from PIL import Image
from small_report import EMPTY, HOSTILE, NAMES, ODD, PAGE, SCORERS, SHOWN, SmallReport, large

from segment_em.prediction_files import read_predictions
from segment_em.tables import read_table

pytestmark = needs_browser


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("small"))
    yield SmallReport()
    os.chdir(before)


@pytest.fixture(scope="module")
def path(small):
    return small.write()


@pytest.fixture(scope="module")
def browser():
    with chromium() as page:
        yield page


@pytest.fixture
def page(browser, path):
    return browser.open(path)


def test_the_page_reads_without_an_error_and_shows_every_figure(page):
    figures = page.all("figure .drawing > svg")
    assert len(figures) == 9
    for figure in figures:
        assert figure.size["width"] > 300
        assert figure.size["height"] > 90
        assert len(figure.find_elements("css selector", "path")) > 5
    assert page.errors() == []


def test_what_people_wrote_runs_nowhere(page):
    assert page.run("return window.broken") is None
    assert HOSTILE in page.one(".kicker").text
    assert HOSTILE in page.one("#class-table").text


def column(page, number):
    return [
        row.find_elements("css selector", "th, td")[number].text
        for row in page.all("#class-table tr.class-row")
    ]


def test_a_click_on_a_columns_head_sorts_by_it_and_another_one_turns_the_order(page):
    heads = page.all("#class-table thead button")
    number = next(n for n, head in enumerate(heads) if head.text == "Ensemble")
    assert page.all("th[aria-sort]")[0].text.startswith("Change")
    heads[number].click()
    values = [float(text) for text in column(page, number)]
    assert values == sorted(values, reverse=True)
    assert page.one("th[aria-sort]").get_attribute("aria-sort") == "descending"
    page.all("#class-table thead button")[number].click()
    assert [float(text) for text in column(page, number)] == sorted(values)
    page.all("#class-table thead button")[0].click()
    names = column(page, 0)
    assert "class 21" in names
    assert names == sorted(names, key=str.lower)


def test_sorting_by_keyboard_keeps_the_focus(page):
    page.all("#class-table thead button")[0].send_keys(Keys.ENTER)
    assert page.run("return document.activeElement.textContent") == "Class"


def test_a_class_opens_to_the_segments_behind_its_change(page, small):
    row = page.all("#class-table tr.class-row")[0]
    name = row.find_element("css selector", "th").text
    row.find_element("css selector", "button").send_keys(Keys.ENTER)
    segments = page.all(".behind tbody tr")
    assert 0 < len(segments) <= 10
    segments[0].find_element("css selector", "button").click()
    assert page.one("#video").get_attribute("data-video") == segments[0].get_attribute("data-video")
    # The class is pinned if the video shows it: the ratings here are not those of the index.
    of_class = [strip for strip in page.all(".strip") if name in strip.text]
    assert page.all(".strip.pinned") == of_class


def compare(page, step):
    page.run(
        "const s = document.getElementById('step'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('change'))",
        str(step),
    )


def test_another_step_is_compared_when_it_is_chosen(page):
    before = column(page, -1)
    compare(page, 1)
    assert sorted(column(page, -1)) != sorted(before)


STEPS = [("F0", "ensemble"), ("controls", "ensemble"), ("F0", "T1"), ("T1", "T2")]


def ap_by_class(path):
    """The CSV beside the figure, classes by how the page calls them."""
    table = read_table(path.parent / "figures/ap_by_class.csv")
    names = table["name"].fillna("class " + table["class"].astype(str))
    return table.set_index(names)


def assert_gains_and_losses_are_those_of_the_table(page, path, step, most=5):
    """Names in order, and both average precisions and the change of each, to what is shown."""
    table = ap_by_class(path)
    before, after = (table[name] for name in STEPS[step])
    change = (after - before).sort_values()
    for listed, ranked in (("gains", change[::-1]), ("losses", change)):
        expected = ranked[ranked > 0 if listed == "gains" else ranked < 0][:most]
        items = [item.text.split("\n") for item in page.all(f"#{listed} button")]
        assert [item[0] for item in items] == expected.index.tolist()
        for name, values, changed in items:
            told = [*map(float, values.split(" → ")), float(changed.replace("−", "-"))]
            known = [before[name], after[name], change[name]]
            np.testing.assert_allclose(told, known, atol=0.0007)
        assert items or page.one(f"#{listed}").text == "None."


@pytest.mark.parametrize("step", range(len(STEPS)))
def test_the_biggest_gains_and_losses_are_those_of_the_table(page, path, step):
    compare(page, step)
    assert_gains_and_losses_are_those_of_the_table(page, path, step)


@pytest.mark.parametrize("listed", ["gains", "losses"])
def test_a_gain_or_a_loss_leads_to_its_class(page, listed):
    page.one("#class-filter").send_keys("nothing is called so")
    button = page.all(f"#{listed} button")[-1]
    name = button.text.split("\n")[0]
    button.click()
    (opened,) = page.all("#class-table [aria-expanded=true]")
    assert opened.text == name
    assert page.run("return document.activeElement") == opened
    (behind,) = page.all("tr.class-row + tr.behind")
    above = behind.find_element("xpath", "preceding-sibling::tr[1]")
    assert above.find_element("css selector", "th").text == name


def places(path, class_id, stage):
    """Place of each rated segment of a class among them, and whether it is positive, by video."""
    rows = pd.read_csv(path).query("`class` == @class_id").set_index("video_id")
    assert rows.index.is_unique
    return rows[f"{stage}_rank"].rank().astype(int), rows["positive"] == 1


def test_a_class_opens_to_the_ten_segments_that_moved_most_its_way(page, path, small):
    counts = []
    for name, ap in ap_by_class(path).iterrows():
        logistic = small.folder / "em/iteration-0/logistic/test.ratings.csv"
        before, positive = places(logistic, ap["class"], "finetuned")
        after, _ = places(small.folder / "ensemble/test.ratings.csv", ap["class"], "ensemble")
        better = (before - after).where(positive, after - before)
        moved = better if ap["ensemble"] > ap["F0"] else -better
        counts.append((moved > 0).sum())
        opener = f"document.querySelector(`#class-table tr[data-class='{ap['class']}']`).click()"
        page.run(opener)
        rows = [row.find_elements("css selector", "td") for row in page.all(".behind tbody tr")]
        page_told = [(row[1].text, [int(n) for n in row[3].text.split(" → ")]) for row in rows]
        assert all(told == [before[video], after[video]] for video, told in page_told), name
        farthest = moved[moved > 0].sort_values(ascending=False)[:10].tolist()
        assert [moved[video] for video, _ in page_told] == farthest, name
        page.run(opener)
    assert max(counts) > 10 > min(counts)


def assert_strips_are_those_of_the_files(page, small, scorer):
    """Bars and heat of every strip of the shown video, against the HDF5 files."""
    shown = page.one("#video").get_attribute("data-video")
    part = "test" if shown.startswith("test") else "validation"
    chunks = {name: read_predictions(small.scores[name, part]) for name in SCORERS}
    chunk = chunks[scorer]
    row = chunk.video_ids.tolist().index(shown)
    first, stop = chunk.video_indptr[row : row + 2]
    strips = page.run(
        "return [...document.querySelectorAll('.strip')].map(s => [Number(s.dataset.class),"
        "[...s.querySelectorAll('.bars rect')].map(r => Number(r.getAttribute('height'))),"
        "(c => Array.from({length: c.height}, (_, n) => Array.from("
        "c.getContext('2d').getImageData(0, n, c.width, 1).data.filter((_, k) => k % 4 == 3))))"
        "(s.querySelector('.heat canvas'))])"
    )
    assert strips
    for class_id, heights, heat in strips:
        place = chunk.class_ids.tolist().index(class_id)
        np.testing.assert_allclose(heights, chunk.scores[first:stop, place], atol=0.003)
        for name, found in zip(SCORERS, heat, strict=True):
            expected = chunks[name].scores[first:stop, place]
            np.testing.assert_allclose(np.divide(found, 255), expected, atol=0.003)


def test_choosing_by_keyboard_shows_the_right_scores(page, small):
    page.one("#video-list").click()
    seen = [page.one("#video").get_attribute("data-video")]
    for key in ("j", Keys.ARROW_DOWN, Keys.PAGE_DOWN):
        page.press(key)
        seen.append(page.one("#video").get_attribute("data-video"))
        assert_strips_are_those_of_the_files(page, small, "ensemble")
    assert len(set(seen)) == 4
    page.press("k")
    page.press(Keys.ARROW_LEFT)
    assert_strips_are_those_of_the_files(page, small, "T2")
    page.press(Keys.ARROW_LEFT)
    assert_strips_are_those_of_the_files(page, small, "T1")
    assert page.errors() == []


def test_typing_an_id_finds_the_video(page, small):
    page.one("body").send_keys("/")
    page.press("validation-07", Keys.ENTER)
    assert page.one("#video").get_attribute("data-video") == "validation-07"
    assert page.one("#video-count").text.startswith("1 video,")
    assert_strips_are_those_of_the_files(page, small, "ensemble")


def test_the_worst_videos_come_first_and_a_class_narrows_the_list(page):
    data = json.loads(page.run("return document.getElementById('data').textContent"))
    errors = [video["error"] for video in data["viewer"]["videos"] if video["error"] is not None]
    first = page.one("#video").get_attribute("data-video")
    by_id = {video["id"]: video for video in data["viewer"]["videos"]}
    assert by_id[first]["error"] == max(errors)
    page.run(
        "const c = document.getElementById('video-class'); c.value = '2';"
        "c.dispatchEvent(new Event('change'))"
    )
    wanted = [video for video in data["viewer"]["videos"] if 2 in video["classes"]]
    assert page.one("#video-count").text.startswith(f"{len(wanted)} videos")
    assert page.one(".strip").get_attribute("data-class") == "8"


def test_the_page_says_how_many_videos_it_leaves_out(page):
    told = page.one("#viewer-lead").text
    assert told.startswith("59 of 60 test videos (the worst and a sample) and all 12 validation")


def test_ratings_truth_labels_and_threshold_are_drawn(page):
    data = json.loads(page.run("return document.getElementById('data').textContent"))
    video = next(v for v in data["viewer"]["videos"] if v["part"] == 1 and v["ratings"])
    page.run("window.showVideo(arguments[0], null)", video["id"])
    assert len(page.all(".marks span")) == len(video["ratings"]) / 3
    assert len(page.all(".truth rect")) == len(video["truth"]) / 3
    names = [list(NAMES.values())[column] for column in video["labels"]]
    assert all(label.text in (*names, "class 21") for label in page.all(".labels b"))
    assert len(page.all(".labels b")) == len(names)
    lines = page.all(".bars line")
    assert {float(line.get_attribute("y1")) for line in lines} == {0.5}
    link = page.one(".video-head a").get_attribute("href")
    assert link.startswith("https://example.org/validation")


def test_no_picture_stands_beside_a_video_unless_it_is_set(page):
    page.run("window.showVideo(arguments[0], null)", ODD)
    assert page.all("#video-id")
    assert not page.all("#video img")


@pytest.fixture(scope="module")
def with_pictures(small):
    """A page with thumbnails beside it, of which one is there; and a link within the folder."""
    folder = small.folder / "thumbnails"
    folder.mkdir()
    Image.new("RGB", (64, 36), "red").save(folder / f"{ODD}.png")
    page = replace(PAGE, thumbnail="thumbnails/{id}.png", link="watch?v={id}&from={id}")
    return small.write(page, "pictures.html")


@pytest.mark.parametrize("video", [ODD, "test" + HOSTILE, "test-07"])
def test_picture_and_link_are_addressed_by_the_chosen_videos_id(browser, with_pictures, video):
    page = browser.open(with_pictures)
    page.run("window.showVideo(arguments[0], null)", video)
    # What JavaScript leaves as it is.
    name = quote(video, safe="!'()*~")
    (picture,) = page.all("#video img")
    assert picture.get_dom_attribute("src") == f"thumbnails/{name}.png"
    (link,) = page.all(".video-head a")
    assert link.get_dom_attribute("href") == f"watch?v={name}&from={name}"


def test_the_picture_of_a_video_with_an_odd_id_is_found_and_shown(browser, with_pictures):
    page = browser.open(with_pictures)
    page.run("window.showVideo(arguments[0], null)", ODD)
    picture = page.one("#video img")
    loaded = "return arguments[0].decode().then(() => arguments[0].naturalWidth)"
    assert page.run(loaded, picture) == 64


def test_the_list_holds_no_more_rows_than_are_seen(page):
    assert len(page.all("#video-list .item")) < 40
    assert sum(SHOWN.values()) > 40
    page.run("document.getElementById('video-list').scrollTop = 1e6")
    page.run("return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    last = page.all("#video-list .item")[-1]
    assert last.get_attribute("aria-posinset") == str(sum(SHOWN.values()))


def test_a_video_without_frames_is_said_to_have_none(page):
    page.run("window.showVideo(arguments[0], null)", EMPTY)
    assert "no frames" in page.one("#video").text
    assert page.errors() == []


def test_an_address_leads_to_the_video_that_was_chosen(browser, path):
    page = browser.open(path)
    page.one("#video-list").send_keys("j", "j")
    shown = page.one("#video").get_attribute("data-video")
    address = page.run("return location.href")
    assert address.endswith("#video=" + shown)
    page.driver.get("about:blank")
    page.driver.get(address)
    assert page.one("#video").get_attribute("data-video") == shown


@pytest.mark.parametrize("width", [1400, 400])
def test_the_page_is_neither_cut_nor_empty(browser, path, width):
    page = browser.open(path, width)
    assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")
    image = np.asarray(Image.open(io.BytesIO(page.picture())).convert("L"))
    assert image.shape[1] == width
    # Ink in every screenful, and none of it against the right edge.
    for top in range(0, image.shape[0] - 600, 600):
        assert (image[top : top + 600] < 128).mean() > 0.002, top
    assert (image[:, -4:] > 200).all()


# Width and height in inches, and the width between the browser's margins in pixels.
PAPERS = {"a4": ((8.27, 11.69), 717), "letter": ((8.5, 11), 739)}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_printed_page_has_text(browser, path, paper):
    pages = browser.open(path).printed(PAPERS[paper][0])
    assert len(pages) > 3
    for drawn in pages:
        assert len(re.findall(rb"\bT[jJ]\b", drawn)) > 5


@pytest.mark.parametrize("paper", PAPERS)
def test_the_print_is_not_cut_at_the_right(browser, path, paper):
    page = browser.open(path, PAPERS[paper][1], "print")
    assert page.run("return document.documentElement.scrollWidth <= window.innerWidth")
    # What scrolls on a screen would be cut on paper.
    cut = page.run(
        "return [...document.querySelectorAll('.scroll')].filter("
        "e => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight).length"
    )
    assert cut == 0


@pytest.mark.parametrize("medium", ["screen", "print"])
def test_what_can_only_be_clicked_is_not_printed(browser, path, medium):
    page = browser.open(path, 1000, medium)
    for selector in (".contents", ".chooser", ".skip", ".tools", ".tabs"):
        seen = "return [...document.querySelectorAll(arguments[0])].map(e => e.checkVisibility())"
        assert set(page.run(seen, selector)) == {medium == "screen"}, selector
    assert all(element.is_displayed() for element in page.all("#video, .strip, #class-table"))


# A class without positives --------------------------------------------------------------------


def test_a_class_without_positives_is_last_in_any_order_and_opens_to_the_reason(
    browser, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    small = SmallReport(without_positives=[8])
    page = browser.open(small.write())
    assert page.errors() == []
    for _ in range(2):  # the biggest change first, then the smallest
        page.all("#class-table thead button")[-1].click()
        *_, last = page.all("#class-table tr.class-row")
        assert last.get_attribute("data-class") == "8"
        cells = [cell.text for cell in last.find_elements("css selector", "td")]
        assert cells[1:] == [""] * (len(cells) - 1)
    last.click()
    assert "no average precision" in page.one("tr.behind").text
    for listed in ("gains", "losses"):
        assert NAMES[8] not in [item.text.split("\n")[0] for item in page.all(f"#{listed} li")]


# As many videos as a page shows at most --------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("many"))
    yield SmallReport(replace(PAGE, classes_a_video=12), size=large(classes=100))
    os.chdir(before)


@pytest.fixture(scope="module")
def many_path(many):
    return many.write()


def test_a_page_of_2000_videos_is_smaller_than_10_mb(many_path):
    assert 5e6 < many_path.stat().st_size < 10e6


def test_among_2000_videos_the_keyboard_leads_to_the_20th_and_its_scores(browser, many, many_path):
    page = browser.open(many_path)
    videos = json.loads(page.one("#data").get_attribute("textContent"))["viewer"]["videos"]
    assert len(videos) == 2000
    worst = sorted(videos, key=lambda video: -(video["error"] or 0))
    page.one("#video-list").click()
    first = page.one("#video").get_attribute("data-video")
    place = next(n for n, video in enumerate(worst) if video["id"] == first)
    for number in range(1, 21):
        page.press("j")
        shown = page.one("#video").get_attribute("data-video")
        assert shown == worst[place + number]["id"]
    assert_strips_are_those_of_the_files(page, many, "ensemble")
    assert len(page.all("#video-list .item")) < 40
    assert page.errors() == []


def test_of_many_classes_the_five_biggest_gains_and_losses_are_shown(browser, many_path):
    page = browser.open(many_path)
    assert_gains_and_losses_are_those_of_the_table(page, many_path, 0)
    assert len(page.all("#gains li")) == len(page.all("#losses li")) == 5
