// Requests and answers of the chat completions API, for the integrations that see them.

import { BlockedError, BrightlineError } from './errors.js';
import type { Guard } from './guard.js';
import type { Message } from './input.js';
import { withholds, type Redaction, type Verdict } from './verdict.js';

/** How an integration acts on verdicts. */
export interface ChatOptions {
    /**
     * `message`: the answer is the verdict's message, which is safe to show, and the finish reason is `content_filter`.
     * `error`: the call, or the stream, fails with a {@link BlockedError}. `message` without it.
     */
    readonly withheld?: 'message' | 'error' | undefined;
    /** Told of every verdict on a request, a tool result or a whole answer. */
    readonly onVerdict?: ((verdict: Verdict) => void) | undefined;
}

/** What an API takes: the messages, and whatever else it needs. @internal */
export interface ChatBody {
    messages: Message[];
    system?: string | object[];
    n?: number | null;
    [key: string]: unknown;
}

type Loose = Record<string, any>;

/** @internal */
export function isChatBody(body: unknown): body is ChatBody {
    return typeof body === 'object' && body !== null && Array.isArray((body as ChatBody).messages);
}

/** What an answer follows. @internal */
export interface Context {
    messages: Message[];
    system?: string | object[] | undefined;
}

/**
 * The verdicts on a request's messages, by index, or the one that withholds. Judged is what is new: all after the last answer,
 * and a last message that puts words into the model's mouth. What came before was judged when it was new, and is looked at
 * once more for what is to be redacted, since the host sends it as it was. @internal
 */
export async function judgeNew(guard: Guard, of: Context, options: ChatOptions): Promise<[Map<number, Verdict>, Verdict?]> {
    const { messages } = of;
    const verdicts = new Map<number, Verdict>();
    const asked = [...messages.keys()].filter((at) => !OPERATOR.includes(messages[at]?.role));
    const first = messages.slice(0, -1).findLastIndex((message) => message?.role === 'assistant') + 1;
    for (const target of asked.filter((at) => at >= first)) {
        const verdict = await guard.checkAsync({ ...context(of), target });
        options.onVerdict?.(verdict);
        verdicts.set(target, verdict);
        if (withholds(verdict)) {
            if (options.withheld === 'error') throw new BlockedError(verdict);
            return [verdicts, verdict];
        }
    }
    const before = asked.filter((at) => at < first && messages[at]?.role !== 'assistant');
    if (before.length === 0) return [verdicts];
    const again = await guard.checkBatch(before.map((at) => messages.slice(at, at + 1)));
    for (const [number, verdict] of again.entries()) verdicts.set(before[number] ?? 0, verdict);
    return [verdicts];
}

/** Who writes what is context. */
const OPERATOR: unknown[] = ['system', 'developer'];

/** The request with placeholders where something is redacted, or why it is withheld. @internal */
export async function judgeRequest(guard: Guard, body: ChatBody, options: ChatOptions): Promise<[ChatBody, Verdict?]> {
    const [verdicts, withheld] = await judgeNew(guard, body, options);
    if (withheld) return [body, withheld];
    const messages = body.messages.map((message, at) => redacted(message, verdicts.get(at)?.redactions ?? []));
    return [{ ...body, messages }];
}

/** The message with placeholders. */
function redacted<T extends object>(message: T, redactions: readonly Redaction[]): T {
    if (redactions.length === 0) return message;
    const copy: Loose = { ...message };
    // A refusal follows the content, and both are one string.
    const fields = ['content', 'refusal'].filter((field) => typeof copy[field] === 'string');
    for (const { field, part, text } of redactions) {
        if (field === 'reasoning' && part === undefined) copy['reasoning_content'] = text;
        else if (field === 'tool_calls' && part !== undefined) redactCall(copy, part, text);
        else if (part === undefined) copy[fields.shift() ?? 'content'] = text;
        else redactBlock(copy, part, text);
    }
    return copy as T;
}

function redactCall(message: Loose, part: number, text: string): void {
    const calls: Loose[] = message['tool_calls'] ?? [];
    const call = calls[part];
    if (call?.['custom']) {
        message['tool_calls'] = calls.with(part, { ...call, custom: { ...call['custom'], input: text } });
    } else if (call?.['function']) {
        message['tool_calls'] = calls.with(part, { ...call, function: { ...call['function'], arguments: text } });
    } else if (message['function_call']) {
        message['function_call'] = { ...message['function_call'], arguments: text };
    } else {
        redactBlock(message, part, text);
    }
}

function redactBlock(message: Loose, part: number, text: string): void {
    const block = message['content']?.[part];
    const field = { tool_result: 'content', thinking: 'thinking', refusal: 'refusal' }[block?.type as string] ?? 'text';
    const whole = block?.type === 'tool_use' ? { ...block, input: JSON.parse(text) } : { ...block, [field]: text };
    message['content'] = message['content'].with(part, typeof block === 'string' ? text : whole);
}

