import type { Verdict } from './verdict.js';

/**
 * What went wrong.
 *
 * | code | when |
 * | --- | --- |
 * | `BL_OPTIONS` | an argument that is no record has a wrong type or an unknown field |
 * | `BL_POLICY` | the policy does not compile (`diagnostics` says why), or the artifact cannot be loaded |
 * | `BL_SETTINGS` | the deployment's settings cannot be read, or ask for more than they may |
 * | `BL_MODEL` | the models are missing, damaged, or not those that the policy needs |
 * | `BL_INPUT` | a record cannot be judged; `path` names the field, `index` the record of a batch |
 * | `BL_STREAM_CLOSED` | something was pushed after the end of a stream |
 * | `BL_STREAM_BUSY` | a stream was used before an earlier chunk was judged |
 * | `BL_BLOCKED` | what was judged must not be passed on; only from streams and integrations that are told to throw |
 * | `BL_UNGUARDED` | a guarded client was asked for something that is not judged |
 * | `BL_ADDON` | the package holds no addon for this platform |
 * | `BL_INTERNAL` | a fault of Brightline |
 */
export type ErrorCode =
    | 'BL_OPTIONS'
    | 'BL_POLICY'
    | 'BL_SETTINGS'
    | 'BL_MODEL'
    | 'BL_INPUT'
    | 'BL_STREAM_CLOSED'
    | 'BL_STREAM_BUSY'
    | 'BL_BLOCKED'
    | 'BL_UNGUARDED'
    | 'BL_ADDON'
    | 'BL_INTERNAL';

/** One problem in one place of a policy document. */
export interface Diagnostic {
    /** `BL0101` and the like; `docs/diagnostics.md` has a section for each. */
    readonly code: string;
    /** How bad it is. */
    readonly severity: 'error' | 'warning' | 'note';
    /** The document. */
    readonly document: string;
    /** The line, counted from 1. */
    readonly line: number;
    /** The first UTF-16 unit of the document's text. */
    readonly start: number;
    /** One past the last unit. */
    readonly end: number;
    /** What is wrong. */
    readonly message: string;
    /** What to do about it. */
    readonly help: string | null;
}

/** Every error that Brightline throws. No message of an error holds text that was judged. */
export class BrightlineError extends Error {
    override readonly name: string = 'BrightlineError';
    /** What went wrong. */
    readonly code: ErrorCode;
    /** The field of the record, such as `messages[2].role`. */
    readonly path: string | undefined;
    /** Which record of a batch, counted from 0. */
    readonly index: number | undefined;
    /** Why a policy does not compile; otherwise empty. */
    readonly diagnostics: readonly Diagnostic[];

    /** @internal */
    constructor(code: ErrorCode, message: string, details: Details = {}) {
        super(message);
        this.code = code;
        this.path = details.path;
        this.index = details.index;
        this.diagnostics = details.diagnostics ?? [];
    }
}

/** Thrown where the caller asked for an error instead of the verdict's message. */
export class BlockedError extends BrightlineError {
    override readonly name = 'BlockedError';
    /** Why it was blocked. */
    readonly verdict: Verdict;

    /** @internal */
    constructor(verdict: Verdict) {
        super('BL_BLOCKED', `${verdict.surface}: ${verdict.action} by ${clauses(verdict)}`);
        this.verdict = verdict;
    }
}

function clauses(verdict: Verdict): string {
    return verdict.findings.map((finding) => `\`${finding.clause}\``).join(', ');
}

interface Details {
    path?: string;
    index?: number;
    diagnostics?: Diagnostic[];
}

/** The error that the addon threw, as users see it. @internal */
export function fromNative(error: unknown): unknown {
    if (!(error instanceof Error) || error instanceof BrightlineError) return error;
    let failure: Details & { code: ErrorCode; message: string };
    try {
        failure = JSON.parse(error.message);
    } catch {
        return new BrightlineError('BL_INTERNAL', error.message);
    }
    return new BrightlineError(failure.code, failure.message, failure);
}
