// What this browser keeps for one rater of one study. Where it can keep nothing (full, or switched off), the page does as
// long as it is open.

export class Store {
  constructor(prefix) {
    this.prefix = `${prefix}:`;
    this.memory = new Map();
  }

  get(name) {
    const raw = this.memory.get(name) ?? this.#read(name);
    try {
      return raw === null ? null : JSON.parse(raw);
    } catch {
      return null; // written by something else
    }
  }

  #read(name) {
    try {
      return localStorage.getItem(this.prefix + name);
    } catch {
      return null;
    }
  }

  set(name, value) {
    const raw = JSON.stringify(value);
    try {
      localStorage.setItem(this.prefix + name, raw);
      this.memory.delete(name);
    } catch {
      this.memory.set(name, raw);
    }
  }

  remove(name) {
    this.memory.delete(name);
    try {
      localStorage.removeItem(this.prefix + name);
    } catch {
      // nothing was kept
    }
  }

  names(start) {
    const found = new Set([...this.memory.keys()].filter((name) => name.startsWith(start)));
    try {
      for (let n = 0; n < localStorage.length; n++) {
        const name = localStorage.key(n);
        if (name.startsWith(this.prefix + start)) found.add(name.slice(this.prefix.length));
      }
    } catch {
      // nothing was kept
    }
    return [...found];
  }

  // Whether something would be lost with the page.
  get fragile() {
    return this.memory.size > 0;
  }
}

// crypto.randomUUID is missing on plain http.
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
