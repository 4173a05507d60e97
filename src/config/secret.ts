/**
 * A text that must not be shown. It leaves no trace where values are recorded or printed: JSON leaves it out, a
 * string made of it says nothing.
 */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** The text itself, for whoever it is meant for. */
  reveal(): string {
    return this.#text;
  }

  toJSON(): undefined {
    return undefined;
  }

  toString(): string {
    return "(secret)";
  }
}
