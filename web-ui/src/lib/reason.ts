/**
 * Why a step is in a plan, in the reader's language. The engine says it in English, one sentence out of a short list
 * (`agent/engine/src/plan`); one that is not known here is shown as it came.
 */
const FRENCH: readonly (readonly [RegExp, string])[] = [
  [/^unchanged$/, "inchangé"],
  [/^(\S+) changed$/, "$1 a changé"],
  [/^the service has no container$/, "le service n'a pas de conteneur"],
  [/^the network does not exist$/, "le réseau n'existe pas"],
  [/^the volume does not exist$/, "le volume n'existe pas"],
  [/^it is new$/, "il est nouveau"],
  [/^the stack is removed$/, "la pile est retirée"],
  [/^the service is gone$/, "le service n'existe plus"],
  [/^no service (\S+) exists any more$/, "le service $1 n'existe plus"],
  [/^more containers are wanted$/, "il faut plus de conteneurs"],
  [/^fewer containers are wanted$/, "il faut moins de conteneurs"],
  [/^a recreate was asked for$/, "une recréation a été demandée"],
  [/^until it runs and is healthy$/, "jusqu'à ce qu'il tourne et soit sain"],
  [/^it must stay good for (\d+) s$/, "il doit rester bon pendant $1 s"],
  [/^its dependency (\S+) is replaced$/, "sa dépendance $1 est remplacée"],
  [/^it belongs to something else and is used as it is$/, "appartient à autre chose ; utilisé tel quel"],
  [/^its settings changed, but its data would be lost$/, "ses réglages ont changé, mais ses données seraient perdues"],
  [/^its replacement is good$/, "son remplaçant est bon"],
  [/^it makes way for its replacement$/, "il cède la place à son remplaçant"],
  [/^its replacement was interrupted and goes on$/, "son remplacement a été interrompu et reprend"],
  [/^it is left over from an interrupted replacement$/, "reste d'un remplacement interrompu"],
  [/^an interrupted deploy made two of this name$/, "un déploiement interrompu en a créé deux de ce nom"],
  [/^it still has a temporary name$/, "il porte encore un nom provisoire"],
  [/^it is not attached to network (\S+)$/, "il n'est pas attaché au réseau $1"],
  [/^it stops before its replacement starts, as (.+) says$/, "il s'arrête avant que son remplaçant démarre, selon $1"],
  [/^it starts before the old one stops, as (.+) says$/, "il démarre avant que l'ancien s'arrête, selon $1"],
  [/^it starts before the old one stops: nothing is theirs alone$/, "il démarre avant que l'ancien s'arrête : rien n'est à lui seul"],
  [/^the revision that did not work out made it$/, "la révision qui a échoué l'a créé"],
  [/^a revision after the good one made it$/, "une révision postérieure à la bonne l'a créé"],
  [/^it ran before$/, "il tournait avant"],
  [/^it was killed$/, "il a été tué"],
  [/^it does not run$/, "il ne tourne pas"],
  [/^it was made and not started$/, "il a été créé et n'a pas démarré"],
  [/^it was stopped and stays so$/, "il a été arrêté et le reste"],
  [/^adopted as it is$/, "repris tel quel"],
  [/^the one before it is back$/, "le précédent est de retour"],
  [/^the replacement takes the name$/, "le remplaçant prend le nom"],
  [/^a one-off container that has ended$/, "un conteneur ponctuel qui s'est terminé"],
];

/** The sentence in the language of the UI. */
export function reasonText(text: string, locale: string): string {
  if (locale !== "fr") return text;
  const joined = /^(.+), and it may hold what another service needs$/.exec(text);
  if (joined?.[1]) return `${reasonText(joined[1], locale)}, et il peut tenir ce dont un autre service a besoin`;
  for (const [pattern, french] of FRENCH) if (pattern.test(text)) return text.replace(pattern, french);
  return text;
}
