/**
 * What may be done right now: null when it may, otherwise a locale key that says why not.
 * They mirror the server's rules, so that a button tells before the server has to.
 */
import type { Agent, Deployment, Stack } from "@/api/types";
import { isConnected, isRunning } from "./states";

export type Why = string | null;

export const can = {
  planOn: (agents: readonly Agent[]): Why => {
    if (agents.length === 0) return "why.chooseHost";
    return agents.some(isConnected) ? null : "why.planOffline";
  },
  deployTo: (agents: readonly Agent[]): Why => (agents.length === 0 ? "why.chooseHost" : null),
  save: (state: { name: string; nameOk: boolean; errors: number; checking: boolean }): Why => {
    if (!state.name) return "why.nameStack";
    if (!state.nameOk) return "why.badName";
    return state.errors > 0 ? "why.fixProblems" : null;
  },
  rollback: (deployment: Deployment, good: number | null): Why => {
    if (isRunning(deployment)) return "why.stillRunning";
    return good === null ? "why.noGoodRevision" : null;
  },
  cancel: (deployment: Deployment): Why => {
    if (deployment.cancel_requested) return "why.cancelAsked";
    return ["queued", "offered", "accepted", "preparing"].includes(deployment.state.phase) ? null : "why.tooLateToCancel";
  },
  remove: (_stack: Stack, hosts: readonly Deployment[]): Why => (hosts.some((one) => one.want === "present") ? null : "why.onNoHost"),
  deleteStack: (_stack: Stack, hosts: readonly Deployment[]): Why =>
    hosts.some((one) => one.want === "present" || isRunning(one)) ? "why.stillOnHosts" : null,
};
