// Decides when a live region asks: one request at a time, only while the page is seen, again at once when
// it is seen again, later and later while the dashboard is away, never again once it was refused.
// htmx sends the request and morphs the answer in. Every page works without this file.
"use strict";
(() => {
  const away = document.getElementById("away");
  let busy = false;      // a request waits at the dashboard
  let failures = 0;      // in a row
  let refused = false;   // the session has ended
  let timer = 0;

  const region = () => document.querySelector("#live[data-live]");
  const scrolledDown = () => window.scrollY > 200;
  const say = (text) => { away.textContent = text; away.hidden = text === ""; };

  // A held page shows how many rows are new, and does not move.
  const isHeld = (live) => live.dataset.hold === "log" && scrolledDown();
  const topEvent = () => document.querySelector("#live [data-event]")?.dataset.event ?? "0";

  function ask() {
    clearTimeout(timer);
    const live = region();
    if (!live || busy || refused || document.hidden) return;
    live.dispatchEvent(new CustomEvent("quarterdeck:poll"));
  }
  function askIn(pause) {
    clearTimeout(timer);
    timer = setTimeout(ask, pause);
  }

  document.addEventListener("htmx:config:request", (event) => {
    const ctx = event.detail.ctx, live = ctx.sourceElement;
    if (live.id !== "live") return;
    const body = ctx.request.body;
    if (live.dataset.live === "tail") {
      const marks = document.querySelectorAll("#output, #output .piece");
      const last = marks[marks.length - 1];
      body.set("from", last?.dataset.end ?? "0");
      body.set("pen", last?.dataset.pen ?? "");
      body.set("stamp", live.dataset.stamp ?? "");
    } else {
      body.set("live", live.dataset.version);
      if (isHeld(live)) {
        body.set("hold", topEvent());
        ctx.target = document.getElementById("news");
        ctx.swap = "outerHTML";
        ctx.quarterdeckHeld = true;
      }
    }
  });

  document.addEventListener("htmx:before:request", (event) => {
    const live = event.detail.ctx.sourceElement;
    if (live.id !== "live") return;
    busy = true;
    live._qdBegan = performance.now();
  });

  document.addEventListener("htmx:before:response", (event) => {
    const ctx = event.detail.ctx;
    if (ctx.sourceElement.id !== "live") return;
    const status = ctx.response.status;
    ctx.sourceElement._qdStatus = status;
    if (status === 200 && !ctx.quarterdeckHeld && isHeld(ctx.sourceElement)) {
      event.preventDefault(); // it was asked before the reader scrolled: ask again, for the number alone
      return;
    }
    if (status === 200 && ctx.quarterdeckHeld) {
      const version = ctx.response.headers.get("quarterdeck-version");
      if (version) ctx.sourceElement.dataset.version = version;
      ctx.sourceElement._qdStale = true;
    }
  });

  document.addEventListener("htmx:finally:request", (event) => {
    const source = event.detail.ctx.sourceElement;
    if (source.id !== "live") return;
    busy = false;
    const status = source._qdStatus ?? 0;
    source._qdStatus = undefined;
    if (status === 401 || status === 403) {
      refused = true;
      say("This page is no longer live: the session has ended. Run “quarterdeck open” for a new link, then reload.");
    } else if (status === 200 || status === 204) {
      failures = 0;
      say("");
      // A dashboard that stops answers its waiters at once.
      const quick = performance.now() - (source._qdBegan ?? 0) < 1000;
      askIn(status === 204 && quick ? 1000 : 0);
    } else if (!document.hidden) {
      failures += 1;
      if (failures > 1 || status >= 400) say("The dashboard does not answer. Ops on hosts go on; this page tries again.");
      askIn(Math.min(500 * 2 ** failures, 15000) * (0.75 + Math.random() / 2));
    }
  });

  document.addEventListener("visibilitychange", () => {
    const live = region();
    if (!live) return;
    if (document.hidden) {
      clearTimeout(timer);
      live.dispatchEvent(new CustomEvent("htmx:abort"));
    } else {
      failures = 0;
      askIn(0);
    }
  });
  window.addEventListener("online", () => askIn(0));

  // Output: stay at the end while the reader is there; never keep more than a page full.
  const LIMIT = 256 * 1024;
  let atEnd = true;
  const atBottom = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < 24;
  document.addEventListener("htmx:before:swap", () => {
    const box = document.getElementById("output");
    if (box) atEnd = atBottom(box);
  });
  document.addEventListener("htmx:after:swap", () => {
    const box = document.getElementById("output");
    if (!box) return;
    for (const piece of box.querySelectorAll(".piece")) {
      if (box.textContent.length <= LIMIT) break;
      while (box.firstChild !== piece) box.firstChild.remove();
      if (piece.nextElementSibling) piece.remove();
    }
    if (atEnd) box.scrollTop = box.scrollHeight;
    const following = document.getElementById("following");
    if (following && !region()) following.textContent = "It has ended; nothing more comes.";
    if (!region() && box.textContent === "") box.textContent = document.getElementById("live")?.dataset.none ?? "";
  });

  // The log: "4 new" leads to the top, and there the page is live again.
  function catchUp() {
    const live = region();
    if (live?._qdStale && !scrolledDown()) {
      live._qdStale = false;
      live.dataset.version = "-.0";
      document.getElementById("news")?.setAttribute("hidden", "");
      live.dispatchEvent(new CustomEvent("htmx:abort"));
      askIn(0);
    }
  }
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-news]")) window.scrollTo({ top: 0 });
  });
  window.addEventListener("scroll", catchUp, { passive: true });

  // Choosing hosts, or commands: how many, and all that are shown.
  const TICKS = '#live .tick input[type="checkbox"][name]';
  function chosen() {
    const bar = document.querySelector("[data-bar]");
    if (!bar) return;
    const boxes = [...document.querySelectorAll(TICKS)];
    const ticked = boxes.filter((box) => box.checked).length;
    const words = bar.querySelector("[data-chosen]");
    const [one, many] = bar.dataset.bar.split(" ");
    const text = ticked === 0 ? `Tick ${many} above, then:` : ticked === 1 ? `1 ${one} chosen:` : `${ticked} ${many} chosen:`;
    if (words.textContent !== text) words.textContent = text;
    bar.classList.toggle("idle", ticked === 0);
    const all = document.querySelector("[data-all]");
    if (all) {
      all.hidden = boxes.length < 2;
      all.checked = ticked > 0 && ticked === boxes.length;
      all.indeterminate = ticked > 0 && ticked < boxes.length;
    }
  }
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-all]")) {
      for (const box of document.querySelectorAll(TICKS)) box.checked = event.target.checked;
    }
    chosen();
  });

  // Ages stay true while a page is open.
  const rough = (s) => s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} days`;
  const two = (n) => String(n).padStart(2, "0");
  const length = (s) => s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}` : s < 86400 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
  const skew = Date.now() - Date.parse(document.documentElement.dataset.now ?? new Date().toISOString());
  const since = (iso) => Math.max(0, Math.floor((Date.now() - skew - Date.parse(iso)) / 1000));
  setInterval(() => {
    if (document.hidden) return;
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const s = since(time.dateTime), text = s < 10 ? "just now" : `${rough(s)} ago`;
      if (time.textContent !== text) time.textContent = text;
    }
    for (const span of document.querySelectorAll("[data-since]")) span.textContent = length(since(span.dataset.since));
  }, 1000);

  // Documents: without a script, the hint beside it says how.
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-print]")) window.print();
  });

  document.addEventListener("DOMContentLoaded", () => {
    for (const button of document.querySelectorAll("[data-print]")) button.hidden = false;
    const box = document.getElementById("output");
    if (box) box.scrollTop = box.scrollHeight;
    // Only where something follows does a page say so; else it says how to see more.
    const following = document.getElementById("following");
    if (following && region()) following.textContent = following.dataset.follows;
    chosen();
    askIn(300);
  });
  document.addEventListener("htmx:after:swap", chosen);
})();
