// A file instead of the microphone: dropped anywhere on the page, or chosen. It goes the same way as anybody's upload.
const UNREADABLE = "The server's answer could not be read. Please try again.";

export class FileDrop {
  constructor({ zone, input, onStart, onAnswer, onProblem }) {
    Object.assign(this, { zone, input, onStart, onAnswer, onProblem });
    input.addEventListener("change", () => input.files[0] && this.send(input.files[0]));
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
    document.addEventListener("dragleave", (event) => event.relatedTarget === null && zone.classList.remove("over"));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      const [file] = event.dataTransfer.files;
      if (file) this.send(file);
    });
  }

  async send(file) {
    this.onStart(file.name);
    const form = new FormData();
    form.append("file", file, file.name);
    let response, body;
    try {
      response = await fetch(new URL("../api/v1/predict", import.meta.url), { method: "POST", body: form, credentials: "same-origin" });
    } catch {
      this.onProblem("The server does not answer. Please try again.", file.name);
      return;
    } finally {
      this.input.value = "";
    }
    try {
      body = await response.json();
      if (response.ok) this.onAnswer(body, file.name);
      else this.onProblem(body.detail ?? UNREADABLE, file.name);
    } catch {
      this.onProblem(UNREADABLE, file.name);
    }
  }
}
