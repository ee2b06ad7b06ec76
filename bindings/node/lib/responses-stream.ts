// Streamed events of the Responses API.

import { passes, type ChatOptions, type Context } from './chat.js';
import { BlockedError } from './errors.js';
import type { Guard } from './guard.js';
import { judgeOutput } from './items.js';
import { begun, contextOf, filtered, messageInstead, textOf, type ResponsesBody } from './responses.js';
import type { GuardStream, Released } from './stream.js';
import { withholds, type Verdict } from './verdict.js';

type Loose = Record<string, any>;

/** Texts that come in pieces: the stem of their events, the field of the whole, the list they stand in, and its index. */
const TEXTS: Record<string, { field: string; list: string; inner: string }> = {
    'response.output_text': { field: 'text', list: 'content', inner: 'content_index' },
    'response.refusal': { field: 'refusal', list: 'content', inner: 'content_index' },
    'response.reasoning_text': { field: 'text', list: 'content', inner: 'content_index' },
    'response.reasoning_summary_text': { field: 'text', list: 'summary', inner: 'summary_index' },
};

/** Fields of an event that say where it belongs. */
const PLACE = new Set(['type', 'item_id', 'output_index', 'content_index', 'summary_index', 'sequence_number']);

/** A text while it arrives. */
interface Text {
    stem: string;
    /** The fields of its events without the text. */
    at: Loose;
    stream: GuardStream;
    shown: string;
    arrived: boolean;
    ended: boolean;
}

/**
 * A streamed response while it arrives. Texts are released as they come, calls when they are complete. Later events repeat
 * what the earlier ones were allowed to say; those that the guard cannot read are left out. @internal
 */
export class ResponseEvents {
    /** Whether nothing more is to be released. */
    stopped = false;
    readonly #guard: Guard;
    readonly #context: Context;
    readonly #options: ChatOptions;
    #response: Loose;
    readonly #texts = new Map<string, Text>();
    /** Items that were told of, as they were told, by the index of the output. */
    readonly #items = new Map<number, Loose>();
    /** Events of items that are shown when they are complete. */
    readonly #held = new Map<number, Loose[]>();
    #number = 0;

    constructor(guard: Guard, body: ResponsesBody, options: ChatOptions) {
        this.#guard = guard;
        this.#context = contextOf(body);
        this.#options = options;
        this.#response = begun(body['model']);
    }

