import { BrightlineError } from './errors.js';

/** Who wrote a message. */
export type Role = 'system' | 'developer' | 'user' | 'assistant' | 'tool' | 'function';

/** A tool call, in OpenAI's form or with its two fields at the top. */
export interface ToolCall {
    /** The caller's name for it; plays no part. */
    readonly id?: string | undefined;
    /** `function`; plays no part. */
    readonly type?: string | undefined;
    /** OpenAI's form. Arguments are a string that holds JSON, or the JSON itself. */
    readonly function?: { readonly name: string; readonly arguments?: unknown } | undefined;
    /** The tool's name. */
    readonly name?: string | undefined;
    /** A string that holds JSON, or the JSON itself. */
    readonly arguments?: unknown;
}

/** One message, as OpenAI's or Anthropic's chat API takes it. */
export interface Message {
    /** Who wrote it. */
    readonly role: Role;
    /** A text, content blocks, or nothing. */
    readonly content?: string | readonly (string | object)[] | null | undefined;
    /** The model's visible reasoning. */
    readonly reasoning_content?: string | null | undefined;
    /** Judged as text of the answer. */
    readonly refusal?: string | null | undefined;
    /** What the assistant calls. */
    readonly tool_calls?: readonly ToolCall[] | readonly object[] | null | undefined;
    /** Which call a tool answers; plays no part. */
    readonly tool_call_id?: string | undefined;
    /** The author's name; plays no part. */
    readonly name?: string | undefined;
}

/** Whether a clause's behavior is on. */
export type Switch = 'on' | 'off';

/** What a request may set. Build it from what you know about the user, never from text of a message. */
export interface RequestSettings {
    /** What the user switched. */
    readonly user?: { readonly switch?: Readonly<Record<string, Switch>> } | undefined;
    /** What the host knows. */
    readonly context?: { readonly tags?: readonly string[]; readonly yields?: readonly string[] } | undefined;
    /** Tags, as in `context`. */
    readonly tags?: readonly string[] | undefined;
}

/** What the host vouches for, beside the texts. */
export interface Circumstances {
    /** Repeated in the verdict, as a string. */
    readonly id?: string | number | undefined;
    /** Who switched what for this request. */
    readonly settings?: RequestSettings | undefined;
    /** Facts about the context, such as `under_18`. */
    readonly tags?: readonly string[] | undefined;
    /** Scores by name, such as those of a probe. */
    readonly signals?: Readonly<Record<string, number>> | undefined;
}

/** A conversation. One message is judged, the others are its context. */
export interface Conversation extends Circumstances {
    /** Oldest first. */
    readonly messages: readonly Message[];
    /** A system prompt outside of the messages, as in Anthropic's form. */
    readonly system?: string | readonly object[] | undefined;
    /** Index of the message that is judged; the last without it. */
    readonly target?: number | undefined;
}

/** The short form: the last of these that is given is judged, a `request` beside it is its context. */
export interface Exchange extends Circumstances {
    /** What a user asks. */
    readonly request?: string | undefined;
    /** What the model answers. */
    readonly response?: string | undefined;
    /** What the model calls. */
    readonly tool_call?: ToolCall | undefined;
    /** What a tool gave back. */
    readonly tool_result?: string | undefined;
    /** A passage with no role, judged as a request. */
    readonly text?: string | undefined;
}

/** What is judged: a text with no role, messages of which the last is judged, or a record as `brightline score` reads it. */
export type Input = string | readonly Message[] | Conversation | Exchange;

/** Half of a surrogate pair, as `JSON.stringify` writes it. */
const LONE_SURROGATE = /\\ud[89a-f]/;

/** The record on one line. @internal */
export function toJson(input: Input): string {
    const record = toRecord(input);
    try {
        const json = JSON.stringify(record);
        // Rust's strings hold no half of a pair: as everywhere else in JavaScript, it becomes U+FFFD.
        return LONE_SURROGATE.test(json) ? JSON.stringify(record, wellFormed) : json;
    } catch (error) {
        const why = error instanceof Error ? error.message.split('\n')[0] : String(error);
        throw new BrightlineError('BL_INPUT', `the record has no JSON form: ${why}`);
    }
}

/** The records as a list; `first` is the index of the first one. @internal */
export function toJsonList(inputs: readonly Input[], first: number): string {
    try {
        const json = JSON.stringify(inputs.map(toRecord));
        if (!json.includes('\\ud')) return json;
    } catch {
        // One by one, it shows which of them it is.
    }
    const one = (input: Input, at: number) => {
        try {
            return toJson(input);
        } catch (error) {
            if (!(error instanceof BrightlineError)) throw error;
            throw new BrightlineError(error.code, error.message, { index: first + at });
        }
    };
    return `[${inputs.map(one).join(',')}]`;
}

function toRecord(input: Input): unknown {
    if (typeof input === 'string') return { text: input };
    if (Array.isArray(input)) return { messages: input };
    if (typeof input === 'object' && input !== null) return input;
    const given = input === null ? 'null' : typeof input;
    throw new BrightlineError('BL_INPUT', `expected a text, a list of messages or a record, got ${given}`);
}

function wellFormed(_key: string, value: unknown): unknown {
    return typeof value === 'string' ? value.toWellFormed() : value;
}
