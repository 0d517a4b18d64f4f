/**
 * Counts seconds of work on the item that is shown, without pauses, and how long somebody has worked without
 * a break.
 */

const IDLE = 60_000; // a longer pause is not work
const REST = 5 * 60_000; // a pause of this length is a break
const KINDS = ["keydown", "pointermove", "pointerdown", "wheel", "scroll", "touchmove"];

/**
 * Reads how long somebody had worked before this page. Where the browser keeps nothing, a reload counts as a
 * break.
 */
function remembered() {
  try {
    return Number(sessionStorage.getItem("arbiter:worked")) || 0;
  } catch {
    return 0;
  }
}

/** @param {number} worked */
function remember(worked) {
  try {
    sessionStorage.setItem("arbiter:worked", String(Math.round(worked)));
  } catch {
    // nothing is kept
  }
}

export class Clock {
  /**
   * @param {number | null} breakAfter minutes
   * @param {() => void} suggest a break
   */
  constructor(breakAfter, suggest) {
    this.breakAfter = breakAfter ? breakAfter * 60_000 : Infinity;
    this.suggest = suggest;
    this.active = 0;
    this.seen = performance.now();
    this.worked = remembered();
    for (const kind of KINDS) {
      document.addEventListener(kind, () => this.touch(), { passive: true, capture: true });
    }
    addEventListener("pagehide", () => remember(this.worked));
  }

  /** Notes that somebody is at the page. */
  touch() {
    const now = performance.now();
    const since = now - this.seen;
    this.seen = now;
    if (since > REST) this.worked = 0;
    if (since >= IDLE) return;
    this.active += since;
    this.worked += since;
    if (this.worked >= this.breakAfter) {
      this.worked = 0;
      this.suggest();
    }
  }

  /** Begins with an item, which may have been worked on before. */
  begin(seconds = 0) {
    this.touch();
    this.active = seconds * 1000;
  }

  get seconds() {
    this.touch();
    return Math.min(Math.round(this.active / 100) / 10, 86_400);
  }

  /** Returns the milliseconds since somebody was at the page. */
  idleFor() {
    return performance.now() - this.seen;
  }
}
