// Writing as one of the people: messages, files, and slash commands with a list of what there is.

import { element } from "./text.js";

const entry = document.getElementById("entry");
const file = document.getElementById("file");
const list = document.getElementById("suggestions");

export function startComposer(page) {
  const form = document.getElementById("composer");

  function suggest() {
    const typed = entry.value;
    const matching = typed.startsWith("/")
      ? page.commands.filter((c) => c.kind === "slash" && ("/" + c.name).startsWith(typed.trimEnd()))
      : [];
    list.hidden = matching.length === 0;
    entry.setAttribute("aria-expanded", String(!list.hidden));
    list.replaceChildren(
      ...matching.map((command) => {
        const options = command.options.map((o) => (o.required ? o.name : `[${o.name}]`)).join(" ");
        const button = element("button", "", element("b", "", "/" + command.name), " ", element("i", "", options), element("span", "quiet", command.description));
        button.type = "button";
        button.addEventListener("click", () => choose(command));
        const item = element("li", "", button);
        item.setAttribute("role", "option");
        return item;
      }),
    );
  }

  function choose(command) {
    const typed = command.options.filter((o) => o.required && o.type !== 11).map((o) => `${o.name}:`);
    entry.value = ["/" + command.name, ...typed].join(" ");
    list.hidden = true;
    entry.focus();
  }

  function hint() {
    const channel = page.channel(page.open);
    const place = channel?.kind === "dm" ? page.names.person(page.bot) : channel ? "#" + channel.name : "";
    entry.placeholder = file.files.length ? `With ${file.files[0].name}` : `Write to ${place}; / for commands`;
  }

  entry.addEventListener("input", suggest);
  entry.addEventListener("keydown", (event) => {
    if (event.key === "Escape") list.hidden = true;
    if (event.key === "ArrowUp" || event.key === "Tab") {
      const first = !list.hidden && list.querySelector(event.key === "Tab" ? "button" : "li:last-child button");
      if (first) {
        event.preventDefault();
        if (event.key === "Tab") first.click();
        else first.focus();
      }
    }
  });
  const recordings = document.getElementById("recordings");
  recordings.addEventListener("click", (event) => {
    if (!event.target.value) return;
    recordings.open = false;
    page.act("recording", { channel: page.open, name: event.target.value });
  });
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  file.addEventListener("change", () => {
    document.querySelector(".clip").classList.toggle("has-file", file.files.length > 0);
    hint();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = entry.value.trim();
    const chosen = file.files[0];
    if (!text && !chosen) return;
    list.hidden = true;
    const sent = page.act("say", { channel: page.open, text }, chosen);
    entry.value = "";
    file.value = "";
    file.dispatchEvent(new Event("change"));
    if (!(await sent) && !entry.value) entry.value = text;
  });
  return { hint };
}

// A form that the bot opened: its text fields, sent back with the interaction that opened it.
export function openForm(answer, page) {
  const dialog = document.getElementById("form");
  const title = element("h2", "", answer.form.title);
  title.id = "form-title";
  const fields = answer.form.components
    .flatMap((part) => part.components || [{ label: part.label, ...part.component }])
    .filter((field) => field?.type === 4)
    .map((field) => {
      const input = element(field.style === 2 ? "textarea" : "input");
      input.name = field.custom_id;
      input.value = field.value || "";
      input.placeholder = field.placeholder || "";
      input.required = field.required !== false;
      if (field.max_length) input.maxLength = field.max_length;
      return element("label", "", field.label || "", input);
    });
  const send = element("button", "button style-1", "Send");
  const cancel = element("button", "button style-2", "Cancel");
  cancel.type = "button";
  cancel.addEventListener("click", () => dialog.close());
  const form = element("form", "", title, ...fields, element("div", "row", send, cancel));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    dialog.close();
    page.act("submit", { interaction: answer.interaction, fields: Object.fromEntries(new FormData(form)) });
  });
  dialog.replaceChildren(form);
  dialog.showModal();
}
