import { inspect } from 'node:util';
import type { Judged } from './native.js';

/** What to do, from the mildest to the strictest. */
export type Action = 'allow' | 'flag' | 'redact' | 'revise' | 'escalate' | 'block';

/** What a text is, which decides the rules it is judged by. */
export type Surface = 'request' | 'response' | 'reasoning' | 'tool_call' | 'tool_result';

/** What kind of clause it is, which decides who may lift it. */
export type Kind = 'hard' | 'rule' | 'default_on' | 'default_off' | 'protection' | 'exception';

/** The level of a clause, highest first. */
export type Authority = 'root' | 'system' | 'developer' | 'user' | 'guideline';

/** What looked at the text. */
export type Tier = 'rules' | 'screen' | 'full';

/** The field of a message that a span lies in, where that is not the content. */
export type Field = 'reasoning' | 'tool_calls' | 'tool_name';

/** Why a text carries no authority. */
export type Provenance = 'tool' | 'untrusted' | 'quoted';

/** Where a clause stands. */
export interface Source {
    /** The published document where the clause cites it, else the policy. */
    readonly document: string;
    /** Which edition of it. */
    readonly edition?: string;
    /** The first line, counted from 1. */
    readonly line: number;
}

/** A place in the conversation: `text.slice(start, end)` of the text that the other fields name. */
export interface Span {
    /** Index of the message. */
    readonly message: number;
    /** Which field of it; left out for the content. */
    readonly field?: Field;
    /** Index of the content block or tool call, where the content is not one string. */
    readonly part?: number;
    /** First UTF-16 unit. Arguments that were given as an object count as `JSON.stringify` writes them. */
    readonly start: number;
    /** One past the last unit. */
    readonly end: number;
    /** How the text was read, where that is not the normalized text: `base64`, `leet`, … */
    readonly view?: string;
    /** Why the text carries no authority, where it does not. */
    readonly provenance?: Provenance;
}

/** What a finding rests on. */
export interface Evidence {
    /** `match:set`, `pii:email`, `label:self_harm`, `tool.name`, … */
    readonly detector: string;
    /** Its score, for detectors that have one. */
    readonly score?: number;
    /** What the score was compared with. */
    readonly threshold?: number;
    /** The clause asks for something that is not there. */
    readonly absent?: true;
    /** Where, at most 32 places. */
    readonly spans: readonly Span[];
}

/** One clause that the message breaks. */
export interface Finding {
    /** The clause's id. */
    readonly clause: string;
    /** Its heading. */
    readonly title: string;
    /** Its kind. */
    readonly kind: Kind;
    /** Its level. */
    readonly authority: Authority;
    /** Where it stands. */
    readonly source: Source;
    /** What was judged. */
    readonly surface: Surface;
    /** What the rule asks for. */
    readonly action: Action;
    /** The first paragraph under the clause; may be empty. */
    readonly rationale: string;
    /** What it rests on; empty where a detector failed. */
    readonly evidence: readonly Evidence[];
}

/** A clause that matched and is not in force. */
export interface Lifted {
    /** Its id. */
    readonly clause: string;
    /** `system`, `operator`, `user`, `context`, or the id of an exception. */
    readonly by: string;
}

/** A setting of the request that was not followed. */
export interface Ignored {
    /** Whose it is. */
    readonly by: string;
    /** Which key. */
    readonly key: string;
    /** For which clause. */
    readonly clause: string;
    /** Why it was not followed. */
    readonly reason: string;
}

/** A piece of the judged message with placeholders. */
export interface Redaction {
    /** Which field; left out for the content. */
    readonly field?: Field;
    /** Index of the content block or tool call. */
    readonly part?: number;
    /** The text with placeholders. */
    readonly text: string;
}

/** How much was scanned, and by what. */
export interface Scanned {
    /** UTF-8 bytes of judged text, context not counted. */
    readonly bytes: number;
    /** What looked at it. */
    readonly tiers: readonly Tier[];
}

/** What limits a verdict. */
export interface Degraded {
    /** `model_not_loaded`, `deadline_exceeded`, `model_failed`, … */
    readonly reason: string;
    /** Which detector. */
    readonly detector?: string;
    /** The clauses that could not be decided in full. */
    readonly clauses: readonly string[];
}

/** A name, a version and the hash of what they name. */
interface Identity {
    readonly name: string;
    readonly version: string;
    readonly hash: string;
}

/** The wire form, which all bindings share; `docs/wire-format.md` describes it. Its spans count UTF-8 bytes. */
export interface WireVerdict {
    id?: string;
    action: Action;
    surface: Surface;
    policy: Identity;
    model?: Identity;
    findings: Finding[];
    lifted?: Lifted[];
    ignored?: Ignored[];
    scores?: Record<string, number>;
    message?: string;
    redacted?: string;
    redactions?: Redaction[];
    critique?: string;
    scanned: Scanned;
    degraded: Degraded[];
    unverified?: 'length' | 'language';
    not_judged?: string[];
    elapsed_us: number;
}

