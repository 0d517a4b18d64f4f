/**
 * Names what the server tells the raters' page: types alone, for whoever reads or checks the other modules.
 */

/** @typedef {{ start: number, end: number }} Span from the first character to before the last */
/** @typedef {"target" | "other" | "excluded"} Role */
/**
 * @typedef {object} Label
 * @property {string} key
 * @property {string} title
 * @property {string} definition
 * @property {string} example
 * @property {Role} role
 * @property {number} position
 */
/**
 * @typedef {object} Scheme
 * @property {string} title
 * @property {string} question
 * @property {boolean} evidence_for_target
 * @property {Label[]} labels
 */
/** @typedef {Scheme & { name: string }} Question one beside the study's own scheme */
/**
 * @typedef {object} Fields what a rater fills in for an item
 * @property {string} label
 * @property {number | null} confidence
 * @property {string} note
 * @property {Record<string, string>} answers label by question
 * @property {boolean} flagged
 * @property {Span[]} evidence counted in characters
 */
/** @typedef {Partial<Fields> & { at?: number }} Draft what the server holds of it, and since when */
/** @typedef {{ name: string, system_prompt: string, prompt_suffix: string }} Condition */
/**
 * @typedef {object} Item an item as it was served to this rater, and what this page keeps with it
 * @property {string} key
 * @property {number} base the revision that a label would follow
 * @property {Draft | null} draft
 * @property {Draft} [answer] the rater's own label, where it is open to be changed
 * @property {string} question
 * @property {string} category
 * @property {string} language
 * @property {string} task
 * @property {string} response
 * @property {string} [reasoning]
 * @property {Condition} [condition]
 * @property {unknown} [transcript]
 * @property {boolean} [begun] whether anything has been filled in
 * @property {boolean} [lost] whether its place has gone to another rater
 * @property {boolean} [elsewhere] whether it was labelled in another window
 * @property {boolean} [earlier] whether it was opened from the rater's own labels
 * @property {string} [formatted] the response as the server's sanitised HTML
 */
/** @typedef {{ done: number, left: number }} Progress */
/**
 * @typedef {object} More
 * @property {Item[]} items
 * @property {string[]} held keys of all items that the rater holds
 * @property {Progress} progress
 * @property {boolean} paused
 * @property {number | null} guidelines_version
 */
/** @typedef {{ key: string, submission: string, revision: number, surplus: boolean }} Saved */
/** @typedef {{ version: number, html: string }} GuidelinesText */
/** @typedef {{ keys?: Record<string, string>, single_keys?: boolean, auto_advance?: boolean }} Preferences */
/** @typedef {{ today: number, last_hour: number }} Pace */
/**
 * @typedef {object} Replies what the server answers, by what is asked
 * @property {More} next
 * @property {More & { saved: Saved }} submit
 * @property {More & { skipped: string }} skip
 * @property {{ kept: string }} draft
 * @property {{ lost: string[] }} keep
 * @property {{ item: Item }} last
 * @property {{ item: Item }} answered
 * @property {{ preferences: Preferences }} preferences
 * @property {{ guidelines: GuidelinesText | null }} guidelines
 * @property {{ html: string }} formatted
 */
/** @typedef {Record<keyof Replies | "mine", string>} Urls */
/**
 * @typedef {object} Start
 * @property {{ title: string, slug: string }} study
 * @property {string} rater
 * @property {Scheme} scheme
 * @property {Question[]} questions
 * @property {Urls} urls
 * @property {number} ahead how many items the page holds
 * @property {("reasoning" | "condition" | "transcript")[]} show what is shown beside a response
 * @property {Preferences} preferences
 * @property {GuidelinesText | null} guidelines
 * @property {number | null} break_after minutes
 * @property {Pace} pace
 */
/** @typedef {Start & More} Desk what the page is made from */

export {};