    /** The events that may be shown after this one. */
    async *take(event: Loose): AsyncGenerator<Loose> {
        for await (const shown of this.#take(event)) yield { ...shown, sequence_number: this.#number++ };
    }

    /** The events that stand in for an answer that is withheld. */
    async *instead(verdict: Verdict): AsyncGenerator<Loose> {
        yield* this.take({ type: 'response.created', response: this.#response });
        for (const event of this.#refusal(verdict)) yield { ...event, sequence_number: this.#number++ };
    }

    /** Gives up what is held back. */
    close(): void {
        this.stopped = true;
        for (const { stream } of this.#texts.values()) stream.close();
    }

    async *#take(event: Loose): AsyncGenerator<Loose> {
        if (this.stopped) return;
        const type: string = event['type'] ?? '';
        const index: number = event['output_index'] ?? 0;
        const [, stem = '', end] = /^(.*)\.(delta|done)$/.exec(type) ?? [];
        if (this.#held.has(index) && type !== 'response.output_item.done' && 'output_index' in event) {
            this.#held.get(index)?.push(event);
        } else if (TEXTS[stem]) {
            yield* this.#text(event, stem, end === 'done');
        } else if (type === 'response.output_item.added') {
            yield* this.#added(event, index);
        } else if (type === 'response.output_item.done') {
            yield* this.#done(event, index);
        } else if (/^response\.(content|reasoning_summary)_part\.(added|done)$/.test(type)) {
            yield* this.#part(event, end === 'done');
        } else if (/^response\.(completed|incomplete|failed)$/.test(type)) {
            yield* this.#end(event);
        } else if (event['response']) {
            this.#response = { ...event['response'], output: [], output_text: '' };
            yield { ...event, response: this.#response };
        } else if (bare(event) || (type === 'error' && (await passes(this.#guard, this.#context, event)))) {
            yield event;
        }
    }

    async *#text(event: Loose, stem: string, ended: boolean): AsyncGenerator<Loose> {
        const { field, inner } = TEXTS[stem] as { field: string; inner: string };
        const text = this.#begin(stem, placeOf(event, inner));
        // A text that came in no pieces is told as one.
        const chunk: string = ended ? (text.arrived ? '' : (event[field] ?? '')) : (event['delta'] ?? '');
        if (chunk !== '') {
            text.arrived = true;
            const step = await text.stream.pushAsync(chunk, channelOf(text));
            yield* show(text, step.released);
            if (step.stopped) return yield* this.#finish(text);
        }
        if (!ended) return;
        yield* this.#finish(text);
        if (!this.stopped) yield done(text);
    }

    #begin(stem: string, at: Loose): Text {
        const key = JSON.stringify([stem, ...Object.values(at).slice(1)]);
        const known = this.#texts.get(key);
        if (known) return known;
        const stream = this.#guard.stream(this.#context);
        const text = { stem, at, stream, shown: '', arrived: false, ended: false };
        this.#texts.set(key, text);
        return text;
    }

    async *#finish(text: Text): AsyncGenerator<Loose> {
        if (text.ended) return;
        const end = await text.stream.finishAsync();
        yield* show(text, end.released);
        if (withholds(end.verdict)) yield* this.#refuse(end.verdict);
        else text.ended = true;
    }

    *#added(event: Loose, index: number): Generator<Loose> {
        const item: Loose = event['item'] ?? {};
        if (item['type'] !== 'message' && item['type'] !== 'reasoning') {
            this.#held.set(index, [event]);
            return;
        }
        const empty = { ...item, ...(item['content'] && { content: [] }), ...(item['summary'] && { summary: [] }) };
        this.#items.set(index, empty);
        yield { ...event, item: empty };
    }

    async *#part(event: Loose, ended: boolean): AsyncGenerator<Loose> {
        const part: Loose = event['part'] ?? {};
        const found = Object.entries(TEXTS).find(([stem]) => stem === stemOf(event, part));
        if (!found) return;
        const [stem, { field, inner }] = found;
        const text = this.#begin(stem, placeOf(event, inner));
        if (ended && !text.ended) yield* this.#text({ ...event, ...text.at, [field]: part[field] }, stem, true);
        if (!this.stopped) yield { ...event, part: partOf(text) };
    }

    async *#done(event: Loose, index: number): AsyncGenerator<Loose> {
        const held = this.#held.get(index);
        const item: Loose = event['item'] ?? {};
        if (!held && this.#of(index).length > 0) {
            for (const text of this.#of(index)) {
                yield* this.#finish(text);
                if (this.stopped) return;
            }
            const told = this.#laid(item, index);
            this.#items.set(index, told);
            yield { ...event, item: told };
            return;
        }
        const [judged, verdict] = await judgeOutput(this.#guard, this.#context, [item]);
        if (!judged) return yield* this.#refuse(verdict);
        const [shown = item] = judged;
        this.#held.delete(index);
        this.#items.set(index, shown);
        yield* complete(held ?? [], shown);
        yield { ...event, item: shown };
    }

    async *#end(event: Loose): AsyncGenerator<Loose> {
        for (const text of this.#texts.values()) {
            yield* this.#finish(text);
            if (this.stopped) return;
        }
        const given: Loose[] = event['response']?.output ?? [];
        const told = given.map((item, index) => this.#laid(item, index));
        const [output, verdict] = await judgeOutput(this.#guard, this.#context, told);
        if (!output) return yield* this.#refuse(verdict);
        this.#options.onVerdict?.(verdict);
        this.stopped = true;
        yield { ...event, response: { ...event['response'], output, output_text: textOf(output) } };
    }

    /** The item with what was told of it: nothing is found twice. */
    #laid(item: Loose, index: number): Loose {
        const texts = this.#of(index);
        if (texts.length === 0) return this.#items.get(index) ?? item;
        const laid = { ...item };
        for (const { list } of Object.values(TEXTS)) if (Array.isArray(laid[list])) laid[list] = [...laid[list]];
        for (const text of texts) {
            const { list, inner } = TEXTS[text.stem] as { list: string; inner: string };
            if (Array.isArray(laid[list])) laid[list][text.at[inner] ?? 0] = partOf(text);
        }
        return laid;
    }

    #of(index: number): Text[] {
        return [...this.#texts.values()].filter((text) => text.at['output_index'] === index);
    }

    *#refuse(verdict: Verdict): Generator<Loose> {
        this.#options.onVerdict?.(verdict);
        if (this.#options.withheld === 'error') throw new BlockedError(verdict);
        yield* this.#refusal(verdict);
    }

    /** The message, at the end of a text that is open or as an item of its own, and the end of the response. */
    *#refusal(verdict: Verdict): Generator<Loose> {
        this.close();
        let open = [...this.#texts.values()].find((text) => text.stem === 'response.output_text' && !text.ended);
        const index = open ? open.at['output_index'] : Math.max(-1, ...this.#items.keys()) + 1;
        const item = this.#items.get(index) ?? messageInstead(verdict);
        if (!open) {
            const at = { item_id: item['id'], output_index: index, content_index: 0 };
            open = this.#begin('response.output_text', at);
            const empty = { ...item, status: 'in_progress', content: [] };
            yield { type: 'response.output_item.added', output_index: index, item: empty };
            yield { type: 'response.content_part.added', ...at, part: partOf(open) };
        }
        yield* show(open, [{ channel: 'text', text: verdict.message ?? '' }]);
        yield done(open);
        yield { type: 'response.content_part.done', ...open.at, part: partOf(open) };
        const last = this.#laid({ ...item, status: 'completed', content: [] }, index);
        yield { type: 'response.output_item.done', output_index: index, item: last };
        this.#items.set(index, last);
        // Items that were begun and not ended are left out.
        const output = [...this.#items.values()].filter((it) => it['status'] !== 'in_progress');
        yield { type: 'response.incomplete', response: filtered(this.#response, output) };
    }
}

function placeOf(event: Loose, inner: string): Loose {
    return { item_id: event['item_id'], output_index: event['output_index'], [inner]: event[inner] };
}

function channelOf(text: Text): 'text' | 'reasoning' {
    return text.stem.startsWith('response.reasoning') ? 'reasoning' : 'text';
}

/** Which text a part is, by its own type. */
function stemOf(event: Loose, part: Loose): string {
    if ('summary_index' in event) return 'response.reasoning_summary_text';
    return `response.${part['type']}`;
}

function partOf(text: Text): Loose {
    switch (text.stem) {
        case 'response.output_text':
            return { type: 'output_text', text: text.shown, annotations: [] };
        case 'response.refusal':
            return { type: 'refusal', refusal: text.shown };
        case 'response.reasoning_text':
            return { type: 'reasoning_text', text: text.shown };
        default:
            return { type: 'summary_text', text: text.shown };
    }
}

function* show(text: Text, released: readonly Released[]): Generator<Loose> {
    const delta = released.map((it) => it.text).join('');
    if (delta === '') return;
    text.shown += delta;
    yield { type: `${text.stem}.delta`, ...text.at, delta, ...noTokens(text) };
}

function done(text: Text): Loose {
    const { field } = TEXTS[text.stem] as { field: string };
    return { type: `${text.stem}.done`, ...text.at, [field]: text.shown, ...noTokens(text) };
}

function noTokens(text: Text): Loose {
    return text.stem === 'response.output_text' ? { logprobs: [] } : {};
}

/** The events of an item that was held until it was complete, with its texts as they were judged. */
function* complete(held: Loose[], item: Loose): Generator<Loose> {
    const texts = { function_call: 'arguments', mcp_call: 'arguments', custom_tool_call: 'input' };
    const field = texts[item['type'] as keyof typeof texts];
    for (const event of held) {
        if (event['type'] === 'response.output_item.added') {
            const { status } = event['item'];
            const empty = field ? { ...item, [field]: '' } : { id: item['id'], type: item['type'] };
            yield { ...event, item: { ...empty, status } };
            if (field) yield* wholeCall(event, item, field);
        } else if (bare(event)) {
            yield event;
        }
    }
}

/** A call's text in one piece. */
function* wholeCall(event: Loose, item: Loose, field: string): Generator<Loose> {
    const stem = `response.${item['type']}_${field}`;
    const at = { item_id: item['id'], output_index: event['output_index'] };
    yield { type: `${stem}.delta`, ...at, delta: item[field] ?? '' };
    yield { type: `${stem}.done`, ...at, [field]: item[field] ?? '', ...(item['type'] === 'function_call' && { name: item['name'] }) };
}

/** Whether an event only says that something happens, and where. */
function bare(event: Loose): boolean {
    return Object.keys(event).every((field) => PLACE.has(field));
}
