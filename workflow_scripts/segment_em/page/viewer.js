// The videos: a list that is drawn only where it is seen, and the strips of the chosen one.
"use strict";

(() => {
  const { viewer, threshold, classes, totals } = report;
  const { videos, scorers, segment_seconds: segmentSeconds } = viewer;
  const scores = Uint8Array.from(atob(viewer.scores), (character) => character.charCodeAt(0));
  const partNames = ["test", "validation"];
  const ROW = 36;
  const SVG = "http://www.w3.org/2000/svg";

  let offset = 0;
  for (const video of videos) {
    video.segments = Math.ceil(video.seconds / segmentSeconds);
    video.offset = offset;
    offset += scorers.length * video.classes.length * video.segments;
  }

  // An id may stand in both parts: what is said of ratings means the part that was compared.
  function called(id) {
    const found = videos.filter((video) => video.id === id);
    return found.find((video) => partNames[video.part] === report.part) || found[0] || null;
  }

  const find = (id) => document.getElementById(id);
  const [list, pane, filter] = [find("video-list"), find("video"), find("video-filter")];
  const [part, order, pinned] = [find("video-part"), find("video-order"), find("video-class")];
  const inner = list.firstElementChild;
  const state = { shown: [], at: 0, scorer: scorers.length - 1 };

  // Scores -----------------------------------------------------------------------------------

  function scoresOf(video, scorer, column) {
    const place = video.classes.indexOf(column);
    const first = video.offset + (scorer * video.classes.length + place) * video.segments;
    return scores.subarray(first, first + video.segments);
  }

  function ratingsOf(video, column) {
    const found = [];
    for (let n = 0; n < video.ratings.length; n += 3) {
      if (video.ratings[n] === column) found.push([video.ratings[n + 1], video.ratings[n + 2]]);
    }
    return found;
  }

  function truthOf(video, column) {
    const found = [];
    for (let n = 0; n < (video.truth || []).length; n += 3) {
      if (video.truth[n] === column) found.push([video.truth[n + 1], video.truth[n + 2]]);
    }
    return found;
  }

  function errorIn(video, column) {
    if (column === null) return video.error;
    const rated = ratingsOf(video, column);
    if (!rated.length) return null;
    const given = scoresOf(video, scorers.length - 1, column);
    return rated.reduce((sum, [segment, positive]) => sum + Math.abs(given[segment] / 255 - positive), 0) / rated.length;
  }

  function bestIn(video, column) {
    return Math.max(0, ...scoresOf(video, scorers.length - 1, column)) / 255;
  }

  // The list ---------------------------------------------------------------------------------

  function column() {
    return pinned.value === "" ? null : Number(pinned.value);
  }

  function valueOf(video) {
    return order.value === "score" ? bestIn(video, column()) : errorIn(video, column());
  }

  function choose(keep) {
    const wanted = filter.value.toLowerCase();
    const of = column();
    state.shown = videos.filter(
      (video) =>
        video.id.toLowerCase().includes(wanted) &&
        (part.value === "" || partNames[video.part] === part.value) &&
        (of === null || video.classes.includes(of)),
    );
    if (order.value !== "id") {
      const value = new Map(state.shown.map((video) => [video, valueOf(video)]));
      const known = (video) => (value.get(video) === null ? -1 : value.get(video));
      state.shown.sort((a, b) => known(b) - known(a));
    } else {
      state.shown.sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
    }
    find("video-count").textContent =
      `${state.shown.length} video${state.shown.length === 1 ? "" : "s"}` + (order.value === "id" ? "" : order.value === "score" ? ", by highest score of the class" : ", by mean distance from their ratings");
    show(Math.max(0, state.shown.indexOf(keep)));
  }

  function drawList() {
    inner.style.height = `${state.shown.length * ROW}px`;
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
    const stop = Math.min(state.shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + 4);
    const items = [];
    for (let n = first; n < stop; n += 1) {
      const video = state.shown[n];
      const value = order.value === "id" ? video.error : valueOf(video);
      const item = element(
        "div",
        { class: "item", role: "option", id: `video-${n}`, "aria-selected": String(n === state.at), "aria-setsize": state.shown.length, "aria-posinset": n + 1, "data-id": video.id, onclick: () => select(n) },
        element("span", { class: "id" }, video.id),
        element("span", { class: "seconds" }, clock(video.seconds)),
        element("span", { class: "value" }, value === null ? "" : value.toFixed(2).replace(/^0/, "")),
      );
      item.style.top = `${n * ROW}px`;
      items.push(item);
    }
    inner.replaceChildren(...items);
  }

  // Chosen by hand: the address then leads to the video, for a colleague.
  function select(n) {
    show(n);
    if (state.shown.length) history.replaceState(null, "", `#video=${encodeURIComponent(state.shown[state.at].id)}`);
  }

  function show(n) {
    state.at = Math.max(0, Math.min(state.shown.length - 1, n));
    const top = state.at * ROW;
    if (top < list.scrollTop) list.scrollTop = top;
    if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
    drawList();
    list.setAttribute("aria-activedescendant", `video-${state.at}`);
    drawVideo();
  }

  // The strips -------------------------------------------------------------------------------

  function shape(name, attributes) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  function drawing(width, height, className, label) {
    return shape("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: className, role: "img", "aria-label": label });
  }

  function bars(video, given, name) {
    const svg = drawing(video.seconds, 1, "bars", `${name}: highest score ${(Math.max(0, ...given) / 255).toFixed(2)}`);
    given.forEach((byte, segment) => {
      const [start, score] = [segment * segmentSeconds, byte / 255];
      const width = Math.min(segmentSeconds, video.seconds - start);
      const over = score >= threshold;
      svg.append(shape("rect", { x: start + 0.2, y: 1 - score, width: Math.max(0.2, width - 0.4), height: score, class: over ? "over" : "", "data-byte": byte }));
    });
    svg.append(shape("line", { x1: 0, x2: video.seconds, y1: 1 - threshold, y2: 1 - threshold }));
    return svg;
  }

  // A pixel a score, as thousands of elements would make the keys lag.
  function heat(video, of) {
    const canvas = element("canvas", { width: video.segments, height: scorers.length, role: "img", "aria-label": "scores by iteration" });
    const pixels = new ImageData(video.segments, scorers.length);
    scorers.forEach((_, number) => {
      scoresOf(video, number, of).forEach((byte, segment) => {
        pixels.data.set([0, 114, 178, byte], 4 * (number * video.segments + segment));
      });
    });
    canvas.getContext("2d", { willReadFrequently: true }).putImageData(pixels, 0, 0);
    // The last segment may be cut off by the end of the video.
    canvas.style.width = `${(100 * video.segments * segmentSeconds) / video.seconds}%`;
    canvas.style.height = `${7 * scorers.length}px`;
    const names = scorers.map((scorer) => element("span", { title: columnName(scorer) }, scorer === "ensemble" ? "E" : scorer.slice(1)));
    return element("div", { class: "heat" }, element("div", { class: "heat-rows" }, canvas), element("div", {}, ...names));
  }

  function told(plot, video, given) {
    plot.addEventListener("mousemove", (event) => {
      const box = plot.getBoundingClientRect();
      const segment = Math.min(video.segments - 1, Math.floor((((event.clientX - box.left) / box.width) * video.seconds) / segmentSeconds));
      plot.title = `${clock(segment * segmentSeconds)}: ${(given[segment] / 255).toFixed(2)}`;
    });
    return plot;
  }

  function marks(video, of) {
    const box = element("div", { class: "marks" });
    for (const [segment, positive] of ratingsOf(video, of)) {
      const start = segment * segmentSeconds; // the last segment may be shorter
      const centre = (start + Math.min(start + segmentSeconds, video.seconds)) / 2;
      const mark = element("span", { class: positive ? "yes" : "no", title: `${clock(start)}: rated ${positive ? "occurs" : "does not occur"}` }, positive ? "✓" : "✕");
      mark.style.left = `${(100 * centre) / video.seconds}%`;
      box.append(mark);
    }
    return box;
  }

  function truthBar(video, of) {
    const svg = drawing(video.seconds, 1, "truth", "truly occurs");
    for (const [start, end] of truthOf(video, of)) svg.append(shape("rect", { x: start, y: 0, width: end - start, height: 1 }));
    return svg;
  }

  function strip(video, of) {
    const given = scoresOf(video, state.scorer, of);
    const name = className(classes[of]);
    const labelled = video.labels.includes(of) ? "video label · " : "";
    const plot = told(element("div", { class: "plot" }, bars(video, given, name)), video, given);
    if (video.truth) plot.append(truthBar(video, of));
    const wrapped = element("div", { class: "heat-space" }, marks(video, of), plot);
    return element(
      "div",
      { class: of === column() ? "strip pinned" : "strip", "data-class": classes[of].id, "data-scores": Array.from(given).join(" ") },
      element("div", { class: "strip-name" }, name, element("small", {}, `${labelled}highest ${(Math.max(0, ...given) / 255).toFixed(2)}`)),
      element("div", {}, wrapped, heat(video, of)),
    );
  }

  function axis(video) {
    const every = [5, 10, 15, 30, 60, 120, 300, 600].find((s) => video.seconds / s <= 8) || 1200;
    const box = element("div", { class: "axis", "aria-hidden": "true" });
    for (let second = 0; second <= video.seconds; second += every) {
      const tick = element("span", {}, clock(second));
      tick.style.left = `${(100 * second) / video.seconds}%`;
      box.append(tick);
    }
    return box;
  }

  function address(template, video) {
    return template.replaceAll("{id}", encodeURIComponent(video.id));
  }

  function heading(video) {
    const facts = [partNames[video.part], `${clock(video.seconds)} min`];
    if (video.error !== null) facts.push(`${video.error.toFixed(2)} mean distance from its ratings`);
    const head = element("div", { class: "video-head" }, element("h3", { id: "video-id" }, video.id), element("span", { class: "quiet" }, facts.join(" · ")));
    if (report.link) head.append(element("a", { href: address(report.link, video), rel: "noreferrer", target: "_blank" }, "open the video"));
    if (report.thumbnail) head.append(element("img", { src: address(report.thumbnail, video), alt: "", loading: "lazy" }));
    return head;
  }

  function tabs() {
    const buttons = scorers.map((scorer, number) =>
      element("button", { type: "button", "aria-pressed": String(number === state.scorer), onclick: () => setScorer(number) }, columnName(scorer)),
    );
    return element("div", { class: "tabs", role: "group", "aria-label": "Whose scores" }, ...buttons);
  }

  function legend(video) {
    const swatch = (colour) => {
      const box = element("i", { class: "swatch" });
      box.style.background = colour;
      return box;
    };
    return element(
      "div",
      { class: "legend" },
      element("span", {}, swatch("#0072b2"), `score, from ${threshold} on it occurs (dashed)`),
      element("span", {}, swatch("#a9cfe6"), "score below"),
      element("span", {}, element("i", { class: "yes" }, "✓"), "rated: occurs"),
      element("span", {}, element("i", { class: "no" }, "✕"), "rated: does not"),
      video.truth ? element("span", {}, swatch("#009e73"), "truly occurs") : null,
      element("span", {}, `thin rows: iteration ${scorers.slice(0, -1).map((s) => s.slice(1)).join(", ")} and ensemble (E), darker is surer`),
    );
  }

  function drawVideo() {
    const video = state.shown[state.at];
    if (!video) {
      pane.replaceChildren(element("p", { class: "quieted" }, "No video fits this choice."));
      return;
    }
    pane.dataset.video = video.id;
    if (!video.segments) {
      pane.replaceChildren(heading(video), element("p", { class: "quieted" }, "This video has no frames."));
      return;
    }
    const first = video.classes.filter((of) => of === column());
    const ordered = [...first, ...video.classes.filter((of) => of !== column())];
    const labels = element("p", { class: "labels" }, video.labels.length ? "Video labels: " : "No labels of this video are known.");
    video.labels.forEach((of) => labels.append(element("b", {}, className(classes[of])), " "));
    pane.replaceChildren(heading(video), labels, tabs(), legend(video), axis(video), ...ordered.map((of) => strip(video, of)));
  }

  function setScorer(number) {
    state.scorer = Math.max(0, Math.min(scorers.length - 1, number));
    drawVideo();
  }

  // Who may call from outside, and keys --------------------------------------------------------

  window.hasVideo = (id) => called(id) !== null;

  window.showVideo = (id, classId) => {
    filter.value = "";
    part.value = "";
    const of = classes.findIndex((entry) => entry.id === classId);
    pinned.value = called(id).classes.includes(of) ? String(of) : "";
    needClassForScore();
    choose(called(id));
    find("viewer").scrollIntoView();
    list.focus({ preventScroll: true });
  };

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    const inside = find("viewer-app").contains(event.target);
    const steps = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
    const letter = event.key === "j" || event.key === "k";
    if (event.key === "/" && !typing) filter.focus();
    else if (event.key === "Escape" && event.target === filter) list.focus();
    else if (event.key === "Enter" && event.target === filter) list.focus();
    else if (event.key in steps && (letter ? !typing : inside && event.target.tagName !== "SELECT")) select(state.at + steps[event.key]);
    else if ((event.key === "Home" || event.key === "End") && event.target === list) select(event.key === "Home" ? 0 : Infinity);
    else if (event.key === "ArrowLeft" && inside && !typing) setScorer(state.scorer - 1);
    else if (event.key === "ArrowRight" && inside && !typing) setScorer(state.scorer + 1);
    else return;
    event.preventDefault();
  }

  function fillChoices() {
    const there = partNames.filter((name, number) => videos.some((video) => video.part === number));
    part.append(element("option", { value: "" }, "all"), ...there.map((name) => element("option", { value: name }, name)));
    const orders = [["worst", "worst first"], ["id", "by id"], ["score", "highest score"]];
    order.append(...orders.map(([value, text]) => element("option", { value }, text)));
    pinned.append(element("option", { value: "" }, "any"));
    const numbers = [...classes.keys()].sort((a, b) => className(classes[a]).localeCompare(className(classes[b]), undefined, { numeric: true }));
    pinned.append(...numbers.map((of) => element("option", { value: of }, className(classes[of]))));
    const shares = there.map((name) => {
      const shown = videos.filter((video) => partNames[video.part] === name).length;
      const which = name === "test" ? "the worst and a sample" : "a sample";
      return shown === totals[name] ? `all ${shown} ${name} videos` : `${shown} of ${totals[name]} ${name} videos (${which})`;
    });
    const most = videos.some((video) => video.classes.length < classes.length) ? " Of each video stand here the classes that it is rated for or carries, and those that score highest." : "";
    find("viewer-lead").textContent = `${shares.join(" and ").replace(/^a/, "A")}: when each class occurs, as the model of each iteration and the ensemble see it.${most}`;
  }

  function needClassForScore() {
    order.querySelector("option[value=score]").disabled = column() === null;
    if (column() === null && order.value === "score") order.value = "worst";
  }

  fillChoices();
  needClassForScore();
  list.addEventListener("scroll", drawList);
  filter.addEventListener("input", () => choose(null));
  for (const box of [part, order, pinned]) {
    box.addEventListener("change", () => {
      needClassForScore();
      choose(state.shown[state.at]);
    });
  }
  document.addEventListener("keydown", pressed);
  choose(called(new URLSearchParams(location.hash.slice(1)).get("video")));
  new ResizeObserver(drawList).observe(list);
})();
