import { describe, expect, it } from "vitest";
import { policyOf, policyProblem } from "./policy";

describe("the policy of a stack", () => {
  it("has every field, the stack's own before the defaults", () => {
    expect(policyOf(undefined)).toMatchObject({ order: "auto", rollback: { automatic: true, watch_s: 0, restarts: 0 } });
    const held = policyOf({ files: [], policy: { ...policyOf(undefined), order: "stop_first", rollback: { ...policyOf(undefined).rollback, watch_s: 30 } } });
    expect(held).toMatchObject({ order: "stop_first", health_timeout_s: 300, rollback: { automatic: true, watch_s: 30 } });
  });
  it("tells numbers out of range", () => {
    const check = (watch: unknown, restarts: unknown, health: unknown, good: boolean) => {
      const policy = policyOf(undefined);
      Object.assign(policy, { health_timeout_s: health });
      Object.assign(policy.rollback, { watch_s: watch, restarts });
      expect(policyProblem(policy) === null, `${watch} ${restarts} ${health}`).toBe(good);
    };
    check(0, 0, 1, true);
    check(3600, 100, 86_400, true);
    check(3601, 0, 1, false);
    check(0, 101, 1, false);
    check(0, 0, 0, false);
    check("", 0, 1, false);
    check(1.5, 0, 1, false);
  });
});
