// The list comes in days of UTC; here it is put into the reader's own days.
const format = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });

const root = document.getElementById("days");
if (root && new Date().getTimezoneOffset() !== 0) {
  const days = new Map();
  for (const item of root.querySelectorAll(".sessions > li")) {
    const name = format.format(new Date(item.querySelector("time").dateTime));
    days.set(name, [...(days.get(name) ?? []), item]);
  }
  const like = root.querySelector(".day");
  root.replaceChildren(...[...days].map(([name, items], number) => {
    const day = like.cloneNode(true);
    const heading = day.querySelector("h2");
    heading.textContent = name;
    heading.lang = format.resolvedOptions().locale;
    heading.id = `local-day-${number}`;
    day.setAttribute("aria-labelledby", heading.id);
    day.querySelector(".sessions").replaceChildren(...items);
    return day;
  }));
} else if (root) {
  for (const heading of root.querySelectorAll("h2")) {
    heading.textContent = format.format(new Date(heading.id.slice(4)));
    heading.lang = format.resolvedOptions().locale;
  }
}
