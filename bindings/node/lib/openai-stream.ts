// What `create` of the `openai` package gives for a stream.

import { ReadableStream, TextEncoderStream, TransformStream } from 'node:stream/web';

type Loose = Record<string, any>;

/** Chunks to iterate over once, and a controller to end them with. @internal */
export interface Streamed extends AsyncIterable<object> {
    controller: AbortController;
}

/** What judges the chunks of one answer. @internal */
export interface Chunks {
    readonly stopped: boolean;
    take(chunk: object): AsyncIterable<object>;
    rest?(): AsyncIterable<object>;
    close(): void;
}

/** The stream with what may be shown; chunks that need no judging come without `judge`. @internal */
export function streamed(source: Streamed | AsyncIterable<object> | Iterable<object>, judge?: Chunks): Streamed {
    const controller = new AbortController();
    if ('controller' in source) controller.signal.addEventListener('abort', () => source.controller.abort(), { once: true });
    return new GuardedStream(judge ? judged(source as Streamed, judge, controller) : source, controller);
}

async function* judged(source: Streamed, judge: Chunks, controller: AbortController): AsyncGenerator<object> {
    let over = false;
    try {
        for await (const chunk of source) {
            yield* judge.take(chunk);
            if (judge.stopped) break;
        }
        // A source that was aborted just ends.
        if (judge.rest && !judge.stopped && !source.controller.signal.aborted) yield* judge.rest();
        over = true;
    } finally {
        judge.close();
        source.controller.abort();
        // As the package has it: whoever stops reading aborts. An answer that the guard ended has ended.
        if (!over) controller.abort();
    }
}

class GuardedStream implements Streamed {
    readonly controller: AbortController;
    readonly #chunks: AsyncIterable<object> | Iterable<object>;

    constructor(chunks: AsyncIterable<object> | Iterable<object>, controller: AbortController) {
        this.#chunks = chunks;
        this.controller = controller;
    }

    async *[Symbol.asyncIterator](): AsyncGenerator<object> {
        yield* this.#chunks;
    }

    /** Two streams of the same chunks; each keeps what the other has not read yet. */
    tee(): [Streamed, Streamed] {
        const [one, two] = ReadableStream.from(this).tee();
        return [new GuardedStream(one, this.controller), new GuardedStream(two, this.controller)];
    }

    /** The chunks as JSON, one a line. */
    toReadableStream(): ReadableStream<Uint8Array> {
        const lines = new TransformStream<Loose, string>({
            transform: (chunk, to) => to.enqueue(JSON.stringify(chunk) + '\n'),
        });
        return ReadableStream.from(this).pipeThrough(lines).pipeThrough(new TextEncoderStream());
    }
}
