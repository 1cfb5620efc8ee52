import { createRouter, createWebHistory } from "vue-router";
import { whenSignedOut } from "@/api/client";
import { useSession } from "./session";

export const router = createRouter({
  history: createWebHistory(),
  scrollBehavior: (_to, _from, saved) => saved ?? { top: 0 },
  routes: [
    { path: "/setup", name: "setup", component: () => import("@/features/auth/SetupPage.vue"), meta: { open: true } },
    { path: "/login", name: "login", component: () => import("@/features/auth/LoginPage.vue"), meta: { open: true } },
    {
      path: "/",
      component: () => import("./AppShell.vue"),
      children: [
        { path: "", redirect: { name: "hosts" } },
        {
          path: "hosts", name: "hosts", component: () => import("@/features/hosts/HostsPage.vue"),
          children: [{ path: "add", name: "host-add", component: () => import("@/features/hosts/HostAdd.vue") }],
        },
        { path: "hosts/tokens", name: "tokens", component: () => import("@/features/hosts/TokensPage.vue") },
        { path: "hosts/groups", name: "groups", component: () => import("@/features/groups/GroupsPage.vue") },
        { path: "hosts/:id/terminal", name: "terminal", component: () => import("@/features/terminal/TerminalPage.vue"), props: true },
        { path: "hosts/:id/files", name: "files", component: () => import("@/features/files/FilesPage.vue"), props: true },
        { path: "hosts/:id", name: "host", component: () => import("@/features/hosts/HostPage.vue"), props: true },
        { path: "stacks", name: "stacks", component: () => import("@/features/stacks/StacksPage.vue") },
        { path: "stacks/new", name: "stack-new", component: () => import("@/features/stacks/StackEditPage.vue") },
        { path: "stacks/:id/edit", name: "stack-edit", component: () => import("@/features/stacks/StackEditPage.vue"), props: true },
        { path: "stacks/:id/deploy", name: "stack-deploy", component: () => import("@/features/stacks/StackDeployPage.vue"), props: true },
        {
          path: "stacks/:id", component: () => import("@/features/stacks/StackPage.vue"), props: true,
          children: [
            { path: "", name: "stack", component: () => import("@/features/stacks/StackContainers.vue"), props: true },
            { path: "revisions", name: "stack-revisions", component: () => import("@/features/stacks/StackRevisions.vue"), props: true },
            { path: "policy", name: "stack-policy", component: () => import("@/features/stacks/StackPolicy.vue"), props: true },
            { path: "logs", name: "stack-logs", component: () => import("@/features/logs/LogView.vue"), props: true },
          ],
        },
        { path: "deployments", name: "deployments", component: () => import("@/features/deployments/DeploymentsPage.vue") },
        { path: "deployments/:id", name: "deployment", component: () => import("@/features/deployments/DeploymentPage.vue"), props: true },
        { path: "rollouts", name: "rollouts", component: () => import("@/features/rollouts/RolloutsPage.vue") },
        { path: "rollouts/:id", name: "rollout", component: () => import("@/features/rollouts/RolloutPage.vue"), props: true },
        { path: "logs", name: "logs", component: () => import("@/features/logs/SearchPage.vue") },
        { path: "alerts", name: "alerts", component: () => import("@/features/alerts/AlertsPage.vue") },
        { path: "alerts/rules", name: "rules", component: () => import("@/features/alerts/RulesPage.vue") },
        { path: "alerts/silences", name: "silences", component: () => import("@/features/alerts/SilencesPage.vue") },
        { path: "events", name: "events", component: () => import("@/features/events/EventsPage.vue") },
        { path: "terminals", name: "terminals", component: () => import("@/features/terminal/TerminalsPage.vue") },
        { path: "terminals/:id", name: "watch", component: () => import("@/features/terminal/WatchPage.vue"), props: true },
        { path: "terminals/recordings", name: "recordings", component: () => import("@/features/recordings/RecordingsPage.vue") },
        { path: "terminals/recordings/:id", name: "recording", component: () => import("@/features/recordings/RecordingPage.vue"), props: true },
        { path: "alerts/channels", name: "channels", component: () => import("@/features/channels/ChannelsPage.vue") },
        { path: "audit", name: "audit", component: () => import("@/features/audit/AuditPage.vue") },
        { path: ":rest(.*)*", name: "lost", component: () => import("./LostPage.vue") },
      ],
    },
  ],
});

/** Where the reader wants to be, also while its parts are still loading. */
let wanted = "";
const RELOADED = "wf-reloaded";
const RELOAD_AGAIN_MS = 10_000;
// A part that cannot be loaded is of an older build, or the connection was cut at that moment: the whole page anew, at once
// but not for ever.
addEventListener("vite:preloadError", (event) => {
  if (Date.now() - Number(sessionStorage.getItem(RELOADED)) < RELOAD_AGAIN_MS) return;
  sessionStorage.setItem(RELOADED, String(Date.now()));
  event.preventDefault();
  location.assign(wanted || location.href);
});

router.beforeEach(async (to) => {
  wanted = to.fullPath;
  const session = useSession();
  // Without an answer the page shows itself; each part then says that the controller does not answer.
  await session.ready().catch(() => undefined);
  if (session.setupNeeded) return to.name === "setup" ? true : { name: "setup" };
  if (to.name === "setup") return { name: session.me ? "hosts" : "login" };
  if (to.meta["open"]) return session.me && to.name === "login" ? { name: "hosts" } : true;
  return session.me ? true : { name: "login", query: to.fullPath === "/" ? {} : { to: to.fullPath } };
});

whenSignedOut(() => {
  const session = useSession();
  if (!session.me) return;
  session.signedOut();
  void router.push({ name: "login", query: { to: router.currentRoute.value.fullPath } });
});
