// Dresses the tables of a page with DataTables: sort, search, filters, columns, copy, CSV. Without it they still read.
(function () {
  "use strict";
  var MARK = "#view=", SMALL = 10, PAGE = 50;

  // The view of every changed table, kept in the address, so that a colleague opens the same one.
  function views() {
    try { return JSON.parse(decodeURIComponent(location.hash.slice(MARK.length))) || {}; } catch (damaged) { return {}; }
  }
  function keep(id, view) {
    var all = location.hash.indexOf(MARK) === 0 ? views() : {};
    if (view) { all[id] = view; } else { delete all[id]; }
    var text = Object.keys(all).length ? MARK + encodeURIComponent(JSON.stringify(all)) : "";
    if (text || location.hash.indexOf(MARK) === 0) {
      history.replaceState(null, "", location.href.split("#")[0] + text);
    }
  }
  // Only what differs from a table as it was made.
  function short(data, hidden) {
    var view = {};
    if (data.order && data.order.length) { view.o = data.order.map(function (o) { return [o[0], o[1]]; }); }
    if (data.search && data.search.search) { view.q = data.search.search; }
    if (data.start) { view.p = data.start; }
    if (data.length && data.length !== PAGE && data.length !== -1) { view.n = data.length; }
    var unseen = [];
    data.columns.forEach(function (column, index) { if (!column.visible) { unseen.push(index); } });
    if (unseen.join() !== hidden.join()) { view.h = unseen; }
    var filters = data.columnControl || {};
    Object.keys(filters).forEach(function (index) {
      var input = filters[index].searchInput;
      if (input && input.value) { (view.f = view.f || {})[index] = { searchInput: input }; }
    });
    return Object.keys(view).length ? view : null;
  }
  function long(view, columns, hidden) {
    var data = { time: Date.now(), start: view.p || 0, order: view.o || [], search: { search: view.q || "" }, columns: [] };
    if (view.n) { data.length = view.n; }
    for (var index = 0; index < columns; index++) {
      data.columns.push({ visible: (view.h || hidden).indexOf(index) < 0, search: { search: "" } });
    }
    data.columnControl = view.f || {};
    return data;
  }

  // Unknown stays at the end in either direction; numbers come before texts.
  function known(value) { return value !== "" && value !== null && value !== undefined; }
  function compare(a, b, sign) {
    if (!known(a) || !known(b)) { return known(b) - known(a); }
    var x = Number(a), y = Number(b);
    return sign * (isNaN(x) || isNaN(y) ? String(a).localeCompare(String(b)) : x - y);
  }

  // A cell that a spreadsheet would run as a formula gets an apostrophe.
  function plain(node) {
    var text = node.textContent.trim().replace(/\s+/g, " ");
    return /^[=+\-@\uff1d\uff0b\uff0d\uff20]/.test(text) && isNaN(Number(text)) ? "'" + text : text;
  }
  function buttons(name) {
    var exported = { format: { body: function (data, row, column, node) { return node ? plain(node) : data; } },
                     columns: ":visible" };
    return [
      { extend: "colvis", text: "Columns", background: false, columnText: function (table, index, title) { return title.replace(/\s+/g, " "); } },
      { extend: "copyHtml5", text: "Copy", title: null, exportOptions: exported },
      { extend: "csvHtml5", text: "CSV", title: null, bom: true, filename: name, exportOptions: exported }
    ];
  }

  function dress(table, index) {
    var id = table.id || (table.id = "t" + (index + 1));
    options(table, id, table.caption ? table.caption.textContent : id, table.tBodies[0].rows.length,
            table.tHead.rows[0].cells.length, [], {});
  }
  function options(table, id, caption, rows, columns, hidden, more) {
    var many = rows > SMALL, file = caption.replace(/[^A-Za-z0-9]+/g, "-").slice(0, 60).toLowerCase();
    return new DataTable(table, Object.assign({
      autoWidth: false, order: [], paging: rows > PAGE, pageLength: PAGE,
      lengthMenu: [PAGE, 200, 1000, { label: "All", value: -1 }],
      columnDefs: [{ targets: "_all", type: "known-first" }],
      columnControl: many ? [["search"]] : [],
      layout: {
        topStart: many ? "search" : null, topEnd: many ? { buttons: buttons(file) } : null,
        bottomStart: many ? "info" : null, bottomEnd: rows > PAGE ? "paging" : null
      },
      language: { search: "Search", searchPlaceholder: caption.slice(0, 40) },
      stateSave: true,
      stateSaveCallback: function (settings, data) { keep(id, short(data, hidden)); },
      stateLoadCallback: function () {
        var view = location.hash.indexOf(MARK) === 0 ? views()[id] : null;
        return view ? long(view, columns, hidden) : null;
      }
    }, more));
  }

  // A table of many rows comes as JSON: [text, sort key, address] a cell, short of what is empty.
  function escaped(text) {
    return String(text).replace(/[&<>"']/g, function (c) { return "&#" + c.charCodeAt(0) + ";"; });
  }
  function grow(box) {
    var told = JSON.parse(document.getElementById(box.id + "-rows").textContent), table = document.createElement("table");
    var hidden = [], head = table.createTHead().insertRow();
    told.columns.forEach(function (column, index) {
      var cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = column.title;
      head.appendChild(cell);
      if (column.hidden) { hidden.push(index); }
    });
    box.textContent = "";
    table.id = box.id + "-table";
    box.appendChild(table);
    options(table, box.id, box.getAttribute("aria-label"), told.rows.length, told.columns.length, hidden, {
      data: told.rows,
      columns: told.columns.map(function (column, index) {
        return {
          className: column.numeric ? "num" : "", visible: !column.hidden,
          data: function (row, kind) {
            var cell = row[index];
            if (kind === "display") {
              var text = escaped(cell[0]);
              return cell[2] ? '<a href="' + escaped(cell[2]) + '">' + text + "</a>" : text;
            }
            return kind === "filter" ? cell[0] : cell[1] === "\u0000" ? "" : cell[1] || cell[0];
          }
        };
      })
    });
  }

  document.addEventListener("DOMContentLoaded", function () {
    if (!window.DataTable) { return; }
    DataTable.type("known-first", {
      detect: function () { return false; },
      order: { asc: function (a, b) { return compare(a, b, 1); }, desc: function (a, b) { return compare(a, b, -1); } }
    });
    document.querySelectorAll("table.sortable").forEach(dress);
    document.querySelectorAll("#all-apps").forEach(grow);
    addEventListener("beforeprint", function () {
      DataTable.tables({ api: true }).iterator("table", function (settings) {
        var api = new DataTable.Api(settings);
        settings.nTable.dataset.length = api.page.len();
        api.page.len(-1).draw(false);
      });
    });
    addEventListener("afterprint", function () {
      DataTable.tables({ api: true }).iterator("table", function (settings) {
        new DataTable.Api(settings).page.len(Number(settings.nTable.dataset.length)).draw(false);
      });
    });
  });
})();
