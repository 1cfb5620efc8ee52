/** The form of a group, and what becomes of it. The words are in the locales. */
import type { Group, GroupCreate, Targets } from "@/api/types";

/** The form as it is typed. */
export interface GroupWish { name: string; selector: string; agents: string[] }

/** A group as the form shows it; without one, an empty form. */
export const wishOf = (group: Group | null): GroupWish => ({ name: group?.name ?? "", selector: selectorText(group), agents: [...(group?.agents ?? [])] });
/** The labels of a group, as people write them. */
export const selectorText = (group: Group | null): string => group?.selector ?? "";

export const bodyOf = (it: GroupWish): GroupCreate => ({ name: it.name.trim(), selector: it.selector.trim() || null, agents: it.agents });
export const targetsOf = (it: GroupWish): Targets => ({ selector: it.selector.trim() || null, group: null, agents: it.agents });
export const namesNobody = (it: GroupWish) => !it.selector.trim() && it.agents.length === 0;

const MOST_CHARACTERS = 64;
/** Why it cannot be saved, as a key of the locales. */
export function whyNot(it: GroupWish, others: readonly Pick<Group, "name">[]): "why.nameGroup" | "why.longName" | "why.takenName" | "why.groupOfNobody" | null {
  const name = it.name.trim();
  if (!name) return "why.nameGroup";
  if ([...name].length > MOST_CHARACTERS) return "why.longName";
  if (others.some((one) => one.name === name)) return "why.takenName";
  return namesNobody(it) ? "why.groupOfNobody" : null;
}
