// Talking to the server. Every call comes back as {kind, data, error}; none throws.
// Kinds: ok, offline (no answer), trouble (an error of the server's), signed-out, not-ready, not-allowed (another role by now), unknown, conflict, refused.

const PATIENCE = 30_000;

// Signing in again, in another tab, changes the token: it is read anew each time.
const token = () => document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";

export class Server {
  constructor(urls, rater, heard) {
    this.urls = urls;
    this.rater = rater;
    this.heard = heard; // told of every outcome
  }

  post(name, body, options = {}) {
    return this.#call(this.urls[name], { method: "POST", body: JSON.stringify(body), ...options });
  }

  get(name, key = "") {
    return this.#call(this.urls[name].replace("KEY", key), {});
  }

  async #call(url, options) {
    let outcome;
    try {
      const headers = { "X-CSRFToken": token(), "X-Arbiter-Rater": this.rater, "Content-Type": "application/json" };
      const signal = AbortSignal.timeout(PATIENCE);
      outcome = await understood(await fetch(url, { headers, signal, credentials: "same-origin", ...options }));
    } catch {
      outcome = { kind: "offline", error: "The server can't be reached." };
    }
    this.heard(outcome);
    return outcome;
  }
}

async function understood(answer) {
  const data = answer.headers.get("Content-Type")?.startsWith("application/json") ? await answer.json() : null;
  if (answer.ok && data && !answer.redirected) return { kind: "ok", data };
  return { kind: kindOf(answer, data), data, error: data?.error ?? "The server met an error." };
}

function kindOf({ status }, data) {
  if (status === 401 || (!data && (status === 403 || status < 400))) return "signed-out"; // without JSON: a token or a page of signing in
  if (status === 403) return data.kind ?? "not-ready";
  if (status === 404) return "unknown";
  if (status === 409) return "conflict";
  if (status === 422) return "refused";
  return status >= 500 || status === 429 || status === 408 ? "trouble" : "refused";
}
