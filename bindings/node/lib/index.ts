/**
 * Judges what goes into and comes out of a language model against a policy, inside this process.
 *
 * - {@link Guard} is a policy under a deployment's settings, ready to judge.
 * - {@link Input} is what is judged: messages of a chat API, a record, or a text.
 * - {@link Verdict} says what to do, and cites clause, line and authority for each finding.
 * - {@link GuardStream} and {@link GuardTransform} judge a response while it arrives.
 *
 * @example
 * ```js
 * import { Guard } from "brightline";
 *
 * const guard = new Guard();
 * const verdict = guard.check({ tool_call: { name: "shell", arguments: { cmd: "rm -rf /" } } });
 * console.log(verdict.action, verdict.findings[0].clause);
 * ```
 *
 * @packageDocumentation
 */
export { BlockedError, BrightlineError } from './errors.js';
export type { Diagnostic, ErrorCode } from './errors.js';
export { Guard } from './guard.js';
export type { DeploymentSettings, GuardOptions, Named, PrincipalSettings, Scope } from './guard.js';
export type {
    Circumstances,
    Conversation,
    Exchange,
    Input,
    Message,
    RequestSettings,
    Role,
    Switch,
    ToolCall,
} from './input.js';
export { GuardStream } from './stream.js';
export type { Channel, End, Released, Step } from './stream.js';
export { GuardTransform } from './transform.js';
export type { TransformOptions } from './transform.js';
export { Verdict } from './verdict.js';
export type {
    Action,
    Authority,
    Degraded,
    Evidence,
    Field,
    Finding,
    Ignored,
    Kind,
    Lifted,
    Provenance,
    Redaction,
    Scanned,
    Source,
    Span,
    Surface,
    Tier,
    WireVerdict,
} from './verdict.js';
