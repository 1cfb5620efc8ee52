/** Lists come in pages: all of them for what is shown whole, one after the other for what grows for ever. */

export interface Page<T> {
  items: T[];
  next_cursor?: string | null;
}
export interface PageQuery {
  limit: number;
  cursor?: string;
}

/** The most that the server gives at once. */
export const PAGE = 500;
/** 20,000 entries: more than one page of a browser can show. A list that never ends must not be asked for ever. */
const MOST_PAGES = 40;

/** Follows `next_cursor` to the end. */
export async function every<T>(ask: (query: PageQuery) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  for (let n = 0; n < MOST_PAGES; n += 1) {
    const page = await ask(cursor === undefined ? { limit: PAGE } : { limit: PAGE, cursor });
    items.push(...page.items);
    if (!page.next_cursor || page.next_cursor === cursor) break;
    cursor = page.next_cursor;
  }
  return items;
}
