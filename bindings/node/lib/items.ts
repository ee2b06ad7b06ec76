// Items of the Responses API, and of `@openai/agents`, which names some of their fields otherwise.

import { answered, judgeNew, words, type ChatOptions, type Context } from './chat.js';
import { BlockedError } from './errors.js';
import type { Guard } from './guard.js';
import type { Message } from './input.js';
import { withholds, type Verdict } from './verdict.js';

type Loose = Record<string, any>;

/** What the guard reads in an item, and how a redacted text takes its place; without that, the item is withheld. */
interface Piece {
    block: Loose;
    put?: (text: string) => void;
}

/** Lists of an item of reasoning. */
const REASONING = ['summary', 'content', 'rawContent'];

/** What the guard reads in an item. Redacted texts are put into the item itself. */
function pieces(item: Loose): Piece[] {
    const type: string = item['type'] ?? 'message';
    if (type === 'message') return typeof item['content'] === 'string' ? [whole(item)] : (item['content'] ?? []).flatMap(part);
    if (type === 'reasoning') {
        const texts: Loose[] = REASONING.flatMap((list) => item[list] ?? []);
        return texts.map((it) => ({ block: { type, text: it['text'] ?? '' }, put: (text) => void (it['text'] = text) }));
    }
    if (type === 'mcp_call') return [call(item, 'arguments'), ...(item['output'] ? [result(item)] : [])];
    if (type === 'function_call') return [call(item, 'arguments')];
    if (type === 'custom_tool_call') return [call(item, 'input')];
    if (/_(output|result)$/.test(type)) return [result(item)];
    const text = words(item);
    if (text === '') return [{ block: { type } }];
    const isCall = type.endsWith('_call');
    return [{ block: isCall ? { type: 'tool_use', name: item['name'] ?? type, input: text } : { type: 'text', text } }];
}

function whole(item: Loose): Piece {
    return { block: { type: 'text', text: item['content'] }, put: (text) => void (item['content'] = text) };
}

/** A part of a message, and what stands beside its text. */
function part(of: Loose): Piece[] {
    const field = ['text', 'refusal', 'transcript'].find((it) => typeof of[it] === 'string');
    if (!field) return [{ block: { type: of['type'] } }];
    const put = (text: string) => {
        of[field] = text;
        // They repeat the text, token by token or as it was given.
        for (const other of ['logprobs', 'providerData']) delete of[other];
    };
    const beside = words([of['annotations'], of['providerData']?.annotations]);
    const drop = () => {
        if (of['annotations']) of['annotations'] = [];
        delete of['providerData'];
    };
    return [
        { block: { type: 'text', text: of[field] }, put },
        ...(beside === '' ? [] : [{ block: { type: 'text', text: beside }, put: drop }]),
    ];
}

function call(item: Loose, field: string): Piece {
    return {
        block: { type: 'tool_use', name: item['name'] ?? '', input: item[field] ?? '' },
        put: (text) => void (item[field] = text),
    };
}

/** What a tool gave back: a text, an object with one, a list of parts, or whatever else. */
function result(item: Loose): Piece {
    const output = item['output'];
    const block = (content: unknown) => ({ type: 'tool_result', content });
    if (typeof output === 'string') return { block: block(output), put: (text) => void (item['output'] = text) };
    if (typeof output?.text === 'string' && words({ ...output, text: '' }) === '') {
        return { block: block(output.text), put: (text) => void (item['output'] = { ...output, text }) };
    }
    if (!Array.isArray(output)) return { block: block(words(item)) };
    const isText = (it: Loose) => typeof it['text'] === 'string';
    return {
        block: block(output.map((it) => (isText(it) ? { type: 'text', text: it.text } : { type: it.type ?? 'unknown' }))),
        put: (text) => void (item['output'] = [{ type: 'input_text', text }, ...output.filter((it) => !isText(it))]),
    };
}

function toMessage(item: Loose): Message {
    const type: string = item['type'] ?? 'message';
    const answer = type !== 'message' && !/_(output|result|reference)$/.test(type);
    return { role: item['role'] ?? (answer ? 'assistant' : 'user'), content: pieces(item).map((it) => it.block) };
}

/** Input of the Responses API, or of an agent, as messages. @internal */
export function toMessages(input: string | readonly object[]): Message[] {
    return typeof input === 'string' ? [{ role: 'user', content: input }] : input.map(toMessage);
}

/** The input with placeholders where something is redacted, or why it is withheld. @internal */
export async function judgeInput<T extends string | readonly object[]>(
    guard: Guard,
    input: T,
    system: string | undefined,
    options: ChatOptions,
): Promise<[T, Verdict?]> {
    const [verdicts, withheld] = await judgeNew(guard, { messages: toMessages(input), system }, options);
    if (withheld) return [input, withheld];
    if (typeof input === 'string') return [(verdicts.get(0)?.redacted ?? input) as T];
    const items: object[] = [];
    for (const [at, item] of input.entries()) {
        const verdict = verdicts.get(at);
        const shown = verdict ? redacted([item], verdict) : [item];
        if (shown) {
            items.push(...shown);
        } else if (verdict) {
            if (options.withheld === 'error') throw new BlockedError(verdict);
            return [input, verdict];
        }
    }
    return [items as unknown as T];
}

/** Copies of items with placeholders; nothing where something is redacted that no placeholder can stand for. */
function redacted<T extends object>(items: readonly T[], verdict: Verdict): readonly T[] | undefined {
    if (verdict.redactions.length === 0) return items;
    const copies = structuredClone(items);
    const found = copies.flatMap(pieces);
    for (const { part, text } of verdict.redactions) {
        const put = found[part ?? 0]?.put;
        if (!put) return undefined;
        put(text);
    }
    return copies;
}

/** Items of an answer with placeholders where something is redacted, and the verdict; no items where it withholds. @internal */
export async function judgeOutput<T extends object>(
    guard: Guard,
    of: Context,
    output: readonly T[],
): Promise<[readonly T[] | undefined, Verdict]> {
    const content = output.flatMap((item) => pieces(item).map((it) => it.block));
    const verdict = await guard.checkAsync(answered(of, { role: 'assistant', content }));
    return [withholds(verdict) ? undefined : redacted(output, verdict), verdict];
}
