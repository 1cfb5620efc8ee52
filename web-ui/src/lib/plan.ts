/** The plan as a tree, the same as the command line prints: what is shared, then each service. Pure. */
import type { Change, Plan, ResourcePlan, Step } from "@/api/types";

export interface PlanGroup {
  /** `images`, `shared`, or `service NAME`. */
  key: string;
  /** The service, "" for the first two. */
  service: string;
  resources: ResourcePlan[];
}

export function treeOf(resources: readonly ResourcePlan[]): PlanGroup[] {
  const groups = new Map<string, PlanGroup>();
  for (const one of resources) {
    const service = one.resource.kind === "image" ? "" : one.service ?? "";
    const key = one.resource.kind === "image" ? "images" : service ? `service ${service}` : "shared";
    const group = groups.get(key) ?? { key, service, resources: [] };
    group.resources.push(one);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** The keys that differ; the single one of a reason that lists none. */
export function changesOf({ reason }: ResourcePlan): Change[] {
  if (reason.changes?.length) return reason.changes;
  return reason.key ? [{ key: reason.key, old: reason.old, new: reason.new, at: reason.at }] : [];
}

export const stepOf = (plan: Plan, id: number): Step | undefined => plan.steps.find((step) => step.id === id);
