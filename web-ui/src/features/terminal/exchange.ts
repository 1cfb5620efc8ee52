/**
 * What went over a terminal's connection, so that it can go on after a cut: output by position, input until the host has
 * taken it. Nothing is lost, shown twice or typed twice.
 */
export const STDOUT = 1;
export const STDERR = 2;
const HEAD = 9;
/** Bytes in one message to the controller. */
export const PIECE = 16 * 1024;

export class Exchange {
  /** Position behind the last byte that was shown. */
  position = 0;
  /** Input that the host may not have; it begins at `taken`. */
  private waiting: Uint8Array[] = [];
  private taken = 0;

  /** The bytes of a message that were not shown before. */
  shown(message: ArrayBuffer): Uint8Array | null {
    if (message.byteLength <= HEAD) return null;
    const view = new DataView(message);
    const kind = view.getUint8(0);
    if (kind !== STDOUT && kind !== STDERR) return null;
    const from = Number(view.getBigUint64(1));
    const known = Math.max(0, this.position - from);
    if (known >= message.byteLength - HEAD) return null;
    const bytes = new Uint8Array(message, HEAD + known);
    this.position = Math.max(this.position, from) + bytes.length;
    return bytes;
  }

  /** So much output will not come. */
  skipped(from: number, lost: number): void {
    this.position = Math.max(this.position, from + lost);
  }

  /** Keeps what is typed; gives it in pieces that fit into a message. */
  typed(bytes: Uint8Array): Uint8Array[] {
    this.waiting.push(bytes);
    return pieces(bytes);
  }

  /** The host has so many bytes of input. */
  took(input: number): void {
    let over = input - this.taken;
    while (over > 0 && this.waiting[0]) {
      const first = this.waiting[0];
      if (first.length > over) {
        this.waiting[0] = first.subarray(over);
        break;
      }
      over -= first.length;
      this.waiting.shift();
    }
    this.taken = Math.max(this.taken, input);
  }

  /** What has to be sent again after a cut: all that the host, which has `input` bytes, has not. */
  again(input: number): Uint8Array[] {
    this.took(input);
    return this.waiting.flatMap(pieces);
  }
}

function pieces(bytes: Uint8Array): Uint8Array[] {
  const all: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += PIECE) all.push(bytes.subarray(at, at + PIECE));
  return all;
}
