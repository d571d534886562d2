// A running session's page: every live event asks the server for the report's body anew, at most every two seconds.
// The figures on the page are therefore always the report's own; this file draws nothing.
import { localTimes } from "./times.js";

const MIN_INTERVAL_MS = 2000;
const SETTLE_MS = 1200; // windows reach the database within this time
const LATE_MS = 4000;
const AGAIN_MS = 15000; // after a refusal

const root = document.getElementById("report");
let lastStart = 0;
let cost = 0;
let timer = null;
let late = null;
let running = false;
let again = false;

function schedule(delay) {
  if (running) {
    again = true;
    return;
  }
  if (timer !== null) return;
  const pause = Math.max(delay, lastStart + Math.max(MIN_INTERVAL_MS, 4 * cost) - performance.now());
  timer = setTimeout(refresh, pause);
}

async function refresh() {
  timer = null;
  running = true;
  lastStart = performance.now();
  try {
    const response = await fetch(`${root.dataset.page}/body${location.search}`, { credentials: "same-origin" });
    if (response.ok) swap(await response.text());
    else if (response.status === 404 || response.status === 403) location.reload();
  } catch {
    // the connection is away; the event stream comes back and asks again
  } finally {
    cost = performance.now() - lastStart;
    running = false;
    if (again) {
      again = false;
      schedule(SETTLE_MS);
    }
  }
}

function swap(html) {
  const selection = document.getSelection();
  if (selection && !selection.isCollapsed && root.contains(selection.anchorNode)) return; // somebody is copying
  const open = new Set([...root.querySelectorAll("details[open]")].map((details) => details.id));
  const scrolled = new Map(
    [...root.querySelectorAll("details .scroll")].map((box) => [box.parentElement.id, [box.scrollLeft, box.scrollTop]]),
  );
  const focus = document.activeElement && root.contains(document.activeElement) ? document.activeElement : null;
  const focusPath = focus ? (focus.getAttribute("href") ?? focus.parentElement?.id) : null;
  const parsed = new DOMParser().parseFromString(html, "text/html");
  for (const details of parsed.querySelectorAll("details")) details.open = open.has(details.id);
  root.replaceChildren(...parsed.body.childNodes);
  for (const [id, [left, top]] of scrolled) {
    document.getElementById(id)?.querySelector(".scroll")?.scrollTo(left, top);
  }
  if (focusPath) {
    const again = [...root.querySelectorAll("a, summary")].find(
      (element) => element.getAttribute("href") === focusPath || element.parentElement?.id === focusPath,
    );
    again?.focus({ preventScroll: true });
  }
  localTimes(root);
  say();
}

let state = "live";
function say() {
  const badge = document.getElementById("live-state");
  if (badge) badge.textContent = state;
  else source?.close(); // the session is over
}

let source = null;
function onEvent(event) {
  if (event.lastEventId) root.dataset.lastEvent = event.lastEventId;
  schedule(SETTLE_MS);
  clearTimeout(late);
  late = setTimeout(() => schedule(0), LATE_MS);
}

function onState(event) {
  const data = JSON.parse(event.data);
  state = data.link && data.link !== "listening" ? `live · ${data.link.replaceAll("_", " ")}` : "live";
  if (data.state && data.state !== "live") {
    state = data.state;
    source.close();
  }
  say();
  onEvent(event);
}

function connect() {
  if (!document.getElementById("live-state")) return;
  source = new EventSource(`${root.dataset.events}?last_event_id=${root.dataset.lastEvent}`);
  for (const kind of ["participant", "window", "moment", "reset"]) source.addEventListener(kind, onEvent);
  source.addEventListener("state", onState);
  source.addEventListener("open", () => { state = "live"; say(); });
  source.addEventListener("error", () => {
    state = "live · reconnecting";
    say();
    if (source.readyState !== EventSource.CLOSED) return; // the browser comes back by itself
    schedule(0); // it was refused: over, too many pages, or not ours any more; the page itself tells which
    setTimeout(connect, AGAIN_MS);
  });
}

connect();
