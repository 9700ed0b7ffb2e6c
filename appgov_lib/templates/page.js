// Comfort only: every page reads without this script. No data is written as HTML.
(function () {
  "use strict";
  var root = document.documentElement;
  function stored(value) {
    try {
      if (value !== undefined) { localStorage.setItem("appgov-theme", value); }
      return localStorage.getItem("appgov-theme") || "";
    } catch (refused) { return ""; }
  }
  function show(theme) {
    if (theme === "light" || theme === "dark") { root.dataset.theme = theme; } else { delete root.dataset.theme; }
    document.dispatchEvent(new CustomEvent("appgov-theme"));
  }
  show(stored());

  document.addEventListener("DOMContentLoaded", function () {
    var button = document.getElementById("theme");
    if (button) {
      button.hidden = false;
      button.addEventListener("click", function () {
        var dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
        show(stored(dark ? "light" : "dark") || (dark ? "light" : "dark"));
      });
    }
    document.querySelectorAll("table.sortable thead th").forEach(function (head) {
      var button = document.createElement("button");
      button.type = "button";
      while (head.firstChild) { button.appendChild(head.firstChild); }
      head.appendChild(button);
      button.addEventListener("click", function () { sort(head); });
    });
    document.querySelectorAll("details").forEach(function (box) {
      addEventListener("beforeprint", function () { box.dataset.was = box.open ? "1" : ""; box.open = true; });
      addEventListener("afterprint", function () { box.open = box.dataset.was === "1"; });
    });
  });

  function value(row, column) {
    var cell = row.cells[column];
    return cell.dataset.sort === undefined ? cell.textContent.trim() : cell.dataset.sort;
  }
  // Unknown stays at the end in either direction.
  function sort(head) {
    var column = head.cellIndex, body = head.closest("table").tBodies[0];
    var down = head.getAttribute("aria-sort") === "ascending";
    var rows = Array.prototype.slice.call(body.rows).map(function (row) { return [value(row, column), row]; });
    rows.sort(function (a, b) {
      if (a[0] === "" || b[0] === "") { return (a[0] === "") - (b[0] === ""); }
      var x = Number(a[0]), y = Number(b[0]);
      var order = isNaN(x) || isNaN(y) ? a[0].localeCompare(b[0]) : x - y;
      return down ? -order : order;
    });
    Array.prototype.forEach.call(head.parentNode.cells, function (other) { other.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    rows.forEach(function (pair) { body.appendChild(pair[1]); });
  }
})();