/** The completion that stands in for an answer that is withheld. @internal */
export function completionInstead(verdict: Verdict, model: unknown): Loose {
    return {
        id: 'brightline',
        object: 'chat.completion',
        created: Math.floor(Date.now() / 1000),
        model: model ?? '',
        choices: [choiceInstead(verdict, 0)],
    };
}

function choiceInstead(verdict: Verdict, index: number): Loose {
    const message = { role: 'assistant', content: verdict.message ?? '', refusal: null };
    return { index, message, logprobs: null, finish_reason: 'content_filter' };
}

/** The completion with placeholders, or with messages in place of what is withheld. @internal */
export async function judgeCompletion<T extends object>(
    guard: Guard,
    body: ChatBody,
    completion: T,
    options: ChatOptions,
): Promise<T> {
    const { choices = [], ...head } = completion as Loose;
    const judge = async (choice: Loose, at: number) => {
        if (!choice['message']) throw new BrightlineError('BL_INPUT', 'a choice of the completion has no `message`');
        const { message: given, ...others } = choice;
        const message = await withoutExtras(guard, body, given, MESSAGE);
        const verdict = await guard.checkAsync(answered(body, message as Message));
        options.onVerdict?.(verdict);
        if (withholds(verdict)) {
            if (options.withheld === 'error') throw new BlockedError(verdict);
            return choiceInstead(verdict, choice['index'] ?? at);
        }
        const shown = await withoutExtras(guard, body, others, CHOICE);
        if (verdict.redactions.length === 0) return { ...shown, message };
        return { ...shown, logprobs: null, message: redacted(message, verdict.redactions) };
    };
    const shown = await withoutExtras(guard, body, head, HEAD);
    return { ...shown, choices: await Promise.all(choices.map(judge)) } as unknown as T;
}

/** The fields of an answer that the guard reads by themselves. */
const MESSAGE = ['role', 'content', 'refusal', 'reasoning_content', 'tool_calls', 'function_call'];

/** Those of a choice that repeat it or hold no words. @internal */
export const CHOICE = ['index', 'finish_reason', 'logprobs'];

/** Those of a completion, or of a chunk, that hold no words of the model. @internal */
export const HEAD = ['id', 'object', 'created', 'model', 'usage', 'system_fingerprint', 'service_tier'];

/** The fields of an object that are named. @internal */
export function only(object: Loose, known: readonly string[]): Loose {
    return Object.fromEntries(Object.entries(object).filter(([field]) => known.includes(field)));
}

/** The object without its other fields, such as annotations or the transcript of a recording, where they do not pass. */
async function withoutExtras(guard: Guard, body: ChatBody, object: Loose, known: readonly string[]): Promise<Loose> {
    const extras = Object.entries(object).filter(([field]) => !known.includes(field));
    return (await passes(guard, body, Object.fromEntries(extras))) ? object : only(object, known);
}

/** Whether the words of an answer's JSON may be shown as they are. @internal */
export async function passes(guard: Guard, of: Context, json: unknown): Promise<boolean> {
    const content = words(json);
    if (content === '') return true;
    return (await guard.checkAsync(answered(of, { role: 'assistant', content }))).passes;
}

/** Fields of the protocols that hold no words of a model. */
const NO_WORDS = new Set(['id', 'type', 'status', 'role', 'call_id', 'callId', 'data', 'encrypted_content', 'result', 'signature']);

/** The texts in a JSON value, a line each. @internal */
export function words(json: unknown): string {
    if (typeof json === 'string') return json;
    if (typeof json !== 'object' || json === null) return '';
    const fields = Object.entries(json).filter(([field]) => Array.isArray(json) || !NO_WORDS.has(field));
    return fields.map(([, value]) => words(value)).filter((it) => it !== '').join('\n');
}

/** @internal */
export function context(of: Context): Context {
    return { messages: of.messages.map(readable), ...(of.system && { system: of.system }) };
}

/** The context with an answer after it, which is what is judged. @internal */
export function answered(of: Context, answer: Message): Context {
    const { messages, ...others } = context(of);
    return { ...others, messages: [...messages, readable(answer)] };
}

/** The message as the guard reads it: what a custom tool is called with is a text. */
function readable(message: Message): Message {
    const calls: unknown = message?.tool_calls;
    if (!Array.isArray(calls) || !calls.some((call) => call?.custom)) return message;
    const plain = ({ custom, ...call }: Loose) => ({ ...call, ...(custom && { function: { name: custom.name, arguments: custom.input } }) });
    return { ...message, tool_calls: calls.map(plain) };
}
