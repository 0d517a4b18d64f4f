/** Connects the tabs of one rater: what is answered in one goes from the other. */

export class Tabs {
  /**
   * @param {string} name
   * @param {(key: string) => void} answered
   */
  constructor(name, answered) {
    // Without a channel the server still tells which answer was first.
    this.channel = globalThis.BroadcastChannel ? new BroadcastChannel(name) : null;
    this.channel?.addEventListener(
      "message",
      ({ data }) => data?.answered && answered(String(data.answered)),
    );
  }

  /**
   * Tells the other tabs that an item was answered here.
   * @param {string} key
   */
  answered(key) {
    this.channel?.postMessage({ answered: key });
  }
}
