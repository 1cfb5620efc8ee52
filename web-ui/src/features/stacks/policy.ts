/** The policy of a stack as the form edits it: every field there, with the server's defaults. */
import type { DeployPolicy, StackSpec } from "@/api/types";

type Rollback = Required<NonNullable<DeployPolicy["rollback"]>>;
export type FullPolicy = Required<Omit<DeployPolicy, "rollback">> & { rollback: Rollback };

export function policyOf(spec: StackSpec | undefined): FullPolicy {
  const held = spec?.policy;
  return {
    remove_orphans: true, pull_always: false, health_timeout_s: 300, queue_timeout_s: 0, order: "auto", ...held,
    rollback: { automatic: true, watch_s: 0, unhealthy: true, exited: true, restarts: 0, ...held?.rollback },
  };
}

const within = (value: unknown, from: number, to: number) => typeof value === "number" && Number.isInteger(value) && value >= from && value <= to;

/** Key of what is wrong, or null. The ranges are the server's. */
export function policyProblem(policy: FullPolicy): "policy.bad" | null {
  const { health_timeout_s, rollback } = policy;
  return within(health_timeout_s, 1, 86_400) && within(rollback.watch_s, 0, 3600) && within(rollback.restarts, 0, 100) ? null : "policy.bad";
}
