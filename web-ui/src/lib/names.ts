/** How things of a host are called on the page. */
import type { Agent } from "@/api/types";

type Engine = NonNullable<NonNullable<Agent["inventory"]>["engine"]>;

/** `Docker 28.3.2`; what a distribution adds to the version (`+dfsg1`) is left out. */
export const engineName = (t: (key: string) => string, engine: Engine) => `${t(`engine.${engine.kind}`)} ${engine.version.replace(/[+~].*$/, "")}`;

/** `Linux (Debian GNU/Linux 12)` is shown as `Debian GNU/Linux 12`: which distribution says which system. */
export const systemName = (os: string | undefined) => /\((.+)\)/.exec(os ?? "")?.[1] ?? os ?? "";
