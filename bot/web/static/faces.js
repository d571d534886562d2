// The faces, drawn here so that no font decides how they look. Fill and lines come from the tone's class.
import { svg } from "./svg.js";

const EYES = { open: "M23 26v4M41 26v4", arcs: "M19 29q4-5 8 0M37 29q4-5 8 0", closed: "M19 28q4 4 8 0M37 28q4 4 8 0", squint: "M19 26l8 3-8 3M45 26l-8 3 8 3" };
const FACES = {
  "e-angry": [EYES.open, "M17 20l11 5M47 20l-11 5", "M23 45q9-8 18 0"],
  "e-happy": [EYES.arcs, "M20 38q12 14 24 0"],
  "e-neutral": [EYES.open, "M22 42h20"],
  "e-disgust": [EYES.squint, "M20 43q4-5 8 0t8 0 8 0"],
  "e-sad": [EYES.closed, "M18 21q5-4 9-2M46 21q-5-4-9-2", "M23 46q9-8 18 0", "M46 33q4 6 0 8-4-2 0-8"],
  "e-unclear": ["M25 26q0-8 7-8t7 7q0 5-7 8v4M32 45v1"],
  "e-other": [EYES.open, "M24 42q8 4 16 0"],
};

export function face(css) {
  const strokes = FACES[css] ?? FACES["e-other"];
  return svg("svg", { class: `face ${css}`, viewBox: "0 0 64 64", "aria-hidden": "true" },
    svg("circle", { cx: 32, cy: 32, r: 29 }), ...strokes.map((d) => svg("path", { d })));
}

// Before anything was heard.
export function waiting() {
  return svg("svg", { class: "face waiting", viewBox: "0 0 64 64", "aria-hidden": "true" },
    svg("circle", { cx: 32, cy: 32, r: 29 }), ...[20, 32, 44].map((cx) => svg("circle", { class: "dot", cx, cy: 32, r: 2.5 })));
}
