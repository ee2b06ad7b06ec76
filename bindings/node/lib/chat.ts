// Requests, completions and chunks of the chat completions API, for the integrations that see them.

import { BlockedError } from './errors.js';
import type { Guard } from './guard.js';
import type { Message } from './input.js';
import type { Channel, GuardStream, Released } from './stream.js';
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

/** The request with placeholders where something is redacted, or why it is withheld. @internal */
export async function judgeRequest(guard: Guard, body: ChatBody, options: ChatOptions): Promise<[ChatBody, Verdict?]> {
    const { messages, system } = body;
    const judged = [...messages];
    const first = messages.findLastIndex((message) => message?.role === 'assistant') + 1;
    for (let target = first; target < messages.length; target += 1) {
        const message = messages[target];
        if (message?.role === 'system' || message?.role === 'developer') continue;
        const verdict = await guard.checkAsync({ messages, target, ...(system && { system }) });
        options.onVerdict?.(verdict);
        if (withholds(verdict)) {
            if (options.withheld === 'error') throw new BlockedError(verdict);
            return [body, verdict];
        }
        if (message) judged[target] = redacted(message, verdict.redactions);
    }
    return [{ ...body, messages: judged }];
}

/** The message with placeholders. */
function redacted<T extends object>(message: T, redactions: readonly Redaction[]): T {
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
    if (call?.['function']) {
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
    const choices: Loose[] = (completion as Loose)['choices'] ?? [];
    const judged = await Promise.all(
        choices.map(async (choice, at) => {
            const verdict = await guard.checkAsync({ ...context(body), messages: [...body.messages, choice['message']] });
            options.onVerdict?.(verdict);
            if (withholds(verdict)) {
                if (options.withheld === 'error') throw new BlockedError(verdict);
                return choiceInstead(verdict, choice['index'] ?? at);
            }
            if (verdict.redactions.length === 0) return choice;
            return { ...choice, logprobs: null, message: redacted(choice['message'], verdict.redactions) };
        }),
    );
    return { ...completion, choices: judged };
}

function context(body: ChatBody): { messages: Message[]; system?: string | object[] } {
    return { messages: body.messages, ...(body.system && { system: body.system }) };
}

/** The chunks that stand in for an answer that is withheld. @internal */
export function chunksInstead(verdict: Verdict, model: unknown): Loose[] {
    const { choices: _, ...head } = completionInstead(verdict, model);
    return [{ ...head, object: 'chat.completion.chunk', choices: [chunkInstead(verdict, 0)] }];
}

function chunkInstead(verdict: Verdict, index: number): Loose {
    return { index, delta: { role: 'assistant', content: verdict.message ?? '' }, finish_reason: 'content_filter' };
}

/** The index of the call that came before there were several. */
const FUNCTION_CALL = 2 ** 32 - 1;

/** The text fields of a delta, and what they are. */
const TEXTS: [string, Channel][] = [
    ['content', 'text'],
    ['refusal', 'text'],
    ['reasoning_content', 'reasoning'],
    ['reasoning', 'reasoning'],
];

/** One choice while it arrives. */
interface Choice {
    stream: GuardStream;
    /** The field that the texts of a channel go to. */
    fields: { text: string; reasoning: string };
    /** Calls whose arguments wait, without the arguments. */
    calls: Map<number, Loose>;
    ended: boolean;
}

/**
 * A streamed completion while it arrives. What it does not know, such as audio and the tokens beside `logprobs`, it does not
 * pass on. @internal
 */
export class ChatChunks {
    /** Whether nothing more is to be released. */
    stopped = false;
    readonly #guard: Guard;
    readonly #body: ChatBody;
    readonly #options: ChatOptions;
    readonly #choices = new Map<number, Choice>();

    constructor(guard: Guard, body: ChatBody, options: ChatOptions) {
        this.#guard = guard;
        this.#body = body;
        this.#options = options;
    }

    /** The chunk with what may be shown; without choices where that is nothing. */
    async take(chunk: Loose): Promise<Loose | undefined> {
        if (this.stopped) return undefined;
        const choices: Loose[] = [];
        for (const choice of chunk['choices'] ?? []) {
            const shown = await this.#take(choice);
            if (shown) choices.push(shown);
        }
        const expected = this.#body.n ?? 1;
        this.stopped = this.#choices.size >= expected && [...this.#choices.values()].every((it) => it.ended === true && this.#withheld);
        return choices.length > 0 || chunk['usage'] ? { ...chunk, choices } : undefined;
    }

    #withheld = false;

    /** Gives up what is held back. */
    close(): void {
        this.stopped = true;
        for (const { stream } of this.#choices.values()) stream.close();
    }

    /** What is left where the source ended without a finish reason. */
    async rest(): Promise<Loose[]> {
        const rest = [];
        for (const [index, choice] of this.#choices) {
            if (!choice.ended) rest.push(await this.#end(choice, { index, delta: {}, finish_reason: null }));
        }
        return rest;
    }

    async #take(part: Loose): Promise<Loose | undefined> {
        const choice = this.#choice(part['index'] ?? 0);
        if (choice.ended) return undefined;
        const { stream, fields } = choice;
        const delta: Loose = part['delta'] ?? {};
        const shown: Loose = { ...('role' in delta && { role: delta['role'] }) };
        const push = async (chunk: string, channel: Channel) => {
            const step = await stream.pushAsync(chunk, channel);
            this.#show(choice, step.released, shown);
            return step.stopped;
        };
        for (const [field, channel] of TEXTS) {
            const text = delta[field];
            if (typeof text !== 'string') continue;
            fields[channel as 'text' | 'reasoning'] = field;
            if (await push(text, channel)) return this.#end(choice, { ...part, delta: shown });
        }
        const older = delta['function_call'] && { index: FUNCTION_CALL, function: delta['function_call'] };
        for (const call of [...(delta['tool_calls'] ?? []), ...(older ? [older] : [])]) {
            const { index = 0, id, type, function: { name = '', arguments: text = '' } = {} } = call;
            const known = choice.calls.get(index);
            choice.calls.set(index, known ? { ...known, name: known['name'] + name } : { id, type, name });
            stream.toolCall(index, name, id);
            if (await push(text, { toolCall: index })) return this.#end(choice, { ...part, delta: shown });
        }
        const out = { ...part, delta: shown, ...('logprobs' in part && { logprobs: null }) };
        if (part['finish_reason']) return this.#end(choice, out);
        return Object.keys(shown).length > 0 ? out : undefined;
    }

    #choice(index: number): Choice {
        const known = this.#choices.get(index);
        if (known) return known;
        const stream = this.#guard.stream(context(this.#body));
        const choice: Choice = { stream, fields: { text: 'content', reasoning: 'reasoning_content' }, calls: new Map(), ended: false };
        this.#choices.set(index, choice);
        return choice;
    }

    async #end(choice: Choice, part: Loose): Promise<Loose> {
        choice.ended = true;
        const { released, verdict } = await choice.stream.finishAsync();
        this.#options.onVerdict?.(verdict);
        const delta: Loose = part['delta'];
        this.#show(choice, released, delta);
        if (!withholds(verdict)) {
            // Calls without arguments have nothing that could be released.
            for (const index of [...choice.calls.keys()]) this.#show(choice, [{ channel: { toolCall: index }, text: '' }], delta);
            return part;
        }
        if (this.#options.withheld === 'error') throw new BlockedError(verdict);
        this.#withheld = true;
        delta['content'] = (delta['content'] ?? '') + (verdict.message ?? '');
        return { ...part, delta, finish_reason: 'content_filter' };
    }

    #show(choice: Choice, released: readonly Released[], delta: Loose): void {
        for (const { channel, text } of released) {
            if (typeof channel === 'string') {
                const field = choice.fields[channel];
                delta[field] = (delta[field] ?? '') + text;
                continue;
            }
            const index = channel.toolCall;
            const { id, type, name } = choice.calls.get(index) ?? {};
            const whole = { ...(name !== undefined && { name }), arguments: text };
            choice.calls.delete(index);
            if (index === FUNCTION_CALL) delta['function_call'] = whole;
            else (delta['tool_calls'] ??= []).push({ index, ...(id && { id }), ...(type && { type }), function: whole });
        }
    }
}
