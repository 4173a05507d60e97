/** A Markdown table. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const line = (cells: readonly (string | number)[]) =>
    `| ${cells.map((cell) => String(cell).replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** `text` as it stands, not as markup. */
export function plain(text: string): string {
  return text.replaceAll(/[*<]/g, "\\$&");
}

/** `text` set as code. */
export function code(text: string): string {
  return `\`${text}\``;
}
