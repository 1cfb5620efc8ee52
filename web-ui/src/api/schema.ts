/* Shapes of the HTTP API. Replaced by `npm run schema` (openapi-typescript) from controller/openapi.json. */
type Json<T> = { content: { "application/json": T } };
type Failure = Json<components["schemas"]["ApiError"]>;
type Answer<T> = { 200: Json<T>; default: Failure };
type Page<T> = { items: T[]; next_cursor?: string | null };
type Op<P, B, R> = B extends NoBody ? { parameters: P; requestBody?: never; responses: R } : { parameters: P; requestBody: B; responses: R };
type NoBody = "none";
type Nothing = { query?: never; header?: never; path?: never; cookie?: never };
type ById = { query?: never; header?: never; path: { id: string }; cookie?: never };
export type Item = components["schemas"];

export interface paths {
  "/api/v1/setup": {
    get: Op<Nothing, NoBody, Answer<Item["SetupStatus"]>>;
    post: Op<Nothing, Json<{ code: string; username: string; password: string }>, Answer<Item["Session"]>>;
  };
  "/api/v1/sessions": {
    post: Op<Nothing, Json<{ username: string; password: string }>, Answer<Item["Session"]>>;
  };
  "/api/v1/sessions/current": { delete: Op<Nothing, NoBody, { 204: { content?: never }; default: Failure }> };
  "/api/v1/me": { get: Op<Nothing, NoBody, Answer<Item["Me"]>> };
  "/api/v1/info": { get: Op<Nothing, NoBody, Answer<Item["Info"]>> };
  "/api/v1/agents": { get: Op<Nothing, NoBody, Answer<Page<Item["Agent"]>>> };
  "/api/v1/agents/{id}": {
    get: Op<ById, NoBody, Answer<Item["Agent"]>>;
    patch: Op<ById, Json<{ name: string }>, Answer<Item["Agent"]>>;
    delete: Op<ById, NoBody, { 204: { content?: never }; default: Failure }>;
  };
  "/api/v1/agents/{id}/containers": { get: Op<ById, NoBody, Answer<Item["HostContainers"]>> };
  "/api/v1/enrolment-tokens": {
    get: Op<Nothing, NoBody, Answer<Page<Item["EnrolmentToken"]>>>;
    post: Op<Nothing, Json<{ note?: string; ttl_s?: number }>, Answer<Item["EnrolmentTokenCreated"]>>;
  };
  "/api/v1/enrolment-tokens/{id}": { delete: Op<ById, NoBody, { 204: { content?: never }; default: Failure }> };
  "/api/v1/stacks/validate": { post: Op<Nothing, Json<Item["ValidateRequest"]>, Answer<Item["Validation"]>> };
  "/api/v1/stacks": {
    get: Op<Nothing, NoBody, Answer<Page<Item["StackView"]>>>;
    post: Op<Nothing, Json<{ name: string; spec: Item["StackSpec"] }>, Answer<Item["StackView"]>>;
  };
  "/api/v1/stacks/{id}": {
    get: Op<ById, NoBody, Answer<Item["StackView"]>>;
    put: Op<{ query?: never; header: { "If-Match": string }; path: { id: string }; cookie?: never }, Json<{ spec: Item["StackSpec"] }>, Answer<Item["StackView"]>>;
    delete: Op<ById, NoBody, { 204: { content?: never }; default: Failure }>;
  };
  "/api/v1/stacks/{id}/plan": { post: Op<ById, Json<{ agents: string[] }>, Answer<Page<Item["AgentPlan"]>>> };
  "/api/v1/stacks/{id}/deployments": {
    post: Op<ById, Json<{ agents: string[]; rev?: number }>, Answer<Page<Item["DeploymentView"]>>>;
  };
  "/api/v1/stacks/{id}/rollback": {
    post: Op<ById, Json<{ rev: number; agents?: string[] }>, Answer<Page<Item["DeploymentView"]>>>;
  };
  "/api/v1/stacks/{id}/remove": {
    post: Op<ById, Json<{ agents?: string[]; volumes: boolean }>, Answer<Page<Item["DeploymentView"]>>>;
  };
  "/api/v1/stacks/{id}/revisions": { get: Op<ById, NoBody, Answer<Page<Item["Revision"]>>> };
  "/api/v1/stacks/{id}/containers": { get: Op<ById, NoBody, Answer<Page<Item["HostContainers"]>>> };
  "/api/v1/deployments": {
    get: Op<
      { query?: { stack?: string; agent?: string; state?: string }; header?: never; path?: never; cookie?: never },
      NoBody,
      Answer<Page<Item["DeploymentView"]>>
    >;
  };
  "/api/v1/deployments/{id}": { get: Op<ById, NoBody, Answer<Item["DeploymentView"]>> };
  "/api/v1/deployments/{id}/cancel": { post: Op<ById, NoBody, Answer<Item["DeploymentView"]>> };
}

