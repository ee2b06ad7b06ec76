// A streamed chat completion, for the integrations that see its chunks.

import { CHOICE, completionInstead, context, HEAD, only, type ChatBody, type ChatOptions } from './chat.js';
import { BlockedError } from './errors.js';
import type { Guard } from './guard.js';
import type { Channel, GuardStream, Released } from './stream.js';
import { withholds, type Verdict } from './verdict.js';

type Loose = Record<string, any>;

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
    withheld: boolean;
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
    /** The last chunk without its choices. */
    #head: Loose = {};

    constructor(guard: Guard, body: ChatBody, options: ChatOptions) {
        this.#guard = guard;
        this.#body = body;
        this.#options = options;
    }

    /** The chunk with what may be shown, or nothing. */
    async *take(chunk: Loose): AsyncGenerator<Loose> {
        if (this.stopped) return;
        this.#head = only(chunk, HEAD);
        const choices: Loose[] = [];
        for (const choice of chunk['choices'] ?? []) {
            const shown = await this.#take(only(choice, [...CHOICE, 'delta']));
            if (shown) choices.push(shown);
        }
        const expected = this.#body.n ?? 1;
        this.stopped = this.#choices.size >= expected && [...this.#choices.values()].every((it) => it.ended && it.withheld);
        if (choices.length > 0 || chunk['usage']) yield { ...this.#head, choices };
    }

    /** Gives up what is held back. */
    close(): void {
        this.stopped = true;
        for (const { stream } of this.#choices.values()) stream.close();
    }

    /** What is left where the source ended without a finish reason. */
    async *rest(): AsyncGenerator<Loose> {
        for (const [index, choice] of this.#choices) {
            if (choice.ended) continue;
            yield { ...this.#head, choices: [await this.#end(choice, { index, delta: {}, finish_reason: null })] };
        }
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
            const { index = 0, id, type, function: given, custom } = call;
            const { name = '', arguments: text = custom?.input ?? '' } = given ?? custom ?? {};
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
        const choice: Choice = { stream, fields: { text: 'content', reasoning: 'reasoning_content' }, calls: new Map(), ended: false, withheld: false };
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
        choice.withheld = true;
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
            const named = { ...(name !== undefined && { name }) };
            const whole = { ...named, arguments: text };
            const told = type === 'custom' ? { custom: { ...named, input: text } } : { function: whole };
            choice.calls.delete(index);
            if (index === FUNCTION_CALL) delta['function_call'] = whole;
            else (delta['tool_calls'] ??= []).push({ index, ...(id && { id }), ...(type && { type }), ...told });
        }
    }
}
