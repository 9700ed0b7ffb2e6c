// Draws the figures of a notebook page from the JSON beside them, in the colours of the page's theme.
(function () {
  "use strict";
  var PAPER = 680, LEAST = 460;
  function read(id) { return JSON.parse(document.getElementById(id).textContent); }
  function isDark() {
    var set = document.documentElement.dataset.theme;
    return set ? set === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  function recoloured(value, table) {
    if (typeof value === "string") { return Object.prototype.hasOwnProperty.call(table, value) ? table[value] : value; }
    if (Array.isArray(value)) { return value.map(function (item) { return recoloured(item, table); }); }
    if (value && typeof value === "object") {
      var copy = {};
      Object.keys(value).forEach(function (key) { copy[key] = recoloured(value[key], table); });
      return copy;
    }
    return value;
  }
  function draw(paper) {
    var table = read("appgov-colours")[!paper && isDark() ? "dark" : "light"];
    document.querySelectorAll("script.figure").forEach(function (source) {
      var place = source.previousElementSibling;
      var figure = recoloured(JSON.parse(source.textContent), table);
      figure.layout.width = paper ? PAPER : Math.max(place.clientWidth, LEAST);
      figure.layout.autosize = false;
      Plotly.react(place, figure.data, figure.layout, { displayModeBar: false, responsive: false });
      place.dataset.drawn = "1";
    });
  }
  var waiting = 0;
  function later() { clearTimeout(waiting); waiting = setTimeout(function () { draw(false); }, 60); }
  document.addEventListener("DOMContentLoaded", function () { draw(matchMedia("print").matches); });
  document.addEventListener("appgov-theme", function () { if (document.readyState !== "loading") { draw(false); } });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () { draw(false); });
  matchMedia("print").addEventListener("change", function (event) { draw(event.matches); });
  addEventListener("beforeprint", function () { draw(true); });
  addEventListener("afterprint", function () { draw(false); });
  addEventListener("resize", later);
})();
