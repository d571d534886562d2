// One message: who, when, text, embeds, components, files, reactions.

import { blocks, element, inline, link } from "./text.js";

export function avatar(person, className = "avatar") {
  const initials = person.name.split(/\s+/).slice(0, 2).map((word) => word[0]).join("");
  const node = element("span", className, initials);
  node.style.setProperty("--of", person.colour);
  node.setAttribute("aria-hidden", "true");
  return node;
}

const hex = (colour) => "#" + colour.toString(16).padStart(6, "0");

// Pictures that were shown once, by their address without its signature: they outlive the program that served them.
const held = new Map();

function image(media, className, alt) {
  const node = element("img", className);
  node.alt = alt || "";
  const [place] = media.url.split("?");
  if (held.size > 200) held.delete(held.keys().next().value);
  if (!held.has(place)) held.set(place, fetch(media.url).then((answer) => (answer.ok ? answer.blob() : Promise.reject(answer))).then(URL.createObjectURL));
  held.get(place).then((address) => { node.src = address; }, () => {
    held.delete(place);
    node.src = media.url;
  });
  if (media.width) [node.width, node.height] = [media.width, media.height];
  return node;
}

function enlargeable(picture, address) {
  const node = link(address, picture);
  node.className = "enlarge";
  node.title = "Open the picture by itself";
  return node;
}

function embed(data, page) {
  const text = element("div", "embed-text");
  if (data.author) text.append(element("p", "embed-author", data.author.name));
  if (data.title) {
    const title = inline(data.title, page.names);
    text.append(element("h3", "", data.url ? link(data.url, title) : title));
  }
  if (data.description) text.append(element("div", "prose", blocks(data.description, page.names)));
  if (data.fields?.length) {
    const fields = element("dl", "fields");
    for (const field of data.fields) {
      const name = element("dt", "", inline(field.name, page.names));
      const value = element("dd", "prose", blocks(field.value, page.names));
      fields.append(element("div", field.inline ? "inline" : "", name, value));
    }
    text.append(fields);
  }
  const node = element("article", "embed", text);
  if (data.color !== undefined) node.style.setProperty("--edge", hex(data.color));
  if (data.thumbnail) node.append(image(data.thumbnail, "thumbnail"));
  if (data.image) node.append(enlargeable(image(data.image, "picture", data.title), data.image.url));
  const foot = [data.footer?.text, data.timestamp && new Date(data.timestamp).toLocaleString()].filter(Boolean);
  if (foot.length) node.append(element("p", "embed-foot", foot.join(" · ")));
  return node;
}

