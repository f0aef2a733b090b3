// The page as it is served is a table that is whole; this keeps it up to date, and makes tiles of
// it. Whatever comes from nodes is set as text, never as markup.
"use strict";
(() => {
  const SILENCE_MS = 45000; // the server says something more often than that
  const RETRY_MS = 3000;
  const rows = new Map();
  const nodes = new Map();
  let clockError = 0; // of this browser, in ms
  let chosen = null; // the condition of the nodes that are shown; null: of all
  let source = null;
  let watchdog = 0;

  const root = document.documentElement;
  const status = document.getElementById("status");
  const leases = document.getElementById("leases");
  const counts = document.getElementById("counts");

  const age = (ms) => {
    const seconds = Math.max(0, Math.floor(ms / 1000));
    for (const [unit, size] of [["days", 86400], ["h", 3600], ["min", 60]]) {
      if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
    }
    return `${seconds} s`;
  };
  const ageOf = (moment) => (moment ? age(Date.now() - clockError - Date.parse(moment)) : "");

  const clock = (moment) => {
    const end = new Date(moment);
    const parts = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    const time = end.toLocaleTimeString([], parts);
    const today = end.toDateString() === new Date().toDateString();
    return today ? time : `${end.toLocaleDateString()} ${time}`;
  };

  const put = (row, field, text) => {
    const cell = row.querySelector(`.${field}`);
    if (cell.textContent !== text) cell.textContent = text;
    cell.title = text;
  };

  const drawTimes = (row, node) => {
    const since = node.booted || node.since; // of its system, else of what it is now
    put(row, "since", since ? `for ${ageOf(since)}` : "");
  };

  const draw = (node) => {
    const row = rows.get(node.name);
    if (!row) return;
    nodes.set(node.name, node);
    row.dataset.condition = node.condition;
    row.toggleAttribute("data-problem", node.problem !== null && node.condition !== "off");
    put(row, "condition", node.condition);
    const half = node.image && node.image.half_written ? " (half written)" : "";
    put(row, "image", node.image ? node.image.name + half : "");
    put(row, "lease", node.lease ? `${node.lease.holder} until ${clock(node.lease.until)}` : "");
    put(row, "system", [node.release, node.kernel].filter(Boolean).join(", "));
    put(row, "problem", node.problem || "");
    drawTimes(row, node);
    row.hidden = chosen !== null && chosen !== node.condition;
  };

  const drawCounts = () => {
    const found = new Map();
    for (const node of nodes.values()) found.set(node.condition, (found.get(node.condition) || 0) + 1);
    for (const item of counts.children) {
      const count = found.get(item.dataset.condition) || 0;
      item.querySelector("b").textContent = count;
      item.hidden = count === 0 && chosen !== item.dataset.condition;
    }
    document.title = `${found.get("up") || 0} of ${nodes.size} nodes up`;
  };

  const choose = (condition) => {
    chosen = chosen === condition ? null : condition;
    for (const item of counts.children) {
      item.firstElementChild.setAttribute("aria-pressed", String(item.dataset.condition === chosen));
    }
    nodes.forEach(draw);
    drawCounts();
  };

  const say = (text, lost) => {
    status.textContent = text;
    root.classList.toggle("lost", lost);
  };

  const drawLeases = (known) => {
    const problem = known && known.problem;
    leases.textContent = problem ? `who holds the nodes is not known: ${problem}` : "";
    leases.hidden = !problem;
  };

  const heard = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(again, SILENCE_MS);
  };

  const take = (event) => {
    heard();
    const line = JSON.parse(event.data);
    clockError = Date.now() - Date.parse(line.at);
    if (line.event === "testbed") {
      const same = line.nodes.length === rows.size && line.nodes.every((node) => rows.has(node.name));
      if (!same) {
        location.reload(); // the monitor has been started with other nodes
        return;
      }
      line.nodes.forEach(draw);
      drawLeases(line.leases);
      say("live", false);
    } else if (line.event === "changed") {
      draw(line.node);
    } else if (line.event === "leases") {
      drawLeases(line.leases);
    }
    drawCounts();
  };

  const again = () => {
    say("no connection, trying again", true);
    if (source) source.close();
    clearTimeout(watchdog);
    watchdog = setTimeout(connect, RETRY_MS * (0.75 + Math.random() / 2));
  };

  const connect = () => {
    source = new EventSource("events");
    source.onmessage = take;
    source.onerror = again;
    heard();
  };

  for (const row of document.querySelectorAll("tbody tr")) rows.set(row.dataset.node, row);
  for (const item of counts.children) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.append(...item.childNodes);
    button.addEventListener("click", () => choose(item.dataset.condition));
    item.append(button);
  }
  root.classList.add("live");
  setInterval(() => nodes.forEach((node) => drawTimes(rows.get(node.name), node)), 1000);
  connect();
})();
