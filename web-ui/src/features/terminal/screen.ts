/** xterm.js under this page's content security policy, in this page's colours. */
import { FitAddon } from "@xterm/addon-fit";
import { Terminal, type ITheme } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";
import { cspNonce } from "@/app/csp";

const SCROLLBACK = 5_000;
const FONT_PX = 13;

let allowed = false;
/**
 * xterm.js makes style elements and style attributes. The policy of the page allows the first with its nonce, and the second
 * not at all, but as properties: so both are made that way, from the first terminal on.
 */
function allowStyles(): void {
  if (allowed) return;
  allowed = true;
  const make = document.createElement.bind(document);
  document.createElement = (name: string, options?: ElementCreationOptions) => {
    const made = make(name, options);
    if (made instanceof HTMLStyleElement) made.nonce = cspNonce;
    return made;
  };
  const set = HTMLElement.prototype.setAttribute;
  HTMLElement.prototype.setAttribute = function (key, value) {
    if (key === "style") this.style.cssText = value;
    else set.call(this, key, value);
  };
}

/** The colours of the page, as they are now. The sixteen of a terminal are the page's own where it has them. */
export function colours(): ITheme {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string) => style.getPropertyValue(`--wf-${name}`).trim();
  return {
    background: of("term"), foreground: of("term-ink"), cursor: of("accent"), cursorAccent: of("term"),
    selectionBackground: of("term-pick"), black: of("term-black"), white: of("term-white"), brightBlack: of("faint"), brightWhite: of("ink"),
    red: of("bad"), green: of("ok"), yellow: of("warn"), blue: of("info"), magenta: of("code-mark"), cyan: of("accent-ink"),
    brightRed: of("bad-mark"), brightGreen: of("ok-mark"), brightYellow: of("warn-mark"), brightBlue: of("info-mark"), brightMagenta: of("code-mark"), brightCyan: of("flow-b"),
  };
}

export interface Screen {
  term: Terminal;
  fit: () => void;
  dispose: () => void;
}

/**
 * A terminal in this element; it takes the element's size, and the page's colours when they change. Tab is a key of the program:
 * Shift+Escape is the way out for who has no mouse.
 */
export function screenIn(element: HTMLElement, label: string, leave: () => void): Screen {
  allowStyles();
  const term = new Terminal({
    theme: colours(), scrollback: SCROLLBACK, fontSize: FONT_PX, cursorBlink: true, minimumContrastRatio: 4.5,
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--wf-mono").trim(), lineHeight: 1.2, rightClickSelectsWord: false,
    // Links that programs write are not made to be clicked.
    linkHandler: { activate: () => undefined },
  });
  const fitter = new FitAddon();
  term.loadAddon(fitter);
  term.open(element);
  term.textarea?.setAttribute("aria-label", label);
  // Ctrl+Shift+C copies, as in terminals everywhere; Ctrl+C stays a key for the program.
  term.attachCustomKeyEventHandler((event) => {
    if (event.type === "keydown" && event.shiftKey && event.key === "Escape") {
      event.preventDefault();
      leave();
      return false;
    }
    if (event.type !== "keydown" || !event.ctrlKey || !event.shiftKey || event.code !== "KeyC") return true;
    event.preventDefault();
    if (term.hasSelection()) void navigator.clipboard?.writeText(term.getSelection());
    return false;
  });
  const fit = () => { if (element.clientWidth > 0 && element.clientHeight > 0) fitter.fit(); };
  fit();
  const sizes = new ResizeObserver(fit);
  sizes.observe(element);
  const paint = () => { term.options.theme = colours(); };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", paint);
  const themes = new MutationObserver(paint);
  themes.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  return {
    term, fit,
    dispose: () => {
      sizes.disconnect();
      themes.disconnect();
      dark.removeEventListener("change", paint);
      term.dispose();
    },
  };
}

export interface Player {
  write: (text: string | Uint8Array) => void;
  resize: (columns: number, rows: number) => void;
  reset: (columns: number, rows: number) => void;
  dispose: () => void;
}

/** A screen of this size that only shows. */
export function playerIn(element: HTMLElement, label: string, columns: number, rows: number): Player {
  allowStyles();
  const term = new Terminal({
    theme: colours(), scrollback: SCROLLBACK, fontSize: FONT_PX, minimumContrastRatio: 4.5, disableStdin: true, cols: columns, rows,
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--wf-mono").trim(), lineHeight: 1.2,
    linkHandler: { activate: () => undefined },
  });
  term.open(element);
  term.textarea?.setAttribute("aria-label", label);
  return {
    write: (text) => term.write(text),
    resize: (width, height) => term.resize(width, height),
    reset: (width, height) => { term.reset(); term.resize(width, height); },
    dispose: () => term.dispose(),
  };
}
