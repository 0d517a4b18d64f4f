/**
 * Keeps the guidelines as they are now. Each answer of the server names their version, which is stored with
 * what is labelled; so where it is another than this page's, the page fetches it and says so.
 */

import { showGuidelines } from "./dialogs.js";
import { notice, unnotice } from "./notices.js";

/** @import { Desk } from "./desk.js" */
/** @import { Outcome, Server } from "./server.js" */

export class Guidelines {
  /**
   * @param {Desk} desk
   * @param {Server} server
   */
  constructor(desk, server) {
    this.now = desk.guidelines;
    this.server = server;
    this.asking = false;
  }

  /**
   * Hears every outcome of a call to the server.
   * @param {Outcome<object>} outcome
   */
  async heard({ kind, data }) {
    if (kind !== "ok" || !("guidelines_version" in data) || this.asking) return;
    if (data.guidelines_version === (this.now?.version ?? null)) return;
    this.asking = true;
    const answer = await this.server.get("guidelines");
    this.asking = false;
    if (answer.kind !== "ok") return; // the next answer says it again
    this.now = answer.data.guidelines;
    notice("guidelines", "The study's guidelines have changed.", [
      ["Read them", () => this.show()],
      ["Later", () => unnotice("guidelines")],
    ]);
  }

  /** Opens the guidelines. */
  show() {
    unnotice("guidelines");
    showGuidelines(this.now);
  }
}
