// Event streams of chat completions, for the integrations that answer with them.

import { ChatChunks } from './chat-stream.js';
import { passes, type ChatBody, type ChatOptions } from './chat.js';
import { BlockedError, BrightlineError } from './errors.js';
import type { Guard } from './guard.js';

/** The most UTF-16 units that one event may have. */
const MAX_EVENT = 8 << 20;

const DONE = '[DONE]';

/**
 * Lets through what may be shown of an event stream of chat completion chunks. A comment is passed on without its text; names
 * and ids of events are left out. Where the stream cannot go on, it ends with an event that holds an `error`, and without
 * `[DONE]`. @internal
 */
export function eventTransform(guard: Guard, body: ChatBody, options: ChatOptions): TransformStream<Uint8Array, Uint8Array> {
    const chunks = new ChatChunks(guard, body, options);
    const reader = new EventReader();
    const encoder = new TextEncoder();
    type Sink = TransformStreamDefaultController<Uint8Array>;
    const tell = (to: Sink, data: unknown) => {
        to.enqueue(encoder.encode(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`));
    };
    let over = false;
    const end = (to: Sink) => {
        over = true;
        chunks.close();
        to.terminate();
    };
    const finish = async (to: Sink) => {
        for await (const chunk of chunks.rest()) tell(to, chunk);
        tell(to, DONE);
        end(to);
    };
    const take = async (data: string, to: Sink) => {
        if (data === '') return void to.enqueue(encoder.encode(':\n\n'));
        if (data === DONE) return finish(to);
        const json = parsed(data);
        if (Array.isArray(json?.['choices'])) {
            for await (const chunk of chunks.take(json)) tell(to, chunk);
            if (chunks.stopped) await finish(to);
        } else if (json?.['error'] && (await passes(guard, body, json))) {
            tell(to, json);
        } else {
            throw new BrightlineError('BL_OPTIONS', 'an event is no chunk of a chat completion: wrap the client that makes it');
        }
    };
    const orFail = async (to: Sink, work: () => Promise<void>) => {
        try {
            await work();
        } catch (error) {
            tell(to, { error: described(error) });
            end(to);
        }
    };
    return new TransformStream<Uint8Array, Uint8Array>({
        transform: (bytes, to) =>
            orFail(to, async () => {
                for (const data of reader.take(bytes)) {
                    if (over) return;
                    await take(data, to);
                }
            }),
        // Not every server says `[DONE]`. What is left of the last event is none.
        flush: (to) =>
            orFail(to, async () => {
                if (!over) for await (const chunk of chunks.rest()) tell(to, chunk);
            }),
        cancel: () => chunks.close(),
    } as Transformer<Uint8Array, Uint8Array>);
}

/** What clients are told of an error. @internal */
export function described(error: unknown): object {
    if (!(error instanceof BrightlineError)) return { code: 'BL_INTERNAL', message: 'the answer could not be judged' };
    const { code, message, path } = error;
    const clauses = error instanceof BlockedError ? error.verdict.findings.map((it) => it.clause) : undefined;
    return { code, message, path, clauses };
}

/** JSON that is an object, or nothing. @internal */
export function parsed(text: string): Record<string, any> | undefined {
    try {
        const json: unknown = JSON.parse(text);
        return typeof json === 'object' && json !== null ? json : undefined;
    } catch {
        return undefined;
    }
}

/** Cuts a stream of bytes into events: the data of each, empty for a comment. */
class EventReader {
    readonly #decoder = new TextDecoder();
    #line = '';
    #data: string[] = [];
    /** A line feed that follows belongs to the carriage return before it. */
    #returned = false;

    *take(bytes: Uint8Array | string): Generator<string> {
        let text = typeof bytes === 'string' ? bytes : this.#decoder.decode(bytes, { stream: true });
        if (text !== '' && this.#returned) {
            this.#returned = false;
            if (text.startsWith('\n')) text = text.slice(1);
        }
        this.#returned = text.endsWith('\r');
        const [first = '', ...others] = text.split(/\r\n|\r|\n/);
        this.#line += first;
        for (const next of others) {
            yield* this.#end(this.#line);
            this.#line = next;
        }
        if (this.#line.length + this.#data.reduce((sum, it) => sum + it.length, 0) > MAX_EVENT) {
            throw new BrightlineError('BL_OPTIONS', 'an event of the stream is too long');
        }
    }

    *#end(line: string): Generator<string> {
        if (line === '') {
            const data = this.#data.join('\n');
            this.#data = [];
            if (data !== '') yield data;
        } else if (line.startsWith(':')) {
            yield '';
        } else if (line.startsWith('data:')) {
            this.#data.push(line.slice(line.startsWith('data: ') ? 6 : 5));
        }
    }
}
