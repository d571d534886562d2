// The page's state, what the server says about it, and what the visitor does. Drawing is in the other modules.

import { openForm, startComposer } from "./composer.js";
import { render } from "./message.js";
import { renderPlaces, renderStage, setSpeaking } from "./places.js";
import { element } from "./text.js";

const $ = (id) => document.getElementById(id);
const GROUP_MS = 5 * 60 * 1000;

const page = {
  as: "",
  bot: "",
  open: "",
  people: new Map(),
  roles: [],
  channels: [],
  messages: new Map(),
  commands: [],
  unread: new Set(),
  origin: "",
  reportHidden: false,
  names: {
    person: (id) => page.people.get(id)?.name ?? "somebody",
    channel: (id) => page.channel(id)?.name ?? "a channel",
    role: (id) => page.roles.find((role) => role.id === id)?.name ?? "role",
  },
  person: (id) => page.people.get(id) ?? { id, name: "Somebody", colour: "#777777", bot: false },
  channel: (id) => page.channels.find((channel) => channel.id === id),
  menuCommands: () => page.commands.filter((c) => c.kind === "menu").map((c) => c.name),
  show,
  act,
  // Without values it is a button; a menu may be left with nothing chosen.
  async press(message, customId, control, values) {
    control.disabled = true;
    await act("press", { channel: message.channel_id, message: message.id, custom_id: customId, values });
    control.disabled = false;
  },
};

const composer = startComposer(page);

function show(id) {
  if (page.open !== id) following = true;
  page.open = id;
  page.unread.delete(id);
  drawPlaces();
  drawMessages();
  loadCommands();
}

// Does something as the chosen person. Resolves to whether it worked; what went wrong is said in words.
async function act(what, body, file) {
  const json = JSON.stringify({ as: page.as, ...body });
  const headers = { "X-Sandbox-Page": "1" };
  let payload = json;
  if (file) {
    payload = new FormData();
    payload.append("act", json);
    payload.append("file", file);
  } else headers["Content-Type"] = "application/json";
  try {
    const response = await fetch("/page/" + what, { method: "POST", headers, body: payload });
    const answer = await response.json();
    if (!response.ok) say(answer.error || "That did not work.");
    else if (answer.form) openForm(answer, page);
    return response.ok;
  } catch {
    say("The program does not answer.");
    return false;
  }
}

let quietAgain = 0;
function say(text) {
  $("status").textContent = text;
  clearTimeout(quietAgain);
  quietAgain = setTimeout(() => ($("status").textContent = ""), 6000);
}

async function loadCommands() {
  if (!page.open || !page.as) return;
  const response = await fetch(`/page/commands?as=${page.as}&channel=${page.open}`);
  if (!response.ok) return;
  const before = page.menuCommands().join();
  page.commands = await response.json();
  if (page.menuCommands().join() !== before) drawMessages();
}

function drawPlaces() {
  renderPlaces(page, $("channels"));
  renderStage(page, $("stage"));
  const channel = page.channel(page.open);
  $("title").textContent = channel ? (channel.kind === "dm" ? page.names.person(page.bot) : channel.name) : "";
  $("topic").textContent = channel?.topic || channel?.status || (channel?.kind === "dm" ? "Direct messages" : "");
  composer.hint();
}

const visible = (message) => message.channel_id === page.open && (!message.visible_to || message.visible_to === page.as);

function drawMessages() {
  const shown = [...page.messages.values()].filter(visible).sort((a, b) => (BigInt(a.id) < BigInt(b.id) ? -1 : 1));
  let before = null;
  const nodes = shown.map((message) => {
    const follows = follow(before, message);
    before = message;
    return render(message, page, follows);
  });
  if (!nodes.length) nodes.push(element("p", "empty", "No messages yet."));
  keepPanel(nodes);
  keepingPlace(() => $("messages").replaceChildren(...nodes));
}

// The newest message of the bot with buttons to press stays in sight while others pass below it.
function keepPanel(nodes) {
  const panels = nodes.filter((node) => node.dataset.bot && node.querySelector(".row .button:enabled:not(.link-button)"));
  for (const node of nodes) node.classList.toggle("kept", node === panels.at(-1));
}

function follow(before, message) {
  return Boolean(
    before && before.author === message.author && before.visible_to === message.visible_to && !message.reply && !message.used &&
      new Date(message.timestamp) - new Date(before.timestamp) < GROUP_MS,
  );
}

