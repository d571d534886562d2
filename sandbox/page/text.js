// Discord's markdown as DOM nodes. Text never becomes HTML, so a message cannot bring markup of its own.

const INLINE = new RegExp(
  [
    /`([^`]+)`/, // 1 code
    /\*\*\*(.+?)\*\*\*/, // 2 bold italic
    /\*\*(.+?)\*\*/, // 3 bold
    /__(.+?)__/, // 4 underlined
    /\*(\S(?:.*?\S)?)\*/, // 5 italic
    /\b_(.+?)_\b/, // 6 italic
    /~~(.+?)~~/, // 7 struck
    /\[([^\]]+)\]\(<?(https?:\/\/[^\s)>]+)>?\)/, // 8, 9 link
    /<(@[!&]?|#)(\d+)>/, // 10, 11 mention
    /<t:(-?\d+)(?::([tTdDfFR]))?>/, // 12, 13 moment
    /<\/([^:>]+):\d+>/, // 14 command
    /(https?:\/\/[^\s<>)]+)/, // 15 address
  ]
    .map((part) => part.source)
    .join("|"),
  "s",
);

export function element(name, className, ...children) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export function link(url, ...children) {
  const node = element("a", "", ...children);
  node.href = url;
  node.target = "_blank";
  node.rel = "noopener noreferrer";
  return node;
}

function moment(seconds, style) {
  const date = new Date(Number(seconds) * 1000);
  const node = element("time", "moment");
  node.dateTime = date.toISOString();
  if (style === "R") {
    const minutes = Math.round((date - Date.now()) / 60000);
    const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
    const hours = Math.round(minutes / 60);
    if (Math.abs(minutes) < 60) node.textContent = words.format(minutes, "minute");
    else if (Math.abs(hours) < 36) node.textContent = words.format(hours, "hour");
    else node.textContent = words.format(Math.round(hours / 24), "day");
  } else if (style === "t" || style === "T") {
    node.textContent = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  } else {
    node.textContent = date.toLocaleString([], { dateStyle: "medium", timeStyle: style === "d" ? undefined : "short" });
  }
  return node;
}

function mention(kind, id, names) {
  const name = kind === "#" ? names.channel(id) : kind === "@&" ? names.role(id) : names.person(id);
  return element("span", "mention", (kind === "#" ? "#" : "@") + name);
}

export function inline(text, names) {
  const out = document.createDocumentFragment();
  let rest = text;
  while (rest) {
    const found = INLINE.exec(rest);
    if (!found) break;
    out.append(rest.slice(0, found.index));
    const [, code, both, bold, under, italic1, italic2, struck, label, url, kind, id, at, style, command, bare] = found;
    if (code) out.append(element("code", "", code));
    else if (both) out.append(element("strong", "", element("em", "", inline(both, names))));
    else if (bold) out.append(element("strong", "", inline(bold, names)));
    else if (under) out.append(element("u", "", inline(under, names)));
    else if (italic1 || italic2) out.append(element("em", "", inline(italic1 || italic2, names)));
    else if (struck) out.append(element("s", "", inline(struck, names)));
    else if (url) out.append(link(url, inline(label, names)));
    else if (id) out.append(mention(kind, id, names));
    else if (at) out.append(moment(at, style));
    else if (command) out.append(element("span", "mention", "/" + command));
    else if (bare) out.append(link(bare, bare));
    rest = rest.slice(found.index + found[0].length);
  }
  out.append(rest);
  return out;
}

// Blocks: fences, headings, small print, quotes, lists; other lines keep their breaks.
export function blocks(text, names) {
  const out = document.createDocumentFragment();
  for (const [index, part] of text.split(/```(?:\w*\n)?/).entries()) {
    if (index % 2) out.append(element("pre", "", element("code", "", part.replace(/\n$/, ""))));
    else lines(part.replace(/^\n|\n$/g, ""), names, out);
  }
  return out;
}

function lines(text, names, out) {
  if (!text) return;
  let open = null;
  const block = (name, className) => {
    if (!open || open.localName !== name || open.className !== className) {
      open = element(name, className);
      out.append(open);
      return true;
    }
    return false;
  };
  for (const line of text.split("\n")) {
    const [, heading, small, quote, bullet, plain] =
      /^(#{1,3})\s+.*|^(-#)\s+.*|^(>)\s?.*|^(\s*[-*])\s+.*|^(.*)$/.exec(line) || [];
    if (heading) {
      out.append(element("h" + (heading.length + 3), "", inline(line.slice(heading.length + 1), names)));
      open = null;
    } else if (small) {
      out.append(element("p", "small", inline(line.slice(3), names)));
      open = null;
    } else if (quote) {
      if (!block("blockquote", "")) open.append(element("br"));
      open.append(inline(line.replace(/^>\s?/, ""), names));
    } else if (bullet) {
      block("ul", "");
      open.append(element("li", "", inline(line.trimStart().slice(2), names)));
    } else {
      if (!block("p", "")) open.append(element("br"));
      open.append(inline(plain ?? line, names));
    }
  }
}