/**
 * The answer to one check.
 *
 * Its fields are read from the wire form when one of them is first asked for, so that verdicts that are only counted or
 * stored cost nothing more.
 */
export class Verdict {
    readonly #judged: Judged;
    #fields: WireVerdict | undefined;

    /** @internal */
    constructor(judged: Judged) {
        this.#judged = judged;
    }

    get #read(): WireVerdict {
        return (this.#fields ??= read(this.#judged));
    }

    /** The record's id. */
    get id(): string | undefined {
        return this.#read.id;
    }

    /** The strictest action of a finding; `allow` without findings. */
    get action(): Action {
        return this.#read.action;
    }

    /** Whether the message may be passed on as it is: the action is `allow` or `flag`. */
    get passes(): boolean {
        return this.action === 'allow' || this.action === 'flag';
    }

    /** What the judged message mainly is. */
    get surface(): Surface {
        return this.#read.surface;
    }

    /** The policy that was applied. The same hash gives the same verdicts. */
    get policy(): Readonly<Identity> {
        return this.#read.policy;
    }

    /** The models that were loaded. */
    get model(): Readonly<Identity> | undefined {
        return this.#read.model;
    }

    /** What was found, strictest first. */
    get findings(): readonly Finding[] {
        return this.#read.findings;
    }

    /** What matched and is not in force. */
    get lifted(): readonly Lifted[] {
        return this.#read.lifted ?? [];
    }

    /** Settings of the request that were not followed. */
    get ignored(): readonly Ignored[] {
        return this.#read.ignored ?? [];
    }

    /** Probability by label: of those that findings rest on, with `scores` of all of them. */
    get scores(): Readonly<Record<string, number>> {
        return this.#read.scores ?? {};
    }

    /** Text for the user, where the action is `revise`, `escalate` or `block`. */
    get message(): string | undefined {
        return this.#read.message;
    }

    /** The first redacted text. */
    get redacted(): string | undefined {
        return this.#read.redacted;
    }

    /** All redacted texts, piece by piece. */
    get redactions(): readonly Redaction[] {
        const { redacted, redactions } = this.#read;
        return redactions ?? (redacted === undefined ? [] : [{ text: redacted }]);
    }

    /** What the model should change, where the action is `revise`. */
    get critique(): string | undefined {
        return this.#read.critique;
    }

    /** How much was scanned, and by what. */
    get scanned(): Scanned {
        return this.#read.scanned;
    }

    /** What limits the verdict. */
    get degraded(): readonly Degraded[] {
        return this.#read.degraded;
    }

    /** How the judged text lies outside of what the models were measured on. */
    get unverified(): 'length' | 'language' | undefined {
        return this.#read.unverified;
    }

    /** Types of the message's blocks that are no text. */
    get notJudged(): readonly string[] {
        return this.#read.not_judged ?? [];
    }

    /** Wall time of the check in microseconds. */
    get elapsedUs(): number {
        return this.#read.elapsed_us;
    }

    /** The wire form, byte for byte as `brightline score` writes it. */
    get wire(): string {
        return typeof this.#judged === 'string' ? this.#judged : this.#judged.wire;
    }

    /** The wire form as an object, for `JSON.stringify`. Its spans count UTF-8 bytes. */
    toJSON(): WireVerdict {
        return JSON.parse(this.wire);
    }

    /** The action and the clauses behind it. */
    toString(): string {
        const clauses = this.findings.map((finding) => finding.clause);
        return clauses.length === 0 ? this.action : `${this.action} (${clauses.join(', ')})`;
    }

    /** @internal */
    [inspect.custom](depth: number, options: object): string {
        const { elapsed_us: elapsedUs, not_judged: notJudged, ...fields } = this.#read;
        const shown = { ...fields, ...(notJudged && { notJudged }), elapsedUs };
        return `Verdict ${inspect(shown, { ...options, depth: Math.max(depth, 4) })}`;
    }
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function read(judged: Judged): WireVerdict {
    if (typeof judged === 'string') return JSON.parse(judged);
    const fields: WireVerdict = JSON.parse(judged.wire);
    let at = 0;
    for (const finding of fields.findings) {
        for (const { spans } of finding.evidence) {
            for (const span of spans as Writable<Span>[]) {
                span.start = judged.units[at++] ?? span.start;
                span.end = judged.units[at++] ?? span.end;
            }
        }
    }
    return fields;
}

/** Whether something else is to be shown than what was judged. @internal */
export function withholds(verdict: Verdict): boolean {
    return verdict.action === 'revise' || verdict.action === 'escalate' || verdict.action === 'block';
}
