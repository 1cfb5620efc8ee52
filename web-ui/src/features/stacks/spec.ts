/** The two texts of the editor and the spec of the API. */
import type { StackSpec } from "@/api/types";

export const COMPOSE = "compose.yaml";
export const ENV = ".env";
/** As the server: it becomes the Compose project name. */
export const NAME = /^[a-z0-9][a-z0-9_-]{0,62}$/;

export const STARTER = `services:
  web:
    image: nginx:alpine
    ports:
      - "8080:80"
    restart: unless-stopped
`;

const isCompose = (path: string) => /\.ya?ml$/.test(path);

export function composeOf(spec: StackSpec): { path: string; content: string } {
  const path = spec.compose_files?.[0];
  return spec.files.find((file) => file.path === path) ?? spec.files.find((file) => isCompose(file.path)) ?? { path: COMPOSE, content: "" };
}
export const envOf = (spec: StackSpec) => spec.files.find((file) => file.path === ENV)?.content ?? "";

/** A spec with the two texts replaced; every other file, variable and policy stays as it was. */
export function specWith(base: StackSpec | undefined, compose: string, env: string): StackSpec {
  const main = base ? composeOf(base).path : COMPOSE;
  const others = (base?.files ?? []).filter((file) => file.path !== main && file.path !== ENV);
  return {
    ...base,
    files: [{ path: main, content: compose }, ...others, ...(env.trim() ? [{ path: ENV, content: env }] : [])],
  };
}
