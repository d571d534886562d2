// One recording to one answer, by the same POST /predict that anybody may use.
const UNHEARD = 422;

// Returns {emotion, confidence, unclear, reason, quiet, probabilities}. Throws an Error whose message is for the person.
export async function analyse(blob) {
  const form = new FormData();
  form.append("file", blob, blob.type.includes("mp4") ? "recording.m4a" : blob.type.includes("ogg") ? "recording.ogg" : "recording.webm");
  let response;
  try {
    response = await fetch("/predict", { method: "POST", body: form, credentials: "same-origin" });
  } catch {
    throw new Error("The server does not answer.");
  }
  const body = await response.json();
  if (response.status === UNHEARD) return { emotion: null, confidence: 0, unclear: true, reason: "no_speech", quiet: true, probabilities: {} };
  if (!response.ok) throw new Error(body.error ?? "The server could not analyse that.");
  const own = response.headers.get("Undertone-Prediction"); // the model's own labels, neutral and unclear included
  return { ...(own ? JSON.parse(own) : { ...body, unclear: false, reason: null }), quiet: false };
}
