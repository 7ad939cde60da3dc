// The classes' table: sorted by any column, compared over any step, opened to the segments behind.
"use strict";

const report = JSON.parse(document.getElementById("data").textContent);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Short enough for the head of a narrow column.
function columnHead(column) {
  if (column === "controls") return "No EM";
  return column === "ensemble" ? "Ensemble" : `Iter. ${column.slice(1)}`;
}

function columnName(column) {
  if (column === "controls") return "without EM";
  return column === "ensemble" ? "ensemble" : `iteration ${column.slice(1)}`;
}

function className(entry) {
  return entry.name || `class ${entry.id}`;
}

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

function signed(value) {
  return (value < 0 ? "−" : "+") + Math.abs(value).toFixed(3);
}

function inUnit(value) {
  return value === null ? "" : value.toFixed(3);
}

(() => {
  const step = document.getElementById("step");
  const filter = document.getElementById("class-filter");
  const table = document.getElementById("class-table");
  const sorting = { key: "change", descending: true };
  const open = new Set();
  const rows = new Map(); // class id -> its row, until another step is chosen

  report.steps.forEach((entry, number) => {
    const text = `${columnName(entry.before)} with ${columnName(entry.after)}`;
    step.append(element("option", { value: number }, text));
  });

  function chosen() {
    return report.steps[Number(step.value)];
  }

  function changeOf(entry) {
    if (!report.steps.length) return null;
    const [before, after] = [chosen().before, chosen().after].map((c) => entry.ap[report.columns.indexOf(c)]);
    return before === null || after === null ? null : after - before;
  }

  const columns = [
    { key: "name", title: "Class", value: className },
    { key: "rated", title: "Rated", value: (entry) => entry.rated },
    ...report.columns.map((column, number) => ({
      key: column,
      title: columnHead(column),
      value: (entry) => entry.ap[number],
    })),
    { key: "change", title: "Change", value: changeOf },
  ];

  function sorted() {
    const { value } = columns.find((column) => column.key === sorting.key);
    const wanted = filter.value.toLowerCase();
    const rows = report.classes.filter((entry) => `${className(entry)} ${entry.id}`.toLowerCase().includes(wanted));
    const sign = sorting.descending ? -1 : 1;
    return rows.sort((a, b) => {
      const [one, other] = [value(a), value(b)];
      if (one === null || other === null) return (one === null) - (other === null);
      return sign * (typeof one === "string" ? one.localeCompare(other, undefined, { numeric: true }) : one - other);
    });
  }

  function sortBy(key) {
    sorting.descending = sorting.key === key ? !sorting.descending : key !== "name";
    sorting.key = key;
    draw();
  }

  function head() {
    const cells = columns.map((column) => {
      const direction = sorting.descending ? "descending" : "ascending";
      const attributes = { scope: "col", class: column.key === "name" ? "" : "n", "data-key": column.key };
      if (column.key === sorting.key) attributes["aria-sort"] = direction;
      return element("th", attributes, element("button", { type: "button", onclick: () => sortBy(column.key) }, column.title));
    });
    table.tHead.replaceChildren(element("tr", {}, ...cells));
  }

  function row(entry) {
    if (!rows.has(entry.id)) rows.set(entry.id, newRow(entry));
    rows.get(entry.id).querySelector("button").setAttribute("aria-expanded", String(open.has(entry.id)));
    return rows.get(entry.id);
  }

  function newRow(entry) {
    const change = changeOf(entry);
    const cells = entry.ap.map((ap) => element("td", { class: "n" }, inUnit(ap)));
    const moved = element("td", { class: `n ${change === null ? "" : change < 0 ? "loss" : "gain"}` });
    moved.textContent = change === null ? "" : signed(change);
    const opener = element("button", { type: "button" }, className(entry));
    return element(
      "tr",
      { class: "class-row", "data-class": entry.id, onclick: () => toggle(entry) },
      element("th", { scope: "row" }, opener),
      element("td", { class: "n" }, `${entry.rated} `, element("span", { class: "quiet" }, `(${entry.positives} +)`)),
      ...cells,
      moved,
    );
  }

  function behind(entry) {
    const change = changeOf(entry);
    const segments = report.steps.length ? chosen().segments[entry.id] || [] : [];
    const cell = element("td", { colspan: columns.length });
    if (!segments.length) {
      const none = "No rated segment shows this class, so it has no average precision.";
      cell.append(element("p", {}, entry.ap.includes(null) ? none : "Its average precision did not change."));
    } else {
      const direction = change < 0 ? "for the worse" : "for the better";
      cell.append(
        element("p", {}, `The rated segments that moved most ${direction}: their place among the ${entry.rated} rated ones, and their score.`),
        element(
          "table",
          {},
          element("thead", {}, element("tr", {}, ...["Rated", "Video", "Time", "Place", "Score"].map((t) => element("th", { scope: "col" }, t)))),
          element("tbody", {}, ...segments.map((segment) => segmentRow(entry, segment))),
        ),
      );
    }
    return element("tr", { class: "behind" }, cell);
  }

  function segmentRow(entry, [video, start, positive, before, after, scoreBefore, scoreAfter]) {
    const seconds = report.viewer.segment_seconds;
    const shown = window.hasVideo(video);
    const link = shown ? element("button", { type: "button", onclick: () => window.showVideo(video, entry.id) }, video) : video;
    return element(
      "tr",
      { "data-video": video },
      element("td", { class: positive ? "yes" : "no" }, positive ? "✓ occurs" : "✕ does not"),
      element("td", {}, link),
      element("td", {}, `${clock(start)}–${clock(start + seconds)}`),
      element("td", {}, `${before} → ${after}`),
      element("td", {}, `${inUnit(scoreBefore) || "none"} → ${inUnit(scoreAfter) || "none"}`),
    );
  }

  function toggle(entry) {
    if (!open.delete(entry.id)) open.add(entry.id);
    draw();
  }

  function moves(list, sign) {
    const ranked = report.classes
      .map((entry) => [entry, changeOf(entry)])
      .filter(([, change]) => change !== null && sign * change > 0)
      .sort((a, b) => sign * (b[1] - a[1]))
      .slice(0, 5);
    const items = ranked.map(([entry, change]) => {
      const [before, after] = [chosen().before, chosen().after].map((c) => entry.ap[report.columns.indexOf(c)]);
      const button = element(
        "button",
        { type: "button", onclick: () => reveal(entry) },
        element("span", {}, className(entry)),
        element("span", { class: "quiet" }, `${inUnit(before)} → ${inUnit(after)}`),
        element("span", { class: sign < 0 ? "loss" : "gain" }, signed(change)),
      );
      return element("li", {}, button);
    });
    list.replaceChildren(...(items.length ? items : [element("li", { class: "quiet" }, "None.")]));
  }

  function reveal(entry) {
    filter.value = "";
    open.add(entry.id);
    draw();
    const found = table.querySelector(`tr[data-class="${entry.id}"]`);
    found.scrollIntoView({ block: "center" });
    found.querySelector("button").focus({ preventScroll: true });
  }

  function draw() {
    const focused = document.activeElement.closest("th[data-key], tr[data-class]");
    head();
    table.tBodies[0].replaceChildren(...sorted().flatMap((entry) => (open.has(entry.id) ? [row(entry), behind(entry)] : [row(entry)])));
    if (focused && table.contains(document.activeElement) === false) {
      const { key, class: id } = focused.dataset;
      const again = table.querySelector(key ? `th[data-key="${key}"] button` : `tr[data-class="${id}"] button`);
      if (again) again.focus({ preventScroll: true });
    }
  }

  function compare() {
    rows.clear();
    draw();
    moves(document.getElementById("gains"), 1);
    moves(document.getElementById("losses"), -1);
  }

  step.addEventListener("change", compare);
  filter.addEventListener("input", draw);
  document.addEventListener("DOMContentLoaded", compare);
})();
