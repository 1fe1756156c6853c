// Keeps the page fresh: asks for it again and again, and swaps what has changed, so that focus, selection, scroll and what is unfolded
// stay as they are. Countdowns go by the daemon's clock. Without this script the page reloads by itself.
"use strict";
(() => {
  const link = document.getElementById("link");
  const [word, age] = link.children;
  const every = Number(document.body.dataset.every) * 1000;
  // The daemon's time at a moment of ours, and how fast it runs: in the demo, 200 times.
  let base = { theirs: Date.parse(document.body.dataset.now), ours: performance.now() };
  let rate = 1;
  let last = base;
  let measured = 1;
  let tag = "";
  let heard = performance.now();
  let trouble = "";
  let asking = false;

  const now = () => base.theirs + (performance.now() - base.ours) * rate;

  /** Takes the daemon's time from an answer. It says whole seconds, so small differences say nothing. */
  const hear = (date) => {
    const theirs = Date.parse(date);
    const ours = performance.now();
    if (Number.isNaN(theirs) || ours - last.ours < 200) return;
    const before = measured;
    measured = (theirs - last.theirs) / (ours - last.ours);
    last = { theirs, ours };
    // A computer that slept finds the time far ahead, once. A clock that runs fast does so again and again.
    const fast = measured > 5 && Math.abs(measured / before - 1) < 0.2;
    if (fast || rate > 1 || Math.abs(theirs + 500 - now()) > 1500) {
      base = { theirs: fast ? theirs : theirs + 500, ours };
      rate = fast ? measured : 1;
    }
  };

  /** A length of time by its two largest units, as the daemon writes it. */
  const roughly = (milliseconds) => {
    let rest = Math.trunc(Math.abs(milliseconds) / 1000);
    const step = rest >= 86400 ? 3600 : rest >= 3600 ? 60 : 1;
    rest -= rest % step;
    let out = "";
    for (const [name, size] of [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]]) {
      const count = Math.trunc(rest / size);
      rest %= size;
      if (count > 0) out += count + name;
    }
    return out || "0s";
  };

  const say = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  const tick = () => {
    if (document.hidden) return;
    const present = now();
    for (const element of document.querySelectorAll("time[data-until]")) {
      const left = Date.parse(element.dataset.until) - present;
      say(element, left > 0 ? `in ${roughly(left)}` : `${roughly(left)} ago`);
      element.classList.toggle("soon", left > 0 && left < 600000);
    }
    for (const bar of document.querySelectorAll("rect[data-to]")) {
      const from = Date.parse(bar.dataset.from);
      const part = (100 * (present - from)) / (Date.parse(bar.dataset.to) - from);
      bar.setAttribute("width", Math.min(100, Math.max(0, part)).toFixed(1));
    }
    const silent = performance.now() - heard;
    const lost = trouble !== "" || silent > every * 3 + 2000;
    document.body.classList.toggle("lost", lost);
    // What changes each second is not read out: a screen reader would read nothing else.
    say(word, lost ? trouble || "The daemon does not answer" : "Live");
    say(age, lost ? `last seen ${roughly(silent)} ago` : "");
    link.title = `The daemon's time: ${new Date(present).toISOString().slice(0, 19)}Z`;
  };

  // Unfolded by whoever reads; ticking.
  const ours = new Set(["open", "class", "width"]);
  const isOurs = (element, name) => ours.has(name) && (name === "open" || element.hasAttribute("data-until") || element.hasAttribute("data-to"));

  /** Makes `old` say what `fresh` says, and touches nothing that says it already. */
  const morph = (old, fresh) => {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name, value } of fresh.attributes) {
      if (!isOurs(old, name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!isOurs(old, name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    if (old.hasAttribute("data-until")) return;
    const wanted = new Set([...fresh.children].map((child) => child.id).filter(Boolean));
    for (const child of [...old.children]) if (child.id && !wanted.has(child.id)) child.remove();
    const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
    let place = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      const same = place && !place.id && !next.id && place.nodeName === next.nodeName ? place : null;
      const mate = next.id ? named.get(next.id) : same;
      if (!mate) {
        old.insertBefore(document.importNode(next, true), place);
        continue;
      }
      if (mate === place) place = place.nextSibling;
      else old.insertBefore(mate, place);
      morph(mate, next);
    }
    while (place) {
      const gone = place;
      place = place.nextSibling;
      gone.remove();
    }
  };

  const swap = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const focused = document.activeElement;
    const home = focused?.closest("section");
    for (const part of fresh.querySelectorAll("[data-live]")) {
      const old = document.querySelector(`[data-live="${CSS.escape(part.dataset.live)}"]`);
      if (old) morph(old, part);
    }
    if (document.title !== fresh.title) document.title = fresh.title;
    if (focused === document.activeElement) return;
    // What had the focus may have gone, with a clone that ended: whoever reads on goes on from where it was, not from the top.
    const next = focused?.isConnected ? focused : home;
    if (next === home) home?.setAttribute("tabindex", "-1");
    next?.focus({ preventScroll: true });
  };

  const ask = async () => {
    if (asking || document.hidden) return;
    asking = true;
    try {
      const headers = tag ? { "If-None-Match": tag } : {};
      const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(10000) });
      if (answer.status === 200) {
        swap(await answer.text());
        tag = answer.headers.get("ETag") ?? "";
      } else if (answer.status !== 304) {
        throw new Error(`The daemon answers ${answer.status}`);
      }
      hear(answer.headers.get("Date"));
      heard = performance.now();
      trouble = "";
    } catch (error) {
      trouble = error.message.startsWith("The daemon") ? error.message : "The daemon does not answer";
    }
    asking = false;
    tick();
  };

  tick();
  setInterval(tick, 1000);
  setInterval(ask, every);
  setTimeout(ask, 300);
  document.addEventListener("visibilitychange", ask);
})();
