/**
 * Colours of log lines: SGR sequences become spans, every other control sequence is dropped.
 * A container's output is foreign text; it may colour itself and nothing else (no cursor moves, titles, clipboard, links).
 */
export interface Span {
  text: string;
  /** Class names such as `fg-1 bold`, or "" for plain text. */
  style: string;
}

interface Pen {
  fg: string;
  bg: string;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  inverse: boolean;
}

const plain = (): Pen => ({ fg: "", bg: "", bold: false, dim: false, italic: false, underline: false, inverse: false });

function classes(pen: Pen): string {
  const [fg, bg] = pen.inverse ? [pen.bg || "inv", pen.fg || "inv"] : [pen.fg, pen.bg];
  const out: string[] = [];
  if (fg) out.push(`fg-${fg}`);
  if (bg) out.push(`bg-${bg}`);
  if (pen.bold) out.push("bold");
  if (pen.dim) out.push("dim");
  if (pen.italic) out.push("italic");
  if (pen.underline) out.push("underline");
  return out.join(" ");
}

/** The nearest of the 16 base colours for a 256-colour index: themes stay readable in light and dark. */
function nearest256(index: number): string {
  if (index < 16) return String(index);
  if (index >= 232) return index < 238 ? "8" : index < 250 ? "7" : "15";
  const value = index - 16;
  return nearestRgb(Math.floor(value / 36) * 51, (Math.floor(value / 6) % 6) * 51, (value % 6) * 51);
}

function nearestRgb(r: number, g: number, b: number): string {
  const peak = Math.max(r, g, b);
  if (peak < 48) return "8";
  const bit = (channel: number) => (channel > peak / 2 ? 1 : 0);
  const base = bit(r) | (bit(g) << 1) | (bit(b) << 2);
  return String(base + (peak > 190 ? 8 : 0));
}

/** Reads `38;5;n` and `38;2;r;g;b` (also with colons); returns the colour and how many parameters it used. */
function extended(params: number[], at: number): [string, number] {
  if (params[at + 1] === 5) return [nearest256(clamp(params[at + 2])), 2];
  if (params[at + 1] === 2) return [nearestRgb(clamp(params[at + 2]), clamp(params[at + 3]), clamp(params[at + 4])), 4];
  return ["", 0];
}

const clamp = (value: number | undefined) => Math.min(255, Math.max(0, value ?? 0));

function apply(pen: Pen, text: string): Pen {
  const params = text === "" ? [0] : text.split(/[;:]/).map((part) => Number(part) || 0);
  let next = { ...pen };
  for (let i = 0; i < params.length; i += 1) {
    const code = params[i] ?? 0;
    if (code === 0) next = plain();
    else if (code === 1) next.bold = true;
    else if (code === 2) next.dim = true;
    else if (code === 3) next.italic = true;
    else if (code === 4) next.underline = true;
    else if (code === 7) next.inverse = true;
    else if (code === 22) next.bold = next.dim = false;
    else if (code === 23) next.italic = false;
    else if (code === 24) next.underline = false;
    else if (code === 27) next.inverse = false;
    else if (code >= 30 && code <= 37) next.fg = String(code - 30);
    else if (code === 39) next.fg = "";
    else if (code >= 40 && code <= 47) next.bg = String(code - 40);
    else if (code === 49) next.bg = "";
    else if (code >= 90 && code <= 97) next.fg = String(code - 90 + 8);
    else if (code >= 100 && code <= 107) next.bg = String(code - 100 + 8);
    else if (code === 38 || code === 48) {
      const [colour, used] = extended(params, i);
      if (code === 38) next.fg = colour;
      else next.bg = colour;
      i += used;
    }
  }
  return next;
}

/* CSI … final | OSC/DCS/SOS/PM/APC … ST or BEL (or the end of the line) | other ESC | C1 | C0 except tab. */
const CONTROL =
  // oxlint-disable-next-line no-control-regex -- control characters are the subject
  /(?:\x1b\[|\x9b)([0-?]*)[ -/]*([@-~])?|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x9c|\x1b\\|$)?|\x1b[ -/]*[0-~]?|[\x00-\x08\x0a-\x1f\x7f-\x9f]/g;

/** One line as spans. State does not run over from line to line: lines of several containers are mixed. */
export function parseAnsi(line: string): Span[] {
  const spans: Span[] = [];
  let pen = plain();
  let from = 0;
  const push = (text: string) => {
    if (text === "") return;
    const style = classes(pen);
    const last = spans.at(-1);
    if (last && last.style === style) last.text += text;
    else spans.push({ text, style });
  };
  for (const match of line.matchAll(CONTROL)) {
    push(line.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[2] === "m" && /^[0-9;:]*$/.test(match[1] ?? "")) pen = apply(pen, match[1] ?? "");
  }
  push(line.slice(from));
  return spans;
}

/** The text without any control character, for search and copy. */
export function stripAnsi(line: string): string {
  return line.replace(CONTROL, "");
}
