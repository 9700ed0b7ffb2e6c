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
    root.classList.toggle("dark", isDark());
    document.dispatchEvent(new CustomEvent("appgov-theme"));
  }
  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  show(stored());

  document.addEventListener("DOMContentLoaded", function () {
    var button = document.getElementById("theme");
    if (button) {
      button.hidden = false;
      button.addEventListener("click", function () {
        var next = isDark() ? "light" : "dark";
        show(stored(next) || next);
      });
    }
    // One menu at a time; Escape or a click elsewhere closes it.
    var menus = document.querySelectorAll(".menu");
    function close(but) { menus.forEach(function (menu) { if (menu !== but) { menu.open = false; } }); }
    document.addEventListener("click", function (event) { close(event.target.closest(".menu")); });
    document.addEventListener("keydown", function (event) {
      var open = document.querySelector(".menu[open]");
      if (event.key === "Escape" && open) { close(); open.querySelector("summary").focus(); }
    });
    document.querySelectorAll("details").forEach(function (box) {
      addEventListener("beforeprint", function () { box.dataset.was = box.open ? "1" : ""; box.open = true; });
      addEventListener("afterprint", function () { box.open = box.dataset.was === "1"; });
    });
  });
})();
