/** The nouns of the API under the names the pages use. Nothing here is a second definition. */
import type { components } from "./schema";

type Schemas = components["schemas"];
export type ApiErrorBody = Schemas["ApiError"];
export type Failure = Schemas["Failure"];
export type Info = Schemas["Info"];
export type Me = Schemas["Me"];
export type Agent = Schemas["Agent"];
export type Presence = Schemas["Presence"];
export type EnrolmentToken = Schemas["EnrolmentToken"];
export type EnrolmentTokenCreated = Schemas["EnrolmentTokenCreated"];
export type Stack = Schemas["StackView"];
export type StackSpec = Schemas["StackSpec"];
export type Problem = Schemas["Problem"];
export type AgentPlan = Schemas["AgentPlan"];
export type Plan = Schemas["Plan"];
export type Step = Schemas["Step"];
export type StepView = Schemas["StepView"];
export type Steps = Schemas["Steps"];
export type Progress = Schemas["Progress"];
export type Deployment = Schemas["DeploymentView"];
export type DeploymentState = Schemas["DeploymentState"];
export type Revision = Schemas["Revision"];
export type Container = Schemas["ContainerSummary"];
export type HostContainers = Schemas["HostContainers"];
export type LogEvent = Schemas["LogEvent"];
export type LogFrame = Schemas["LogFrame"];
export type FleetEvent = Schemas["FleetEvent"];