function waveform(base64) {
  const bars = atob(base64 || "");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const count = Math.min(48, Math.max(bars.length, 1));
  svg.setAttribute("viewBox", `0 0 ${count * 4} 24`);
  svg.setAttribute("class", "waveform");
  svg.setAttribute("aria-hidden", "true");
  let path = "";
  for (let n = 0; n < count; n++) {
    const level = bars.charCodeAt(Math.floor((n * bars.length) / count)) || 0;
    const half = 1 + (level / 255) * 10;
    path += `M${n * 4 + 2} ${12 - half}v${2 * half}`;
  }
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

function voiceMessage(file) {
  const sound = new Audio();
  sound.preload = "none";
  sound.src = file.url;
  const play = element("button", "play", "▶");
  play.type = "button";
  const label = (playing) => {
    play.textContent = playing ? "❚❚" : "▶";
    play.setAttribute("aria-label", playing ? "Pause" : "Play voice message");
  };
  label(false);
  play.addEventListener("click", () => (sound.paused ? sound.play() : sound.pause()));
  for (const [kind, playing] of [["play", true], ["pause", false], ["ended", false]]) {
    sound.addEventListener(kind, () => label(playing));
  }
  const seconds = Math.round(file.duration_secs);
  const length = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  return element("div", "voice-message", play, waveform(file.waveform), element("span", "quiet", length));
}

function attachment(file) {
  const type = file.content_type || "";
  if (type.startsWith("image/")) return enlargeable(image(file, "picture", file.description || file.filename), file.url);
  if (type.startsWith("audio/")) {
    if (file.waveform !== undefined) return voiceMessage(file);
    const player = element("audio");
    player.controls = true;
    player.preload = "none";
    player.src = file.url;
    player.setAttribute("aria-label", file.filename);
    return element("div", "file", element("span", "", file.filename), player);
  }
  const size = file.size < 10240 ? `${file.size} bytes` : `${Math.round(file.size / 1024)} KB`;
  return element("div", "file", link(file.url, file.filename), element("span", "quiet", size));
}

function button(data, message, page) {
  const label = [data.emoji?.name, data.label].filter(Boolean).join(" ");
  if (data.style === 5) {
    const node = link(data.url, label);
    node.className = "button link-button";
    return node;
  }
  const node = element("button", `button style-${data.style}`, label);
  node.type = "button";
  node.disabled = Boolean(data.disabled);
  node.addEventListener("click", () => page.press(message, data.custom_id, node));
  return node;
}

// What a menu offers: its own texts, or the people, roles and channels of the server.
function offered(data, page) {
  const people = () => [...page.people.values()].map(({ id, name }) => ({ value: id, label: "@" + name }));
  const roles = () => page.roles.map(({ id, name }) => ({ value: id, label: "@" + name }));
  const fits = (channel) => channel.kind !== "dm" && (!data.channel_types?.length || data.channel_types.includes(channel.type));
  const channels = () => page.channels.filter(fits).map(({ id, name }) => ({ value: id, label: "#" + name }));
  const found = { 5: people, 6: roles, 7: () => [...people(), ...roles()], 8: channels }[data.type]?.() ?? data.options ?? [];
  const before = new Set((data.default_values || []).map((one) => String(one.id)));
  return found.map((one) => ({ ...one, default: one.default || before.has(one.value) }));
}

// One of several texts is a list of the browser's own; several, or none, are boxes to tick and a button.
function select(data, message, page) {
  const options = offered(data, page);
  const least = data.min_values ?? 1;
  const most = data.max_values ?? 1;
  return least === 1 && most === 1 ? list(data, options, message, page) : boxes(data, options, most, message, page);
}

function list(data, options, message, page) {
  const node = element("select", "choice");
  const hint = element("option", "", data.placeholder || "Choose …");
  hint.value = "";
  node.append(hint);
  for (const option of options) {
    const choice = element("option", "", option.label);
    choice.value = option.value;
    choice.selected = Boolean(option.default);
    node.append(choice);
  }
  node.disabled = Boolean(data.disabled);
  node.setAttribute("aria-label", data.placeholder || "Choose");
  node.addEventListener("change", () => node.value && page.press(message, data.custom_id, node, [node.value]));
  return node;
}

function boxes(data, options, most, message, page) {
  const chosen = options.filter((option) => option.default).map((option) => option.label);
  const inputs = options.map((option) => {
    const input = element("input");
    input.type = "checkbox";
    input.value = option.value;
    input.checked = Boolean(option.default);
    input.addEventListener("change", () => {
      const ticked = inputs.filter((other) => other.checked && other !== input);
      if (input.checked && ticked.length >= most) ticked[0].checked = false;
    });
    return input;
  });
  const done = element("button", "button style-1", "Choose");
  done.type = "button";
  done.addEventListener("click", () => {
    const values = inputs.filter((input) => input.checked).map((input) => input.value);
    node.open = false;
    page.press(message, data.custom_id, done, values);
  });
  const ticks = inputs.map((input, at) => element("label", "", input, options[at].label));
  const none = options.length ? null : element("p", "quiet", "There is nothing to choose from.");
  const summary = element("summary", "", chosen.length ? chosen.join(", ") : data.placeholder || "Choose …");
  summary.setAttribute("aria-label", `${data.placeholder || "Choose"}: ${chosen.join(", ") || "nothing"}`);
  const node = element("details", "choice boxes", summary, element("div", "ticks", ...ticks, none, done));
  node.addEventListener("toggle", () => node.open && node.scrollIntoView({ block: "nearest" }));
  return node;
}

function component(data, message, page) {
  const inside = () => (data.components || []).map((inner) => component(inner, message, page));
  switch (data.type) {
    case 1: return element("div", "row", ...inside());
    case 2: return button(data, message, page);
    case 9: return element("div", "section", element("div", "", ...inside()), component(data.accessory, message, page));
    case 10: return element("div", "prose", blocks(data.content, page.names));
    case 11: return image(data.media, "thumbnail", data.description);
    case 12: return element("div", "gallery", ...data.items.map((item) => image(item.media, "picture", item.description)));
    case 13: return link(data.file.url, data.file.name || "file");
    case 14: return element("hr", data.divider === false ? "space" : "");
    case 17: {
      const node = element("div", "embed container", ...inside());
      if (data.accent_color != null) node.style.setProperty("--edge", hex(data.accent_color));
      return node;
    }
    default: return select(data, message, page);
  }
}

function reactions(message, page) {
  const row = element("div", "reactions");
  for (const { emoji, users } of message.reactions) {
    const chip = element("button", users.includes(page.as) ? "reaction mine" : "reaction", emoji, element("span", "", String(users.length)));
    chip.type = "button";
    chip.title = users.map((id) => page.names.person(id)).join(", ");
    chip.setAttribute("aria-label", `${emoji}${users.length} by ${chip.title}`);
    chip.addEventListener("click", () => page.act("react", { channel: message.channel_id, message: message.id, emoji }));
    row.append(chip);
  }
  return row;
}

function menu(message, page) {
  if (message.visible_to || message.loading) return null;
  const list = element("div", "menu-list");
  for (const name of page.menuCommands()) {
    const item = element("button", "", name);
    item.type = "button";
    item.addEventListener("click", () => {
      node.open = false;
      page.act("menu", { channel: message.channel_id, message: message.id, name });
    });
    list.append(item);
  }
  if (!list.children.length) return null;
  const summary = element("summary", "", "Apps");
  summary.title = "What apps can do with this message";
  const node = element("details", "menu", summary, list);
  return node;
}

function context(message, page) {
  if (message.reply) {
    const { author, excerpt } = message.reply;
    const who = author ? element("b", "", page.names.person(author)) : "a message that was deleted";
    return element("p", "context", "↪ ", who, author ? ": " + excerpt : "");
  }
  if (message.used) return element("p", "context", "↪ ", element("b", "", page.names.person(message.used.by)), ` used ${message.used.name}`);
  return null;
}

export function render(message, page, follows) {
  const person = page.person(message.author);
  const when = new Date(message.timestamp);
  const time = element("time", "", when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = message.timestamp;
  const body = element("div", "body");
  if (!follows) {
    const name = element("span", "author", person.name);
    name.style.setProperty("--of", person.colour);
    body.append(element("p", "by", name, person.bot ? element("span", "tag", "app") : null, time));
  }
  if (message.loading) body.append(element("p", "thinking", `${person.name} is thinking`, element("span", "dots", "…")));
  if (message.content) body.append(element("div", "prose", blocks(message.content, page.names)));
  if (message.edited && message.content) (body.lastChild.lastElementChild ?? body.lastChild).append(element("span", "edited", " (edited)"));
  body.append(...message.attachments.map(attachment));
  body.append(...message.embeds.map((data) => embed(data, page)));
  body.append(...message.components.map((data) => component(data, message, page)));
  if (message.reactions.length) body.append(reactions(message, page));
  if (message.visible_to) body.append(element("p", "only", "Only you can see this"));
  const node = element("article", "message", context(message, page), follows ? element("span", "gutter") : avatar(person), body, menu(message, page));
  node.id = "m" + message.id;
  if (person.bot && !message.visible_to) node.dataset.bot = "yes";
  if (follows) node.classList.add("follows");
  if (message.visible_to) node.classList.add("ephemeral");
  return node;
}
