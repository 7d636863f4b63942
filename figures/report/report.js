"use strict";

// Colours: the system's, or those chosen, which are kept where the browser lets a file keep something.
const theme = document.getElementById("theme");
function colour(name) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
}
function kept(...name) {
  try {
    if (name.length) localStorage.setItem("theme", name[0]);
    return localStorage.getItem("theme") || "";
  } catch {
    return "";
  }
}
theme.value = ["light", "dark"].includes(kept()) ? kept() : "";
colour(theme.value);
theme.parentElement.hidden = false;
theme.addEventListener("change", () => {
  colour(theme.value);
  kept(theme.value);
});

// The contents are folded where they would fill a small screen.
if (innerWidth < 800) document.querySelector("nav details").open = false;

// Tables sort by a column: by number where two cells are numbers, which come before words.
function compare(a, b) {
  const [x, y] = [Number(a || NaN), Number(b || NaN)];
  if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y) || a.localeCompare(b);
  return x - y;
}
function value(cell) {
  return cell.dataset.value ?? cell.textContent.trim().replace(/^([+-]?[\d.,]*\d(?:e[+-]?\d+)?)(?=[\s%×]).*$/, "$1").replace(/,/g, "");
}
function sortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].map((row) => [value(row.cells[column]), row]);
      rows.sort(([a], [b]) => (down ? compare(b, a) : compare(a, b)));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}
for (const table of document.querySelectorAll("table.sortable")) sortable(table);

// The table of every effect shows the rows that hold all the words asked for.
for (const table of document.querySelectorAll("table.filtered")) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.type = "search";
  label.append("Rows with ", input);
  table.parentElement.before(label);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}

// Numbers: comma-separated values, with quotes around cells where needed, become a table when unfolded.
function cells(text) {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n|$)/g)) {
    rows.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === "\n") rows.push([]);
    else if (!end) break;
  }
  return rows.filter((row) => row.length > 1 || row[0]);
}
function rounded(cell) {
  return /^-?\d*\.\d{6,}(e[-+]?\d+)?$/.test(cell) ? String(Number(Number(cell).toPrecision(6))) : cell;
}
function line(row, tag) {
  const tr = document.createElement("tr");
  for (const cell of row) {
    const place = tr.appendChild(document.createElement(tag));
    place.textContent = rounded(cell);
    if (tag === "th") place.scope = "col";
    else if (place.textContent !== cell) place.dataset.value = cell;
  }
  return tr;
}
function unfold(details) {
  const link = details.querySelector("a.csv");
  if (details.querySelector("table")) return;
  const [head, ...rows] = cells(decodeURIComponent(link.href.slice(link.href.indexOf(",") + 1)));
  const table = document.createElement("table");
  table.createTHead().append(line(head, "th"));
  table.createTBody().append(...rows.map((row) => line(row, "td")));
  const box = document.createElement("div");
  box.className = "scroll tall";
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", link.download);
  box.append(table);
  details.append(box);
  sortable(table);
}
for (const details of document.querySelectorAll("details.numbers")) {
  details.addEventListener("toggle", () => details.open && unfold(details));
}

// A link to something folded unfolds it.
function reveal() {
  const place = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (place && place.tagName === "DETAILS") {
    place.open = true;
    place.scrollIntoView();
  }
}
addEventListener("hashchange", reveal);
reveal();
