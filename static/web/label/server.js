/** Talks to the server. Every call comes back as an outcome; none throws. */

/** @import { Replies, Urls } from "./desk.js" */

/** @typedef {"offline" | "trouble"} Silent no answer; an error of the server's */
/** @typedef {"signed-out" | "other-person" | "not-ready" | "not-allowed"} Barred not as who one is now */
/** @typedef {"unknown" | "conflict" | "refused"} NotTaken no such item; labelled elsewhere; not as it is */
/** @typedef {Silent | Barred | NotTaken} Failure */
/** @typedef {{ kind?: Failure, error?: string, revision?: number }} Refusal what the server says of it */
/** @typedef {{ kind: Failure, data?: Refusal | null, error: string }} Failed */
/**
 * @template Data
 * @typedef {{ kind: "ok", data: Data, error?: undefined } | Failed} Outcome
 */

const PATIENCE = 30_000; // milliseconds

/** Reads the token anew each time, as signing in again, in another tab, changes it. */
function token() {
  const field = document.querySelector("[name=csrfmiddlewaretoken]");
  const inPage = field instanceof HTMLInputElement ? field.value : "";
  return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? inPage;
}

export class Server {
  /**
   * @param {Urls} urls
   * @param {string} rater
   * @param {(outcome: Outcome<object>) => void} heard told of every outcome
   */
  constructor(urls, rater, heard) {
    this.urls = urls;
    this.rater = rater;
    this.heard = heard;
  }

  /**
   * Sends something.
   * @template {keyof Replies} Name
   * @param {Name} name
   * @param {object} body
   * @param {RequestInit} options
   * @returns {Promise<Outcome<Replies[Name]>>}
   */
  post(name, body, options = {}) {
    return this.#call(this.urls[name], { method: "POST", body: JSON.stringify(body), ...options });
  }

  /**
   * Asks for something, of one item where a key is given.
   * @template {keyof Replies} Name
   * @param {Name} name
   * @param {string} key
   * @returns {Promise<Outcome<Replies[Name]>>}
   */
  get(name, key = "") {
    return this.#call(this.urls[name].replace("KEY", key), {});
  }

  /**
   * @template {object} Data
   * @param {string} url
   * @param {RequestInit} options
   * @returns {Promise<Outcome<Data>>}
   */
  async #call(url, options) {
    /** @type {Outcome<Data>} */
    let outcome;
    try {
      const headers = {
        "X-CSRFToken": token(),
        "X-Arbiter-Rater": this.rater,
        "Content-Type": "application/json",
      };
      const signal = AbortSignal.timeout(PATIENCE);
      outcome = await outcomeOf(
        await fetch(url, { headers, signal, credentials: "same-origin", ...options }),
      );
    } catch {
      outcome = { kind: "offline", error: "The server can't be reached." };
    }
    this.heard(outcome);
    return outcome;
  }
}

/**
 * Reads an answer of the server's.
 * @template Data
 * @param {Response} answer
 * @returns {Promise<Outcome<Data>>}
 */
async function outcomeOf(answer) {
  const isJson = answer.headers.get("Content-Type")?.startsWith("application/json");
  const data = isJson ? await answer.json() : null;
  if (answer.ok && data && !answer.redirected) return { kind: "ok", data };
  return { kind: failureOf(answer.status, data), data, error: data?.error ?? "The server met an error." };
}

/**
 * Names the failure that a status stands for. An answer without JSON is about a token, or a page of signing
 * in.
 * @param {number} status
 * @param {Refusal | null} data
 * @returns {Failure}
 */
function failureOf(status, data) {
  if (status === 401 || (!data && (status === 403 || status < 400))) return "signed-out";
  if (status === 403) return data?.kind ?? "not-ready";
  if (status === 404) return "unknown";
  if (status === 409) return "conflict";
  if (status === 422) return "refused";
  return status >= 500 || status === 429 || status === 408 ? "trouble" : "refused";
}
