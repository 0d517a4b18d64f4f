// Every answer, and the lack of one, comes back as an outcome that says what to do; none throws.

import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Server } from "#label/server.js";

const URLS = { next: "/label/s/next", answered: "/label/s/answered/KEY" };
const JSON_TYPE = { "Content-Type": "application/json" };
const PAGE_TYPE = { "Content-Type": "text/html" };

let heard;
let asked;

/** Answers the next call so; or throws, where that is an error. */
function answerWith(answer) {
  globalThis.fetch = async (url, options) => {
    asked.push({ url, ...options });
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return new Server(URLS, "R-1", (outcome) => heard.push(outcome));
}

const json = (status, data) => new Response(JSON.stringify(data), { status, headers: JSON_TYPE });
const page = (status) => new Response("<!doctype html>", { status, headers: PAGE_TYPE });
const redirected = (answer) => Object.defineProperty(answer, "redirected", { value: true });

beforeEach(() => {
  heard = [];
  asked = [];
  globalThis.HTMLInputElement = class {};
  globalThis.document = { cookie: "other=1; csrftoken=abc", querySelector: () => null };
});

for (const [name, answer, kind] of [
  ["what was asked for", json(200, { items: [] }), "ok"],
  ["a page of signing in, led there", redirected(page(200)), "signed-out"],
  ["a page that a proxy put in between", page(200), "signed-out"],
  ["JSON from somewhere else, led there", redirected(json(200, {})), "refused"],
  ["signed out", json(401, { kind: "signed-out", error: "You have been signed out." }), "signed-out"],
  ["somebody else", json(401, { kind: "other-person", error: "Somebody else." }), "signed-out"],
  ["a token that has changed", page(403), "signed-out"],
  ["consent to give first", json(403, { kind: "not-ready", error: "Open the page." }), "not-ready"],
  ["another role", json(403, { kind: "not-allowed", error: "Only raters." }), "not-allowed"],
  ["no such item", json(404, { kind: "not-found", error: "No such response." }), "unknown"],
  ["another window's label", json(409, { kind: "conflict", error: "Labelled.", revision: 2 }), "conflict"],
  ["a label that is none", json(422, { kind: "refused", error: "No such label." }), "refused"],
  ["too much", page(413), "refused"],
  ["too many", page(429), "trouble"],
  ["an error", page(500), "trouble"],
  ["a server that starts", page(503), "trouble"],
  ["no network", new TypeError("Failed to fetch"), "offline"],
  ["an answer that was cut off", new Response('{"items": [', { headers: JSON_TYPE }), "offline"],
]) {
  test(`${name}: ${kind}`, async () => {
    const outcome = await answerWith(answer).post("next", {});
    assert.equal(outcome.kind, kind);
    assert.deepEqual(heard, [outcome]);
    assert.equal(typeof outcome.error, kind === "ok" ? "undefined" : "string");
  });
}

test("a conflict comes with the revision to build on, and the server's own sentence", async () => {
  const { data, error } = await answerWith(json(409, { error: "Labelled.", revision: 2 })).post("next", {});
  assert.deepEqual([data.revision, error], [2, "Labelled."]);
});

test("each call says whose page it is, and reads the token anew", async () => {
  const server = answerWith(json(200, {}));
  await server.post("next", { want: 3 });
  globalThis.document = { ...globalThis.document, cookie: "csrftoken=def" };
  await server.get("answered", "k1");
  const [sent, got] = asked;
  assert.deepEqual([sent.url, sent.method, sent.body], ["/label/s/next", "POST", '{"want":3}']);
  assert.deepEqual([sent.headers["X-CSRFToken"], got.headers["X-CSRFToken"]], ["abc", "def"]);
  assert.equal(sent.headers["X-Arbiter-Rater"], "R-1");
  assert.equal(got.url, "/label/s/answered/k1");
});
