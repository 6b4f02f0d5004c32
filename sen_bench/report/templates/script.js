"use strict";
// Filters and sorting. Without this script everything is there, in the order of the tables.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const status = document.getElementById("status");
  const form = document.querySelector("form.filters");
  const filters = all("[data-filter]", form);
  const rows = all("[data-row]");

  // What does not say where it belongs belongs everywhere: a model that was not run has no device.
  const fits = (element) => filters.every(({ dataset, value }) => {
    const own = element.dataset[dataset.filter];
    if (value === "" || own === undefined) return true;
    return dataset.filter === "device" ? JSON.parse(own).includes(value) : own === value;
  });

  const say = (text) => { status.textContent = text; };

  const filter = () => {
    for (const element of [...rows, ...all("[data-panel]")]) element.hidden = !fits(element);
    for (const block of all(".block")) block.hidden = !block.querySelector("[data-row]:not([hidden])");
    const shown = rows.filter((row) => !row.hidden).length;
    // Where nothing is left out, there is nothing to say.
    say(filters.some(({ value }) => value) ? `${shown} of ${rows.length} rows of the tables shown` : "");
  };

  form.addEventListener("change", filter);
  // At once, and not after the event, when the browser would do it.
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    for (const choice of filters) choice.value = "";
    filter();
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); });
  form.closest("details").hidden = false;

  const compare = (kind) => (a, b) => (kind === "number" ? Number(a) - Number(b) : a.localeCompare(b, "en"));

  const sort = (table, button) => {
    const heading = button.closest("th");
    const column = heading.cellIndex;
    const before = heading.getAttribute("aria-sort");
    const opposite = { ascending: "descending", descending: "ascending" };
    const order = before ? opposite[before] : button.dataset.order;
    for (const other of all("th", table.tHead)) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", order);
    const value = (body) => body.rows[0].cells[column].dataset.value;
    const by = compare(button.dataset.sort);
    const sign = order === "ascending" ? 1 : -1;
    // What is missing stays last, whichever the order.
    const sorted = [...table.tBodies].sort((a, b) => {
      const [one, other] = [value(a), value(b)];
      if (one === "" || other === "") return (one === "") - (other === "");
      return sign * by(one, other);
    });
    table.append(...sorted);
    say(`${table.dataset.title} sorted by ${button.textContent.trim()}, ${order}`);
  };

  for (const table of all("[data-board]")) {
    for (const button of all("thead button", table)) button.addEventListener("click", () => sort(table, button));
  }
  // A reload may keep what the filters were set to.
  filter();
})();
