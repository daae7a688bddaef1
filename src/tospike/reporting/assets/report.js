/* Draws the embedded figures in the page's colours, and sorts tables. No request is made. */
(function () {
  "use strict";

  var NARROW = 560;
  var hovers = window.matchMedia("(hover: hover)");
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  var paper = window.matchMedia("print");
  var drawn = [];

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  /* The darkest colour of the palette is hard to see on a dark page. */
  function lighter(text) {
    return dark.matches && !paper.matches
      ? text.replace(/#0072B2/g, "#3A96DB").replace(/rgba\(0,114,178,/g, "rgba(58,150,219,")
      : text;
  }

  /* Layer names under a narrow axis: every k-th, so that they do not lie on each other. */
  function thinned(axis) {
    var step = Math.ceil((axis.tickvals || []).length / 12);
    if (step < 2 || axis.type === "log") { return; }
    function kept(value, index) { return index % step === 0; }
    axis.tickvals = axis.tickvals.filter(kept);
    axis.ticktext = axis.ticktext && axis.ticktext.filter(kept);
  }

  function painted(figure, width) {
    var copy = JSON.parse(lighter(JSON.stringify(figure)));
    var layout = copy.layout;
    var ink = colour("--ink"), muted = colour("--muted"), grid = colour("--grid");
    var narrow = width < NARROW;
    layout.paper_bgcolor = "rgba(0,0,0,0)";
    layout.plot_bgcolor = "rgba(0,0,0,0)";
    layout.autosize = true;
    layout.font = Object.assign({ size: narrow ? 11 : 13 }, layout.font, {
      color: ink, family: getComputedStyle(document.body).fontFamily
    });
    layout.hoverlabel = Object.assign({}, layout.hoverlabel, {
      bgcolor: colour("--paper"), bordercolor: muted, font: { color: ink, size: 13 }
    });
    if (narrow && layout.meta === "text-right") { layout.xaxis.range[1] *= 1.5; }
    if (narrow) { thinned(layout.xaxis || {}); }
    if (narrow && layout.xaxis && layout.xaxis.title) {
      layout.xaxis.title.text = String(layout.xaxis.title.text).split("  –")[0];
    }
    layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: muted, activecolor: ink };
    if (narrow) { layout.margin = Object.assign({}, layout.margin, { l: 40, r: 8 }); }
    Object.keys(layout).forEach(function (key) {
      if (/^[xy]axis\d*$/.test(key)) {
        layout[key] = Object.assign(
          { gridcolor: grid, zerolinecolor: grid, linecolor: muted, tickcolor: muted }, layout[key]
        );
      }
    });
    (layout.shapes || []).forEach(function (shape) {
      if (shape.name === "ink") { shape.line = Object.assign({}, shape.line, { color: muted }); }
    });
    (layout.annotations || []).forEach(function (note) {
      if (note.name === "ink") { note.font = Object.assign({}, note.font, { color: muted }); }
    });
    copy.data.forEach(function (trace) {
      if (narrow && trace.marker && trace.marker.colorbar) { trace.marker.showscale = false; }
      if (trace.meta !== "ink") { return; }
      if (narrow && trace.hovertext && trace.x.length > 8) { trace.mode = "markers"; }
      ["error_x", "error_y"].forEach(function (key) {
        if (trace[key] && trace[key].color === "#7f7f7f") { trace[key].color = ink; }
      });
      if (trace.marker && trace.marker.color === "#7f7f7f") { trace.marker.color = ink; }
      trace.textfont = Object.assign({}, trace.textfont, { color: ink });
    });
    return copy;
  }

  function draw(item) {
    var figure = painted(item.figure, item.box.clientWidth);
    return window.Plotly.react(item.box, figure.data, figure.layout, {
      responsive: true, displaylogo: false, showSendToCloud: false, showEditInChartStudio: false,
      displayModeBar: hovers.matches && item.box.clientWidth >= NARROW ? "hover" : false,
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
      scrollZoom: false
    });
  }

  function redraw() { drawn.forEach(draw); }

  function figures() {
    if (!window.Plotly) { return; }
    var blocks = Array.prototype.slice.call(document.querySelectorAll("script[data-figure]"));
    (function next() {
      var block = blocks.shift();
      if (!block) {
        document.documentElement.setAttribute("data-figures", String(drawn.length));
        return;
      }
      var box = document.getElementById(block.getAttribute("data-figure"));
      var item = { box: box, figure: JSON.parse(block.textContent) };
      drawn.push(item);
      draw(item);
      window.setTimeout(next, 0);
    })();
    dark.addEventListener("change", redraw);
    var wasNarrow = window.innerWidth < NARROW;
    window.addEventListener("resize", function () {
      if ((window.innerWidth < NARROW) !== wasNarrow) { wasNarrow = !wasNarrow; redraw(); }
    });
    /* Paper is white: figures take the colours of print, then those of the screen again. */
    paper.addEventListener("change", redraw);
    window.addEventListener("beforeprint", function () {
      Array.prototype.forEach.call(document.querySelectorAll("details"), function (details) {
        details.open = true;
      });
    });
  }

  function key(row, column) {
    var cell = row.children[column];
    var number = cell.getAttribute("data-sort");
    return number === null ? cell.textContent.trim() : parseFloat(number);
  }

  function compare(a, b, column, sign) {
    var x = key(a, column), y = key(b, column);
    var xn = typeof x === "number", yn = typeof y === "number";
    if (xn !== yn) { return xn ? -1 : 1; }
    return sign * (xn ? x - y : x.localeCompare(y, undefined, { numeric: true }));
  }

  function sortable(table) {
    var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
    var body = table.tBodies[0];
    heads.forEach(function (head, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.textContent = "";
      head.appendChild(button);
      button.addEventListener("click", function () {
        var up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        Array.prototype.slice.call(body.rows)
          .sort(function (a, b) { return compare(a, b, column, up ? 1 : -1); })
          .forEach(function (row) { body.appendChild(row); });
      });
    });
  }

  Array.prototype.forEach.call(document.querySelectorAll("table.sortable"), sortable);
  figures();
})();
