
"use strict";
/*
 * The dashboard: asks the admin API every other second and draws what it says.
 *
 * Everything that comes from the API is put into the page as text or as an attribute of a fixed
 * name; nothing is ever parsed as markup. The admin token stays in its input.
 */
(() => {
  const POLL_MS = 2000;
  const ANSWER_MS = 10000;
  const RATE_S = 10; // what "now" means
  const PURGES_SHOWN = 100;
  const PIXELS_PER_POINT = 3;

  const byId = (id) => document.getElementById(id);
  const state = {
    stats: null, health: null, startedMs: null, uptimeMs: 0, columns: [], bounds: [],
    samples: { 1: [], 30: [] }, purges: [], purgesTotal: 0, groups: [], groupsAt: 0, ruleNames: "",
    span: 300, sort: { key: "asked", down: true }, filter: "", token: "",
  };

  /* ---- words ---- */

  const whole = new Intl.NumberFormat("en");
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const count = (n) => (n < 1e7 ? whole.format(n) : compact.format(n));
  const plural = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;
  const percent = (x) => (x === null ? "–" : `${(x * 100).toFixed(x > 0.9995 || x === 0 ? 0 : 1)} %`);
  const rate = (x) => (x >= 1000 ? count(Math.round(x)) : x >= 100 ? x.toFixed(0) : x.toFixed(1));

  function millis(us) {
    if (us === null) return "–";
    const ms = us / 1000;
    if (ms >= 10000) return `${(ms / 1000).toFixed(1)} s`;
    return `${ms.toFixed(ms >= 100 ? 0 : ms >= 10 ? 1 : ms >= 0.1 ? 2 : 3)} ms`;
  }

  function lasting(seconds) {
    const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
    const at = units.findIndex(([, size]) => seconds >= size);
    if (at < 0) return "0 s";
    const [unit, size] = units[at];
    const rest = at < 2 ? Math.floor((seconds % size) / units[at + 1][1]) : 0;
    return `${Math.floor(seconds / size)} ${unit}${rest > 0 ? ` ${rest} ${units[at + 1][0]}` : ""}`;
  }

  /* ---- the page ---- */

  function make(tag, attributes = {}, ...children) {
    const node = tag.startsWith("svg:")
      ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function say(node, text) {
    const element = typeof node === "string" ? byId(node) : node;
    if (element.textContent !== text) element.textContent = text;
  }

  /* A figure and its unit, which is smaller. */
  function sayFigure(id, text) {
    const at = text.indexOf(" ");
    if (byId(id).textContent === text) return;
    byId(id).replaceChildren(...(at < 0 ? [text] : [text.slice(0, at), make("small", {}, text.slice(at))]));
  }

  /* Rows are kept and only told what changed: a selection or a scroll position survives. */
  function fillTable(body, rows, empty) {
    if (rows.length === 0) rows = [[{ text: empty, kind: "empty", span: 9 }]];
    while (body.rows.length > rows.length) body.deleteRow(-1);
    rows.forEach((cells, at) => {
      const row = body.rows[at] || body.insertRow();
      while (row.cells.length > cells.length) row.deleteCell(-1);
      cells.forEach((cell, column) => {
        const td = row.cells[column] || row.insertCell();
        if (td.className !== (cell.kind || "")) td.className = cell.kind || "";
        td.colSpan = cell.span || 1;
        if (cell.title !== undefined) td.title = cell.title;
        if (cell.share === undefined) say(td, cell.text);
        else fillBar(td, cell);
      });
    });
  }

  function fillBar(td, cell) {
    if (!td.querySelector(".bar"))
      td.replaceChildren(make("div", { class: "bar" }, make("i", { "aria-hidden": "true" }, make("b")), make("span")));
    td.querySelector("b").style.width = `${cell.share * 100}%`;
    say(td.querySelector("span"), cell.text);
  }

  function fillList(id, rows) {
    const wanted = rows.filter(Boolean);
    const key = JSON.stringify(wanted);
    const list = byId(id);
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    list.replaceChildren(...wanted.flatMap(([name, text, mood]) => {
      if (name === null) return [make("dd", { class: `wide ${mood}` }, text)];
      const value = mood ? make("span", { class: `dot ${mood}` }, text) : text;
      return [make("dt", {}, name), make("dd", {}, value)];
    }));
  }

  /* ---- samples ---- */

  const columnOf = (name) => state.columns.indexOf(name);
  const LATENCIES = ["latency_hit", "latency_other"];

  /* What to draw: the finer series as long as it reaches far enough back. */
  function visibleSamples() {
    const step = state.span <= 300 || state.uptimeMs < 300000 ? 1 : 30;
    const from = state.uptimeMs - state.span * 1000;
    return state.samples[step].filter((sample) => sample.at > from);
  }

  function sum(samples, name) {
    return samples.reduce((total, sample) => total + sample[name], 0);
  }

  /* Fewer samples than the chart has room for, merged by number, so that a merged one stays the same. */
  function merged(samples, room) {
    const size = Math.ceil(samples.length / Math.max(room, 1));
    if (size <= 1) return samples;
    const groups = new Map();
    for (const sample of samples) {
      const key = Math.floor(sample.number / size);
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(sample);
    }
    return [...groups.values()].map((group) => {
      const one = { ...group[group.length - 1], latency: {} };
      for (const name of state.columns.slice(3))
        if (LATENCIES.includes(name)) one.latency[name] = group.flatMap((sample) => sample.latency[name]);
        else one[name] = sum(group, name);
      one.span = sum(group, "span");
      return one;
    });
  }

  function addHistogram(into, pairs) {
    for (let i = 0; i < pairs.length; i += 2) into[pairs[i]] = (into[pairs[i]] || 0) + pairs[i + 1];
    return into;
  }

  /* The quantile of counts by bucket, linear within the bucket; null of nothing. */
  function quantile(buckets, q) {
    const total = buckets.reduce((all, n) => all + (n || 0), 0);
    if (total === 0) return null;
    let rest = total * q;
    for (let i = 0; i < buckets.length; i++) {
      const inside = buckets[i] || 0;
      if (inside > 0 && rest <= inside) {
        const low = i === 0 ? 0 : state.bounds[i - 1];
        const high = i < state.bounds.length ? state.bounds[i] : low * 2;
        return low + (high - low) * (rest / inside);
      }
      rest -= inside;
    }
    return state.bounds[state.bounds.length - 1];
  }

  function latencyOf(samples, kinds, q) {
    const buckets = [];
    for (const sample of samples)
      for (const kind of kinds) addHistogram(buckets, sample.latency[kind] || []);
    return quantile(Array.from(buckets, (n) => n || 0), q);
  }

  const ratioOf = (hits, misses) => (hits + misses === 0 ? null : hits / (hits + misses));

  /* ---- charts ---- */

  /*
   * A chart of lines over time. `lines` are {name, tone, area, of(sample)}; `scale` is "percent",
   * "count" or "log".
   */
  function makeChart(id, title, lines, options) {
    const figure = byId(id);
    const keys = lines.map((line) => make("span", { class: `key ${line.tone}` }, make("span", {}, line.name)));
    const at = make("span", { class: "at" });
    const svg = make("svg:svg", { class: "chart", role: "img", tabindex: "0" });
    figure.replaceChildren(make("figcaption", {}, make("h2", {}, title), make("span", { class: "fill" }), at, ...keys), svg);
    const chart = { svg, keys, at, lines, options, title, points: [], picked: null };
    const pick = (x) => {
      const { left, width } = chart.box;
      const wanted = chart.from + ((x - left) / width) * (chart.to - chart.from);
      let best = null;
      chart.points.forEach((point, i) => {
        if (best === null || Math.abs(point.at - wanted) < Math.abs(chart.points[best].at - wanted)) best = i;
      });
      chart.picked = best === null ? null : chart.points[best].at;
      drawChart(chart);
    };
    const drop = () => { chart.picked = null; drawChart(chart); };
    svg.addEventListener("pointermove", (event) => chart.box && pick(event.clientX - svg.getBoundingClientRect().left));
    svg.addEventListener("pointerleave", drop);
    svg.addEventListener("blur", drop);
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (event.key === "Escape") drop();
      if (!step || chart.points.length === 0) return;
      event.preventDefault();
      let i = chart.points.findIndex((point) => point.at === chart.picked);
      i = i < 0 ? chart.points.length - 1 : Math.max(0, Math.min(chart.points.length - 1, i + step));
      chart.picked = chart.points[i].at;
      drawChart(chart);
    });
    new ResizeObserver(() => drawChart(chart)).observe(svg);
    return chart;
  }

  function ticksOf(chart, most) {
    if (chart.options.scale === "percent") return [0, 0.25, 0.5, 0.75, 1];
    if (chart.options.scale === "log") {
      const ticks = [];
      for (let tick = chart.low; tick <= chart.high * 1.001; tick *= 10) ticks.push(tick);
      return ticks;
    }
    const rough = most / 4;
    const size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((n) => n * size).find((n) => n >= rough);
    return Array.from({ length: Math.max(1, Math.ceil(most / step)) + 1 }, (_, n) => n * step);
  }

  function setScale(chart, values) {
    const most = Math.max(...values, 0);
    if (chart.options.scale === "log") {
      const least = Math.min(...values.filter((v) => v > 0), Infinity);
      chart.low = 10 ** Math.floor(Math.log10(Number.isFinite(least) ? least : 100));
      chart.high = Math.max(chart.low * 10, 10 ** Math.ceil(Math.log10(Math.max(most, 1))));
      chart.ticks = ticksOf(chart);
      chart.place = (v) => Math.max(0, Math.log10(v / chart.low) / Math.log10(chart.high / chart.low));
    } else {
      chart.ticks = ticksOf(chart, Math.max(most, 0.4));
      chart.place = (v) => v / chart.ticks[chart.ticks.length - 1];
    }
  }

  /* A run of one point becomes a dot: the ends of lines are round. */
  function pathOf(runs, x, y) {
    const place = (p) => `${x(p.at).toFixed(1)} ${y(p.value).toFixed(1)}`;
    return runs.map((run) => `M${run.map(place).join("L")}${run.length === 1 ? "h0" : ""}`).join("");
  }

  function areaOf(runs, x, y, bottom) {
    return runs.filter((run) => run.length > 1).map((run) =>
      `M${x(run[0].at).toFixed(1)} ${bottom}` + run.map((p) => `L${x(p.at).toFixed(1)} ${y(p.value).toFixed(1)}`).join("") +
      `L${x(run[run.length - 1].at).toFixed(1)} ${bottom}Z`).join("");
  }

  /* Pieces without a hole. */
  function runsOf(points, line) {
    const runs = [];
    let run = null;
    for (const point of points) {
      const value = point.values[line];
      if (value === null) { run = null; continue; }
      if (run === null) runs.push(run = []);
      run.push({ at: point.at, value });
    }
    return runs;
  }

  function drawFrame(chart, width, height, x, y) {
    const parts = [];
    const { left } = chart.box;
    for (const tick of chart.ticks) {
      const at = Math.round(y(tick)) + 0.5;
      parts.push(make("svg:line", { class: "grid", x1: left, x2: width, y1: at, y2: at }));
      parts.push(make("svg:text", { x: left - 6, y: at + 3.5, "text-anchor": "end" }, chart.options.tick(tick)));
    }
    const minutes = state.span / 60;
    for (let i = 0; i <= 5; i++) {
      const back = (minutes * (5 - i)) / 5;
      const text = back === 0 ? "now" : back < 60 ? `−${back} min` : `−${+(back / 60).toFixed(1)} h`;
      parts.push(make("svg:text", {
        x: x(chart.to - back * 60000), y: height - 2,
        "text-anchor": i === 5 ? "end" : "middle",
      }, text));
    }
    return parts;
  }

  function drawChart(chart) {
    const width = chart.svg.clientWidth, height = chart.svg.clientHeight;
    if (width === 0) return;
    const left = 44, top = 6, bottom = height - 18;
    chart.box = { left, width: width - left };
    chart.to = state.uptimeMs;
    chart.from = chart.to - state.span * 1000;
    setScale(chart, chart.points.flatMap((point) => point.values.filter((v) => v !== null)));
    const x = (at) => left + ((Math.max(at, chart.from) - chart.from) / (chart.to - chart.from)) * (width - left);
    const y = (value) => bottom - Math.min(1, chart.place(value)) * (bottom - top);
    const parts = drawFrame(chart, width, height, x, y);
    const heard = chart.points.some((point) => point.values.some((v) => v !== null));
    if (!heard)
      parts.push(make("svg:text", { class: "none", x: (left + width) / 2, y: (top + bottom) / 2 }, chart.options.none));
    chart.lines.forEach((line, i) => {
      const runs = runsOf(chart.points, i);
      if (line.area) parts.push(make("svg:path", { class: `area ${line.tone}`, d: areaOf(runs, x, y, bottom) }));
      parts.push(make("svg:path", { class: `line ${line.tone}`, d: pathOf(runs, x, y) }));
    });
    const picked = chart.points.find((point) => point.at === chart.picked);
    if (picked) parts.push(make("svg:line", { class: "cross", x1: x(picked.at), x2: x(picked.at), y1: top, y2: bottom }));
    chart.svg.replaceChildren(...parts);
    tellChart(chart, picked);
  }

  function tellChart(chart, picked) {
    const shown = picked || chart.points[chart.points.length - 1];
    const words = chart.lines.map((line, i) => {
      const value = shown ? shown.values[i] : null;
      const text = picked ? `${line.name} ${value === null ? "–" : chart.options.full(value)}` : line.name;
      say(chart.keys[i].firstChild, text);
      return `${line.name} ${value === null || value === undefined ? "none" : chart.options.full(value)}`;
    });
    say(chart.at, picked ? `${lasting(Math.round((chart.to - picked.at) / 1000))} ago` : "");
    chart.svg.setAttribute("aria-label", `${chart.title}, ${picked ? chart.at.textContent : "newest"}: ${words.join(", ")}. Arrow keys move through time.`);
  }

  const perSecond = (sample, n) => n / (sample.span / 1000);
  const charts = [
    makeChart("chart-ratio", "Hit ratio", [
      { name: "hits", tone: "hit", area: true, of: (s) => ratioOf(s.hits, s.misses) },
    ], { scale: "percent", tick: (v) => `${v * 100} %`, full: percent, none: "No cacheable requests in this time" }),
    makeChart("chart-rate", "Requests per second", [
      { name: "all", tone: "pass", area: true, of: (s) => perSecond(s, s.requests) },
      { name: "hits", tone: "hit", area: true, of: (s) => perSecond(s, s.hits) },
      { name: "misses", tone: "miss", of: (s) => perSecond(s, s.misses) },
    ], { scale: "count", tick: (v) => compact.format(v), full: (v) => `${rate(v)}/s`, none: "No samples yet" }),
    makeChart("chart-latency", "Latency", [
      { name: "median", tone: "hit", of: (s) => latencyOf([s], LATENCIES, 0.5) },
      { name: "p99", tone: "miss", of: (s) => latencyOf([s], LATENCIES, 0.99) },
    ], {
      scale: "log", full: millis, none: "No requests in this time",
      tick: (v) => (v >= 1e6 ? `${v / 1e6} s` : `${v / 1000} ms`),
    }),
  ];

  function renderCharts() {
    const all = visibleSamples();
    for (const chart of charts) {
      const samples = merged(all, chart.svg.clientWidth / PIXELS_PER_POINT);
      chart.points = samples.map((sample) => ({ at: sample.at, values: chart.lines.map((line) => line.of(sample)) }));
      drawChart(chart);
    }
  }

  /* ---- tiles, tables and lists ---- */

  function renderTiles() {
    const { stats } = state;
    const seen = visibleSamples();
    const now = state.samples[1].filter((sample) => sample.at > state.uptimeMs - RATE_S * 1000);
    const spanMs = sum(now, "span");
    sayFigure("tile-ratio", percent(ratioOf(sum(seen, "hits"), sum(seen, "misses"))));
    say("tile-ratio-note", `${count(stats.hits)} of ${count(stats.hits + stats.misses)} in all`);
    sayFigure("tile-rate", spanMs > 0 ? rate(sum(now, "requests") / (spanMs / 1000)) : "–");
    say("tile-rate-note", `${count(stats.requests)} in all`);
    for (const [id, q] of [["tile-p50", 0.5], ["tile-p99", 0.99]]) {
      sayFigure(id, millis(latencyOf(seen, LATENCIES, q)));
      const [hits, others] = LATENCIES.map((kind) => millis(latencyOf(seen, [kind], q)));
      say(`${id}-note`, `hits ${hits.replace(/ ms$/, others.endsWith(" ms") ? "" : " ms")}, others ${others}`);
    }
    const asked = sum(seen, "upstream_requests"), all = sum(seen, "requests");
    sayFigure("tile-upstream", all > 0 ? `${percent(asked / all)} of requests` : "–");
    say("tile-upstream-note", `${count(stats.upstream_requests)} in all, ${plural(stats.upstream_errors, "error", "errors")}`);
    sayFigure("tile-keys", count(stats.keys));
    const megabytes = state.health.memory_mb ?? stats.size_mb;
    say("tile-keys-note", `${megabytes.toFixed(megabytes < 10 ? 2 : 0)} MB, ${plural(stats.sets, "set", "sets")}`);
  }

  function renderRoutes() {
    const routes = state.stats.routes.map((route) => ({ ...route, asked: route.hits + route.misses }));
    const all = routes.reduce((total, route) => total + route.asked, 0);
    const { key, down } = state.sort;
    const shown = routes.filter((route) => route.name.toLowerCase().includes(state.filter));
    shown.sort((a, b) => {
      const order = key === "name" ? a.name.localeCompare(b.name) : a[key] - b[key];
      return (down ? -order : order) || a.name.localeCompare(b.name);
    });
    say("routes-note", shown.length === routes.length ? plural(routes.length, "route", "routes") : `${shown.length} of ${routes.length} routes`);
    fillTable(byId("routes").tBodies[0], shown.map((route) => [
      { text: route.name, kind: "name" },
      { text: count(route.hits), kind: "number" },
      { text: count(route.misses), kind: "number" },
      { text: route.asked > 0 ? percent(route.hits / route.asked) : "–", kind: "number" },
      { text: count(route.sets), kind: "number" },
      { text: all > 0 ? percent(route.asked / all) : "–", kind: "number share", share: all > 0 ? route.asked / all : 0 },
    ]), routes.length ? "No route has that in its name." : "The rules have no routes.");
  }

  function renderPurges() {
    const shown = state.purges.slice(0, PURGES_SHOWN);
    say("purges-note", state.purgesTotal === 0 ? "" : `${plural(state.purgesTotal, "purge", "purges")} since the start`);
    fillTable(byId("purges").tBodies[0], shown.map((purge) => {
      const purged = [purge.purged > 0 || purge.banned === 0 ? count(purge.purged) : "", purge.banned > 0 ? `${count(purge.banned)} open` : ""];
      return [
        { text: new Date(purge.time).toLocaleTimeString("en-GB"), kind: "when", title: purge.time },
        { text: purge.cause + (purge.widened ? ", widened" : ""), kind: "cause" },
        { text: purge.route || "–", kind: "route" },
        { text: purge.patterns || "–", kind: "what" },
        { text: purged.filter(Boolean).join(" + "), kind: "number" },
      ];
    }), "Nothing was purged since the start.");
  }

  function renderHealth() {
    const { health, stats } = state;
    const up = health.status === "ok", remote = health.backend !== "memory";
    fillList("store", [
      [health.backend, up ? "ok" : health.status, up ? "good" : "bad"],
      health.why ? [null, health.why, "bad"] : null,
      remote ? ["Latency", `${health.latency_ms.toFixed(2)} ms`] : null,
      remote ? ["Breaker", health.breaker, health.breaker === "closed" ? "good" : "bad"] : null,
      remote ? ["Purges to deliver", count(health.journal), health.journal > 0 ? "wait" : "good"] : null,
      health.tracking ? ["Told of changes", health.tracking, health.tracking === "up" ? "good" : "wait"] : null,
      health.memory_mb !== undefined ? ["Memory", `${health.memory_mb} MB${health.memory_max_mb ? ` of ${health.memory_max_mb}` : ""}`] : null,
      ...(health.servers || []).map((server) => {
        const fine = server.connected && server.breaker === "closed";
        return [server.address, fine ? "connected" : server.connected ? `breaker ${server.breaker}` : "not connected", fine ? "good" : "bad"];
      }),
      ["Errors, evictions", `${count(stats.store_errors)}, ${count(stats.evictions)}`],
    ]);
    const lately = sum(visibleSamples(), "upstream_errors");
    fillList("upstreams", [
      ...stats.upstreams.flatMap((upstream) => [
        [upstream.name, `${plural(upstream.answers, "answer", "answers")}, ${plural(upstream.errors, "error", "errors")}`],
        upstream.answers > 0 ? [null, `median ${millis(upstream.median_ms * 1000)}, p99 ${millis(upstream.p99_ms * 1000)}`, "more"] : null,
      ]),
      ["Errors lately", count(lately), lately > 0 ? "bad" : "good"],
      ["Fetches shared", count(stats.collapsed)],
      ["Requests refused", count(stats.refused)],
    ]);
    renderConfiguration();
  }

  function renderConfiguration() {
    const { health, stats } = state;
    const { generation, since, last_reload: reload, error } = health.configuration;
    const taken = reload === "ok";
    fillList("configuration", [
      [`Generation ${count(generation)}`, `since ${new Date(since * 1000).toLocaleString("sv-SE")}`],
      ["Last reload", reload, taken ? "good" : "bad"],
      taken || !error ? null : [null, error, "bad"],
      ["Cache", health.enabled ? "on" : "off", health.enabled ? "good" : "wait"],
    ]);
    const ready = health.ready === "ok";
    const pills = [
      [ready ? "ready" : health.ready, ready ? "good" : "wait"],
      [`store ${health.status}`, health.status === "ok" ? "good" : "bad"],
      health.enabled ? null : ["cache off", "wait"],
      taken ? null : ["configuration refused", "bad"],
    ].filter(Boolean);
    const key = JSON.stringify(pills);
    if (byId("state").dataset.key === key) return;
    byId("state").dataset.key = key;
    byId("state").replaceChildren(...pills.map(([text, mood]) => make("li", { class: `pill dot ${mood}` }, text)));
  }

  function render() {
    say("version", state.stats.version);
    say("uptime", lasting(Math.floor(state.uptimeMs / 1000)));
    renderTiles();
    renderRoutes();
    renderPurges();
    renderHealth();
    renderCharts();
  }

  /* ---- the API ---- */

  async function ask(path, options = {}) {
    const answer = await fetch(path, { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(ANSWER_MS), ...options });
    return { status: answer.status, value: await answer.json() };
  }

  async function read(path) {
    const { status, value } = await ask(path);
    if (status !== 200) throw new Error(`${path} answered ${status}: ${value.error || "no reason given"}`);
    return value;
  }

  function takeHistory(history) {
    if (state.startedMs !== history.started_ms) {
      state.samples = { 1: [], 30: [] };
      state.purges = [];
      state.startedMs = history.started_ms;
    }
    state.columns = history.columns;
    state.bounds = history.bounds_us || [];
    state.uptimeMs = history.uptime_ms;
    const [number, end, span] = ["number", "end_ms", "span_ms"].map(columnOf);
    for (const series of history.series) {
      const kept = state.samples[series.step_s];
      const last = kept.length ? kept[kept.length - 1].number : 0;
      for (const row of series.samples) {
        if (row[number] <= last) continue;
        const sample = { number: row[number], at: row[end], span: row[span], latency: {} };
        state.columns.forEach((name, i) => {
          if (i > 2 && Array.isArray(row[i])) sample.latency[name] = row[i];
          else if (i > 2) sample[name] = row[i];
        });
        kept.push(sample);
      }
      kept.splice(0, kept.length - series.kept);
    }
  }

  const newest = (list, field) => (list.length ? list[list.length - 1][field] : 0);

  async function poll() {
    const after = (step) => newest(state.samples[step], "number");
    const newestPurge = state.purges.length ? state.purges[0].number : 0;
    const [fine, coarse, stats, health, purges] = await Promise.all([
      read(`/cache/history?step=1&after=${after(1)}`), read(`/cache/history?step=30&after=${after(30)}`),
      read("/cache/stats"), read("/cache/health"), read(`/cache/purges?after=${newestPurge}`),
    ]);
    if (state.startedMs !== null && fine.started_ms !== state.startedMs) {
      takeHistory({ ...fine, series: [] }); // another process: all numbers begin anew
      return poll();
    }
    takeHistory(fine);
    takeHistory(coarse);
    state.stats = stats;
    state.health = health;
    state.purges = purges.purges.filter((purge) => purge.number > newestPurge).concat(state.purges).slice(0, purges.kept);
    state.purgesTotal = purges.total;
    const names = JSON.stringify([health.configuration, stats.routes.map((route) => route.name)]);
    if (names !== state.ruleNames) {
      state.groups = (await read("/cache/groups")).groups;
      state.ruleNames = names;
      renderGroups();
    }
    return render();
  }

  let timer = null, polling = null;

  function tick() {
    clearTimeout(timer);
    if (polling === null)
      polling = poll().then(() => { byId("alert").hidden = true; }, (error) => {
        say("alert", `The gateway does not answer (${error.message}). Trying again.`);
        byId("alert").hidden = false;
      }).finally(() => {
        polling = null;
        clearTimeout(timer);
        if (!document.hidden) timer = setTimeout(tick, POLL_MS);
      });
    return polling;
  }

  /* ---- the form ---- */

  function renderGroups() {
    const select = byId("group"), chosen = select.value;
    select.replaceChildren(...state.groups.map((group) => make("option", {}, group.name)));
    if (state.groups.some((group) => group.name === chosen)) select.value = chosen;
    renderValues();
  }

  function renderValues() {
    const group = state.groups.find((one) => one.name === byId("group").value);
    const labels = (group ? group.placeholders : []).flatMap((name, i) => [
      make("label", { for: `value-${i}` }, name),
      make("input", { type: "text", id: `value-${i}`, spellcheck: "false", autocapitalize: "off" }),
    ]);
    byId("values").replaceChildren(...(group ? labels : [make("p", { class: "quiet" }, "The rules have no groups.")]));
  }

  function renderForm() {
    const kind = byId("kind").value;
    for (const name of ["pattern", "group", "user", "tag", "all"]) byId(`field-${name}`).hidden = name !== kind;
    byId("submit").disabled = byId("token").value === "";
    byId("submit").classList.toggle("danger", kind === "all");
    say("submit", kind === "all" ? "Purge everything…" : "Purge");
  }

  function bodyOf(kind) {
    const value = (id) => byId(id).value.trim();
    if (kind === "pattern") return { patterns: [value("pattern")] };
    if (kind === "user") return { users: [value("user")] };
    if (kind === "tag") return { tags: [value("tag")] };
    const group = state.groups.find((one) => one.name === byId("group").value);
    const named = { group: byId("group").value };
    (group ? group.placeholders : []).forEach((name, i) => { named[name] = value(`value-${i}`); });
    return { groups: [named] };
  }

  function confirmed() {
    const dialog = byId("confirm");
    dialog.returnValue = "no";
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    });
  }

  function tellResult(mood, text) {
    byId("result").className = mood;
    say("result", text);
  }

  function describe(status, value) {
    if (status !== 200) return `${status}: ${value.error}${value.remedy ? `\n${value.remedy}` : ""}`;
    const parts = [];
    if (value.purged > 0) parts.push(plural(value.purged, "instance", "instances"));
    if (value.banned > 0) parts.push(plural(value.banned, "open purge", "open purges"));
    return `Purged: ${parts.join(" and ") || "nothing"}.${value.widened ? `\nWidened: ${value.widened}` : ""}`;
  }

  async function submit(event) {
    event.preventDefault();
    const kind = byId("kind").value;
    if (byId("token").value === "" || (kind === "all" && !(await confirmed()))) return;
    const headers = { Authorization: `Bearer ${byId("token").value.trim()}` };
    byId("submit").disabled = true;
    tellResult("quiet", "…");
    try {
      const { status, value } = kind === "all"
        ? await ask("/cache/flush", { method: "DELETE", headers })
        : await ask("/cache/purge", { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(bodyOf(kind)) });
      tellResult(status === 200 ? "good" : "bad", describe(status, value));
    } catch (error) {
      tellResult("bad", `The purge got no answer: ${error.message}`);
    }
    renderForm();
    await polling;
    tick();
  }

  /* ---- what people do ---- */

  byId("purge").addEventListener("submit", submit);
  byId("kind").addEventListener("change", renderForm);
  byId("token").addEventListener("input", renderForm);
  byId("group").addEventListener("change", renderValues);
  byId("routes-filter").addEventListener("input", (event) => {
    state.filter = event.target.value.trim().toLowerCase();
    if (state.stats) renderRoutes();
  });
  byId("spans").addEventListener("change", (event) => {
    state.span = Number(event.target.value);
    if (state.stats) render();
  });
  for (const head of byId("routes").tHead.rows[0].cells)
    head.firstElementChild.addEventListener("click", () => {
      const { key } = head.dataset;
      state.sort = { key, down: state.sort.key === key ? !state.sort.down : key !== "name" };
      for (const other of byId("routes").tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", state.sort.down ? "descending" : "ascending");
      if (state.stats) renderRoutes();
    });
  byId("theme").addEventListener("click", () => {
    const next = { "": "light", light: "dark", dark: "" }[document.documentElement.dataset.theme || ""];
    if (next) document.documentElement.dataset.theme = next;
    else delete document.documentElement.dataset.theme;
    byId("theme").setAttribute("aria-label", `Colours: ${next || "as the system"}`);
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });
  renderForm();
  tick();
})();
