// The server's channels, who sits in voice, and who is heard.

import { avatar } from "./message.js";
import { element } from "./text.js";

const ICONS = {
  text: "M7 3 5.500 17M14 3l-1.500 14M3 7.500h14M2.500 12.500h14",
  voice: "M4 8v4h3l4 3.500v-11L7 8zM14 7a4 4 0 0 1 0 6M16 4.500a8 8 0 0 1 0 11",
  dm: "M3 4.500h14v9H9L5.500 16.500v-3H3z",
};

export function icon(kind) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[kind]);
  svg.append(path);
  return svg;
}

function seated(seat, page, className) {
  const person = page.person(seat.id);
  const node = element("li", className, avatar(person), element("span", "seat-name", person.name));
  node.dataset.person = seat.id;
  node.classList.toggle("speaking", seat.speaking);
  const flags = [seat.muted && "muted", seat.deaf && "deafened"].filter(Boolean).join(", ");
  if (flags) node.append(element("span", "quiet seat-flags", flags));
  return node;
}

function joinButton(channel, page, className) {
  const here = channel.seated.some((seat) => seat.id === page.as);
  const button = element("button", className, here ? "Leave" : "Join");
  button.type = "button";
  button.setAttribute("aria-label", `${here ? "Leave" : "Join"} ${channel.name} as ${page.names.person(page.as)}`);
  button.addEventListener("click", () => page.act("voice", { channel: channel.id }));
  return button;
}

function channelItem(channel, page) {
  const name = channel.kind === "dm" ? page.names.person(page.bot) : channel.name;
  const button = element("button", "channel", icon(channel.kind), element("span", "", name));
  button.type = "button";
  if (page.open === channel.id) button.setAttribute("aria-current", "page");
  if (page.unread.has(channel.id)) button.classList.add("unread");
  button.addEventListener("click", () => page.show(channel.id));
  const item = element("li", channel.kind, button);
  if (channel.kind === "voice") {
    item.append(joinButton(channel, page, "join"));
    if (channel.status) item.append(element("p", "voice-status", channel.status));
    item.append(element("ul", "seats", ...channel.seated.map((seat) => seated(seat, page, "seat"))));
  }
  return item;
}

export function renderPlaces(page, root) {
  const group = (title, channels) =>
    channels.length && [element("h2", "", title), element("ul", "", ...channels.map((c) => channelItem(c, page)))];
  const of = (kind) => page.channels.filter((c) => c.kind === kind);
  const mine = of("dm").filter((c) => c.with === page.as);
  root.replaceChildren(
    ...[group("Text", of("text")), group("Voice", of("voice")), group("Direct messages", mine)].filter(Boolean).flat(),
  );
}

// Who is in voice, above the chat: on phones, where the list of channels has no room for it, and in a voice channel's own chat.
export function renderStage(page, root) {
  root.classList.toggle("wide", page.channel(page.open)?.kind === "voice");
  const voice = page.channels.filter((c) => c.kind === "voice" && (c.seated.length || c.id === page.open));
  root.hidden = voice.length === 0;
  root.replaceChildren(
    ...voice.map((channel) => {
      const join = joinButton(channel, page, "button style-2");
      const count = channel.seated.length === 1 ? "1 person" : `${channel.seated.length} people`;
      const title = element("p", "stage-title", icon("voice"), element("b", "", channel.name), element("span", "quiet", count));
      if (channel.status) title.append(element("span", "stage-status", channel.status));
      const seats = element("ul", "stage-seats", ...channel.seated.map((seat) => seated(seat, page, "stage-seat")));
      return element("div", "stage-channel", element("div", "stage-head", title, join), seats);
    }),
  );
}

export function setSpeaking(id, speaking) {
  for (const node of document.querySelectorAll(`[data-person="${CSS.escape(id)}"]`)) {
    node.classList.toggle("speaking", speaking);
  }
}
