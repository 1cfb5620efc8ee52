/**
 * What went over a terminal's connection, so that it can go on after a cut: output by position, input until the host has
 * taken it. Nothing is lost, shown twice or typed twice.
 */
export const STDOUT = 1;
export const STDERR = 2;
const HEAD = 9;
/** Bytes in one message to the controller. */
export const PIECE = 16 * 1024;
/** Bytes of input under way without the host's word; a longer paste goes on when it comes. */
export const UNTAKEN = 256 * 1024;

export class Exchange {
  /** Position behind the last byte that was shown. */
  position = 0;
  /** Input that the host may not have; it begins at `taken`. */
  private waiting: Uint8Array[] = [];
  private taken = 0;
  /** Bytes of `waiting` that are under way. */
  private sent = 0;

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

  /** Keeps what is typed; gives what may be sent now, in pieces that fit into a message. */
  typed(bytes: Uint8Array): Uint8Array[] {
    this.waiting.push(bytes);
    return this.next();
  }

  /** The host has so many bytes of input: gives what may be sent now. */
  took(input: number): Uint8Array[] {
    let over = input - this.taken;
    this.sent = Math.max(0, this.sent - Math.max(0, over));
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
    return this.next();
  }

  /** What has to be sent again after a cut: what the host, which has `input` bytes, has not. */
  again(input: number): Uint8Array[] {
    this.sent = Number.POSITIVE_INFINITY;
    this.took(input);
    this.sent = 0;
    return this.next();
  }

  private next(): Uint8Array[] {
    const all: Uint8Array[] = [];
    let at = 0;
    for (const bytes of this.waiting) {
      const end = at + bytes.length;
      while (this.sent < end && this.sent < UNTAKEN) {
        const from = this.sent - at;
        const piece = bytes.subarray(from, from + Math.min(PIECE, UNTAKEN - this.sent));
        all.push(piece);
        this.sent += piece.length;
      }
      at = end;
    }
    return all;
  }
}