export interface components {
  schemas: {
    ApiError: { code: string; message: string; hint?: string; request_id?: string; problems?: Item["Problem"][] };
    Failure: { code: string; message: string; hint?: string };
    SetupStatus: { needed: boolean };
    Session: { user: Item["Me"]; token?: string | null; expires_at: string };
    Me: { id: string; name: string };
    Info: { version: string; ca_pin: string; quic_address: string; agent_archs: string[]; features: string[] };
    EngineInfo: { kind: "docker" | "podman" | "fake"; version: string; api_version: string; min_api_version?: string };
    Inventory: {
      hostname?: string;
      os?: string;
      kernel?: string;
      arch?: string;
      cpus?: number;
      memory_bytes?: number;
      engine?: Item["EngineInfo"] | null;
      engine_problem?: string | null;
      targets?: string[];
      capabilities?: string[];
      agent_version?: string;
    };
    Presence:
      | { presence: "connected"; since: string; proven_at: string; rtt_us: number; remote: string }
      | { presence: "offline"; since?: string | null; reason: string };
    Agent: {
      id: string;
      name: string;
      labels?: Record<string, string>;
      inventory?: Item["Inventory"];
      enrolled_at: string;
      last_seen_at?: string | null;
      presence: Item["Presence"];
      version?: number;
    };
    EnrolmentToken: {
      id: string;
      note: string;
      created_at: string;
      expires_at: string;
      used_at?: string | null;
      agent?: string | null;
    };
    EnrolmentTokenCreated: Item["EnrolmentToken"] & { secret: string; installer: string };
    SpecFile: { path: string; content: string };
    DeployPolicy: { remove_orphans: boolean; pull_always: boolean; health_timeout_s: number; queue_timeout_s: number };
    StackSpec: {
      compose_files?: string[];
      files: Item["SpecFile"][];
      env?: Record<string, string>;
      profiles?: string[];
      policy?: Item["DeployPolicy"];
    };
    ValidateRequest: { name?: string; spec: Item["StackSpec"] };
    Problem: {
      file: string;
      line: number;
      column: number;
      severity: "error" | "warning";
      message: string;
      hint?: string | null;
    };
    Validation: { ok: boolean; problems: Item["Problem"][]; services: string[] };
    StackView: {
      id: string;
      name: string;
      spec: Item["StackSpec"];
      digest: string;
      version: number;
      latest_rev: number;
      created_at: string;
      updated_at: string;
      updated_by: string;
    };
    ResourceRef: { kind: "image" | "network" | "volume" | "container"; name: string };
    Reason: { text: string; key?: string | null; old?: string | null; new?: string | null; at?: string | null };
    Step: {
      id: number;
      resource: Item["ResourceRef"];
      action: "keep" | "pull" | "build" | "create" | "recreate" | "start" | "stop" | "remove" | "update" | "wait";
      service?: string | null;
      reason: Item["Reason"];
      after?: number[];
    };
    Plan: { stack: string; steps: Item["Step"][]; warnings?: string[]; world: string };
    PlanSummary: { create: number; change: number; remove: number; keep: number };
    AgentPlan: {
      agent: string;
      plan?: Item["Plan"] | null;
      summary?: Item["PlanSummary"] | null;
      error?: Item["Failure"] | null;
    };
    StepView: {
      step: Item["Step"];
      state: "pending" | "running" | "done" | "failed" | "skipped";
      started_at?: string | null;
      ended_at?: string | null;
      current?: number;
      total?: number;
      unit?: string;
      detail?: string;
      failure?: Item["Failure"] | null;
    };
    Steps: { steps: Item["StepView"][]; notes?: string[]; warnings?: string[] };
    Progress:
      | { kind: "planned"; plan: Item["Plan"] }
      | { kind: "started"; step: number; at: string }
      | { kind: "moved"; step: number; current: number; total: number; unit: string; detail: string }
      | { kind: "ended"; step: number; state: Item["StepView"]["state"]; at: string; failure?: Item["Failure"] | null }
      | { kind: "note"; text: string };
    DeploymentState:
      | { phase: "queued" | "offered" | "accepted" | "preparing" | "verifying" | "succeeded" | "expired" | "cancelled" }
      | { phase: "applying"; done: number; total: number }
      | {
          phase: "failed" | "rolling_back" | "rolled_back" | "rollback_failed" | "rejected";
          failure: Item["Failure"];
        }
      | { phase: "superseded"; by: number }
      | { phase: "diverged"; held: number };
    View: { view: "known" } | { view: "unknown"; last: string; since: string };
    DeploymentView: {
      id: string;
      op: string;
      stack: string;
      stack_name: string;
      rev: number;
      want: "present" | "absent" | "absent_with_volumes";
      agent: string;
      state: Item["DeploymentState"];
      view: Item["View"];
      state_at: string;
      created_at: string;
      created_by: string;
      expires_at?: string | null;
      reported_at?: string | null;
      cancel_requested?: boolean;
      steps?: Item["Steps"];
    };
    Revision: {
      stack: string;
      rev: number;
      digest: string;
      want: "present" | "absent" | "absent_with_volumes";
      spec: Item["StackSpec"];
      rollback_of?: number | null;
      created_at: string;
      created_by: string;
    };
    PortBinding: { host_ip: string; host_port: number; container_port: number; protocol: string };
    Container: {
      id: string;
      name: string;
      project?: string | null;
      service?: string | null;
      rev?: number | null;
      image: string;
      state: "created" | "running" | "paused" | "restarting" | "exited" | "removing" | "dead" | "unknown";
      health: "none" | "starting" | "healthy" | "unhealthy";
      exit_code?: number | null;
      status?: string;
      ports?: Item["PortBinding"][];
      created_at: string;
    };
    HostContainers: { agent: string; connected?: boolean; observed_at?: string | null; containers: Item["Container"][] };
    FleetEvent: {
      seq: number;
      at: string;
      kind: string;
      agent?: string;
      name?: string;
      stack?: string;
      deployment?: string;
      rev?: number;
      state?: string;
      reason?: string;
      lost?: number;
    };
    LogEvent:
      | { kind: "line"; seq: number; service: string; container: string; source: "stdout" | "stderr"; at?: string | null; text: string }
      | { kind: "gap"; from: number; lost: number; reason: string }
      | { kind: "end"; reason: string };
  };
}
