/** A list with a fixed capacity: pushing onto a full one drops the oldest and counts it. */
export class Ring<T> {
  private slots: (T | undefined)[];
  private head = 0;
  private size = 0;
  /** How many entries were dropped to make room. */
  dropped = 0;

  constructor(readonly capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) throw new RangeError(`ring capacity ${capacity}`);
    this.slots = Array.from({ length: capacity });
  }

  get length(): number {
    return this.size;
  }

  push(item: T): void {
    if (this.size === this.capacity) {
      this.slots[this.head] = item;
      this.head = (this.head + 1) % this.capacity;
      this.dropped += 1;
    } else {
      this.slots[(this.head + this.size) % this.capacity] = item;
      this.size += 1;
    }
  }

  clear(): void {
    this.slots = Array.from({ length: this.capacity });
    this.head = this.size = this.dropped = 0;
  }

  /** Oldest first. */
  toArray(): T[] {
    return Array.from({ length: this.size }, (_, i) => this.slots[(this.head + i) % this.capacity] as T);
  }
}
