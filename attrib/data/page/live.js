/* The question box of a live page: asks the server, shows how far it is, and opens the answer's page. */

import { button, make, visible } from "./dom.js";

/** Stages of an answer in plain words, in order: how a report of the server names them, and what is shown. */
const STAGES = [
  [/(^|\s)answers$/, "writing both models' answers"],
  [/^captures/, "reading the answer"],
  [/, (base|tuned)$|^divergence/, "weighing the words of the question"],
  [/section|text|passage|hidden|gradient/, "reading the sections"],
  [/prompts$|reads answers/, "judging each word"],
  [/^keeping/, "saving"],
];

/** Fill an empty form with the box; `live.ask`: where jobs are asked for, `live.examples`: questions, one a line. */
export function mountQuestionBox(form, live) {
  const field = make("textarea", {
    id: "ask-text",
    rows: "1",
    required: true,
    "aria-label": "Ask another question",
    placeholder: "Ask the tuned model another question",
  });
  const send = make("button", { type: "submit" }, "Ask");
  const stop = button("Cancel", { hidden: true }, cancel);
  const line = make("p", { class: "note", role: "status" });
  const bar = make("progress", { hidden: true, max: "1", "aria-label": "Progress" });
  const examples = (live.examples ?? "").split("\n").filter(Boolean);
  const offered = make(
    "p",
    { class: "examples", hidden: !examples.length },
    make("span", { class: "note" }, "Try: "),
    ...examples.map((question) =>
      button(visible(question), { class: "inline", dir: "auto" }, () => {
        field.value = question;
        form.requestSubmit();
      }),
    ),
  );
  form.append(field, send, stop, bar, line, offered);
  form.hidden = false;
  let job = null;
  let stopping = false; // the job was cancelled before the server had named it

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!job && field.value.trim()) ask(field.value);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });

  async function ask(question) {
    busy(true, "sending …");
    try {
      const reply = await fetch(live.ask, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ question, answer: null }),
      });
      const said = await reply.json().catch(() => ({}));
      if (!reply.ok || said.error) return busy(false, said.error ?? `the server answered ${reply.status}`);
      return follow(said.id, said.position);
    } catch {
      return busy(false, "the server cannot be reached; is it still running?");
    }
  }

  function follow(id, position) {
    const source = new EventSource(`${live.ask}/${encodeURIComponent(id)}/events`);
    job = { id, source };
    const on = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data)));
    let lost = null;
    const close = () => {
      clearTimeout(lost);
      source.close();
    };
    const end = (text) => {
      close();
      busy(false, text);
    };
    const queued = (before) => say(before > 0 ? `waiting: ${before} before you` : "starting …");
    if (stopping) cancel();
    else queued(position);
    on("queued", (event) => queued(event.position));
    on("progress", (event) => {
      // One bar for all of it, which never goes back.
      const stage = STAGES.findIndex(([named]) => named.test(event.what));
      say(stage < 0 ? event.what : `${STAGES[stage][1]} …`);
      bar.hidden = false;
      const share = event.total ? event.done / event.total : 0;
      if (stage >= 0) bar.value = Math.max(bar.value, (stage + share) / STAGES.length);
    });
    on("done", (event) => {
      close();
      location.assign(event.url);
    });
    on("failed", (event) => end(event.error));
    on("cancelled", () => end("cancelled"));
    // The browser connects again by itself, and the server waits some seconds for it before it gives the question up.
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) return end("the connection to the server was lost");
      say("the connection to the server was lost; trying again …");
      lost ??= setTimeout(() => {
        lost = null;
        if (source.readyState !== EventSource.OPEN) end("the connection to the server was lost; is it still running?");
      }, 10_000);
    };
  }

  function cancel() {
    stopping = !job;
    if (!job) return say("cancelling …");
    fetch(`${live.ask}/${encodeURIComponent(job.id)}`, { method: "DELETE" }).catch(() =>
      say("the server cannot be reached"),
    );
  }

  function busy(on, text) {
    if (!on) job = null;
    stopping = false;
    send.disabled = on;
    stop.hidden = !on;
    bar.hidden = true;
    bar.value = 0;
    offered.hidden = on || !examples.length;
    say(text);
  }

  function say(text) {
    line.textContent = visible(text);
  }
}
