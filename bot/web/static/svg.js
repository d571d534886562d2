// Small help for drawing: styles are classes only, as the page's security policy wants it.
const SVG = "http://www.w3.org/2000/svg";

export function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

export function html(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Put new elements in place of those in `root`; focus goes to the one that is `data-of` the same.
export function keepFocus(root, replace) {
  const of = root.contains(document.activeElement) ? document.activeElement.dataset.of : undefined;
  replace();
  if (of !== undefined) [...root.querySelectorAll("[data-of]")].find((element) => element.dataset.of === of)?.focus({ preventScroll: true });
}

// The hatch that says unclear. One on a page is found by the style sheet as #hatch; each picture holds its own.
export function hatch(id) {
  return svg("defs", {}, svg("pattern", { id, width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("rect", { class: "hatch-ground", width: 5, height: 5 }), svg("line", { class: "hatch", x1: 0, y1: 0, x2: 0, y2: 5 })));
}
