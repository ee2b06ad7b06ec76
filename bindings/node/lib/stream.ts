import { BrightlineError } from './errors.js';
import type { NativeEnd, NativeStep, NativeStream } from './native.js';
import { Verdict, type Action } from './verdict.js';

/** A part of a streamed message that arrives on its own: the answer, the reasoning, or the arguments of a tool call. */
export type Channel = 'text' | 'reasoning' | { readonly toolCall: number };

/** Text that may be shown. */
export interface Released {
    /** Where it belongs. */
    readonly channel: Channel;
    /** The text. */
    readonly text: string;
}

/** What one chunk led to. */
export interface Step {
    /** Text that may be shown, in order. */
    readonly released: readonly Released[];
    /** The strictest action that is certain by now, of `redact` and stricter; else `allow`. */
    readonly action: Action;
    /** Whether a finding has ended the stream: nothing more is released. */
    readonly stopped: boolean;
}

/** What the whole stream led to. */
export interface End {
    /** Text that may be shown, in order. */
    readonly released: readonly Released[];
    /** The verdict on the message, or on what of it arrived before a finding ended the stream. */
    readonly verdict: Verdict;
    /** Whether a finding of action `block` or `escalate` ended the stream. */
    readonly stopped: boolean;
}

const TEXT = -1;
const REASONING = -2;
/** The last unit is the first half of a surrogate pair. */
const FIRST_HALF = /[\ud800-\udbff]$/;

/**
 * A response that is judged while it arrives: chunks go in, cut anywhere, and text that may be shown comes out. It is the
 * same text and the same verdict for every way of cutting.
 *
 * @example
 * ```js
 * import { Guard } from "brightline";
 *
 * const stream = new Guard().stream("Tell me about tides.");
 * let shown = "";
 * for (const chunk of ["The moon pulls ", "at the sea."]) {
 *   for (const { text } of stream.push(chunk).released) shown += text;
 * }
 * const { released, verdict } = stream.finish();
 * for (const { text } of released) shown += text;
 * console.log(shown, verdict.action);
 * ```
 */
export class GuardStream {
    readonly #native: NativeStream;
    /** First halves of surrogate pairs whose second halves are in the next chunk, by channel. */
    readonly #halves = new Map<number, string>();
    #queue: Promise<unknown> = Promise.resolve();
    #pending = 0;
    #state: 'open' | 'finished' | 'closed' = 'open';

    /** @internal */
    constructor(native: NativeStream) {
        this.#native = native;
    }

    /** Declares a tool call before its arguments, or goes on with its name. */
    toolCall(index: number, name: string, id = ''): void {
        this.#ready();
        this.#native.toolCall(number({ toolCall: index }), id, name);
    }

    /**
     * Takes the next chunk of a channel: text, or UTF-8 bytes, cut anywhere.
     *
     * @throws {@link BrightlineError} `BL_STREAM_CLOSED` after the end, `BL_STREAM_BUSY` before an earlier chunk was judged.
     */
    push(chunk: string | Uint8Array, channel: Channel = 'text'): Step {
        this.#ready();
        const at = number(channel);
        return step(this.#native.push(at, this.#whole(at, chunk)));
    }

    /** As {@link GuardStream.push}, on a thread of the pool. Chunks are judged in the order of the calls. */
    async pushAsync(chunk: string | Uint8Array, channel: Channel = 'text'): Promise<Step> {
        this.#open();
        const at = number(channel);
        const whole = this.#whole(at, chunk);
        return step(await this.#later(() => this.#native.pushAsync(at, whole)));
    }

    /**
     * Ends the message. Called again, it gives the same verdict and releases nothing.
     *
     * @throws {@link BrightlineError} `BL_STREAM_CLOSED` after {@link GuardStream.close}.
     */
    finish(): End {
        if (this.#state !== 'finished') this.#ready();
        this.#state = 'finished';
        const last = this.#rest().map(([at, half]) => this.#native.push(at, half));
        return end(last, this.#native.finish());
    }

    /** As {@link GuardStream.finish}, on a thread of the pool. */
    async finishAsync(): Promise<End> {
        if (this.#state !== 'finished') this.#open();
        this.#state = 'finished';
        const last: NativeStep[] = [];
        for (const [at, half] of this.#rest()) {
            last.push(await this.#later(() => this.#native.pushAsync(at, half)));
        }
        return end(last, await this.#later(() => this.#native.finishAsync()));
    }

    /** Gives the stream up. What it holds back is never released, also not by a chunk that is being judged. */
    close(): void {
        this.#state = 'closed';
        this.#halves.clear();
    }

    #open(): void {
        if (this.#state !== 'open') throw closed();
    }

    #ready(): void {
        this.#open();
        if (this.#pending > 0) {
            throw new BrightlineError('BL_STREAM_BUSY', 'an earlier chunk is still being judged: await it first');
        }
    }

    /** Runs a task after those before it; what it releases is dropped if the stream was closed meanwhile. */
    async #later<T>(task: () => Promise<T>): Promise<T> {
        this.#pending += 1;
        const result = this.#queue.then(task);
        this.#queue = result.catch(() => undefined);
        try {
            const value = await result;
            if (this.#state === 'closed') throw closed();
            return value;
        } finally {
            this.#pending -= 1;
        }
    }

    /** The chunk with the half of a pair that came before it and without the one at its end. */
    #whole(at: number, chunk: string | Uint8Array): string | Buffer {
        const half = this.#halves.get(at) ?? '';
        if (typeof chunk === 'string') {
            const text = half + chunk;
            if (!FIRST_HALF.test(text)) {
                this.#halves.delete(at);
                return text;
            }
            this.#halves.set(at, text.slice(-1));
            return text.slice(0, -1);
        }
        if (!(chunk instanceof Uint8Array)) {
            throw new BrightlineError('BL_OPTIONS', `a chunk is a text or bytes, got ${chunk === null ? 'null' : typeof chunk}`);
        }
        this.#halves.delete(at);
        const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
        return half === '' ? bytes : Buffer.concat([Buffer.from(half), bytes]);
    }

    #rest(): [number, string][] {
        const rest = [...this.#halves];
        this.#halves.clear();
        return rest;
    }
}

function closed(): BrightlineError {
    return new BrightlineError('BL_STREAM_CLOSED', 'the stream has ended');
}

function number(channel: Channel): number {
    if (channel === 'text') return TEXT;
    if (channel === 'reasoning') return REASONING;
    const index = channel?.toolCall;
    if (Number.isInteger(index) && index >= 0 && index < 2 ** 32) return index;
    throw new BrightlineError('BL_OPTIONS', 'a channel is `text`, `reasoning` or `{ toolCall: index }`');
}

function channel(number: number): Channel {
    if (number === TEXT) return 'text';
    return number === REASONING ? 'reasoning' : { toolCall: number };
}

function pieces(released: NativeStep['released']): Released[] {
    return released.map((piece) => ({ channel: channel(piece.channel), text: piece.text }));
}

function step(native: NativeStep): Step {
    return { released: pieces(native.released), action: native.action as Action, stopped: native.stopped };
}

function end(last: NativeStep[], native: NativeEnd): End {
    const released = last.flatMap((it) => it.released).concat(native.released);
    return { released: pieces(released), verdict: new Verdict(native.verdict), stopped: native.stopped };
}