function drawMessage(message) {
  if (!visible(message)) {
    if (!message.visible_to && message.channel_id !== page.open) {
      page.unread.add(message.channel_id);
      drawPlaces();
    }
    return;
  }
  const old = $("m" + message.id);
  if (!old) return drawMessages();
  const open = old.querySelector("details[open]");
  const focused = document.activeElement && old.contains(document.activeElement) ? document.activeElement.textContent : null;
  const fresh = render(message, page, old.classList.contains("follows"));
  keepingPlace(() => {
    old.replaceWith(fresh);
    keepPanel([...$("messages").children]);
  });
  if (open && fresh.querySelector("details")) fresh.querySelector("details").open = true;
  if (focused) [...fresh.querySelectorAll("button")].find((b) => b.textContent === focused)?.focus();
}

// The newest message stays in view for whoever was looking at it; others stay where they are.
let following = true;
function keepingPlace(change) {
  change();
  if (following) $("messages").scrollTop = $("messages").scrollHeight;
}
$("messages").addEventListener("scroll", ({ target }) => {
  following = target.scrollHeight - target.scrollTop - target.clientHeight < 60;
});
new ResizeObserver(() => keepingPlace(() => {})).observe($("messages"));
$("messages").addEventListener("load", () => keepingPlace(() => {}), true);

function takePlaces(data) {
  page.people = new Map(data.people.map((person) => [person.id, person]));
  page.channels = data.channels;
  page.roles = data.roles;
  $("guild").textContent = data.guild;
  document.body.classList.toggle("offline", !data.online);
  const options = data.people.filter((person) => !person.bot).map((person) => {
    const option = element("option", "", person.name);
    option.value = person.id;
    return option;
  });
  $("as").replaceChildren(...options);
  $("as").value = page.as;
  $("locale").value = page.people.get(page.as)?.locale ?? "en-GB";
}

function takeAll(data) {
  page.bot = data.bot;
  page.as ||= data.you;
  page.messages = new Map(data.messages.map((message) => [message.id, message]));
  takePlaces(data);
  page.origin = data.origin;
  takeReport(data.report_url);
  if (!page.channel(page.open)) page.open = firstPlace();
  show(page.open);
}

// Where the bot's newest panel is, or where something was said first; else the first text channel.
function firstPlace() {
  const messages = [...page.messages.values()];
  const panels = messages.filter((m) => page.person(m.author).bot && !m.visible_to && m.components.length).reverse();
  const said = [...panels, ...messages].map((message) => page.channel(message.channel_id));
  return (said.find((channel) => channel && channel.kind !== "dm") ?? page.channels.find((c) => c.kind === "text"))?.id ?? "";
}

// The report beside the chat where there is room for both; it lets only the address that it knows show it in a frame.
function takeReport(url) {
  $("report").hidden = !url;
  const beside = Boolean(url) && location.origin === page.origin && !page.reportHidden;
  $("beside").hidden = !beside;
  document.body.classList.toggle("with-report", beside);
  if (!url) return;
  $("report").href = url;
  if (beside && $("frame").src !== url) $("frame").src = url;
}

$("hide-report").addEventListener("click", () => {
  page.reportHidden = true;
  takeReport($("report").href);
});

$("as").addEventListener("change", () => {
  page.as = $("as").value;
  const channel = page.channel(page.open);
  $("locale").value = page.people.get(page.as)?.locale ?? "en-GB";
  if (channel?.kind === "dm" && channel.with !== page.as) page.open = page.channels.find((c) => c.kind === "text")?.id;
  show(page.open);
});

$("locale").addEventListener("change", () => act("language", { name: $("locale").value }));

const events = new EventSource("/page/events");
const on = (kind, take) => events.addEventListener(kind, (event) => take(JSON.parse(event.data)));
on("all", takeAll);
on("message", (message) => {
  page.messages.set(message.id, message);
  drawMessage(message);
});
on("gone", ({ id }) => {
  page.messages.delete(id);
  $("m" + id)?.remove();
});
on("places", (data) => {
  takePlaces(data);
  drawPlaces();
  loadCommands();
});
on("speaking", ({ id, speaking }) => {
  for (const seat of page.channels.flatMap((c) => c.seated)) if (seat.id === id) seat.speaking = speaking;
  setSpeaking(id, speaking);
});
on("report", ({ url }) => takeReport(url));
on("failed", ({ to, channel_id }) => {
  if (to === page.as && channel_id === page.open) say("The application did not respond in time.");
});
events.addEventListener("error", () => say("The connection to the program is gone; trying again."));
