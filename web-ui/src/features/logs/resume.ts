/** Where a log that was cut goes on, so that no line is missing and none comes twice. */

export interface Placed {
  container: string;
  text: string;
  at?: string | null;
}
interface Edge {
  at: string;
  /** Texts of the lines of that very millisecond. */
  texts: Set<string>;
}

export class Resume {
  /** The newest line of each container. */
  private edges = new Map<string, Edge>();
  /** Containers that have not yet come past the line at which they were cut. */
  private behind = new Map<string, Edge>();

  /** Begins a stream; from when it should tell again, or null if nothing was seen yet. */
  start(): string | null {
    this.behind = new Map([...this.edges].map(([container, edge]) => [container, { ...edge, texts: new Set(edge.texts) }]));
    const times = [...this.edges.values()].map((edge) => edge.at).toSorted();
    return times[0] ?? null;
  }

  /** Whether the line was not seen before the cut. Times are RFC 3339 in UTC with milliseconds: they sort as text. */
  isNew(line: Placed): boolean {
    const { container, text, at } = line;
    if (!at) return true;
    const cut = this.behind.get(container);
    if (cut) {
      if (at < cut.at || (at === cut.at && cut.texts.has(text))) return false;
      if (at > cut.at) this.behind.delete(container);
    }
    const edge = this.edges.get(container);
    if (!edge || at > edge.at) this.edges.set(container, { at, texts: new Set([text]) });
    else if (at === edge.at) edge.texts.add(text);
    return true;
  }

  /** Another log: nothing was seen of it. */
  forget(): void {
    this.edges.clear();
    this.behind.clear();
  }
}
