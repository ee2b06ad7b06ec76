/**
 * A guarded client of the `openai` package: chat completions, streamed ones included.
 *
 * @example
 * ```js
 * import OpenAI from "openai";
 * import { Guard } from "brightline";
 * import { guardOpenAI } from "brightline/openai";
 *
 * const client = guardOpenAI(new OpenAI(), new Guard());
 * const completion = await client.chat.completions.create({ model, messages });
 * ```
 *
 * @packageDocumentation
 */
import { ChatChunks, chunksInstead, completionInstead, judgeCompletion, judgeRequest, type ChatBody, type ChatOptions } from './chat.js';
import type { Guard } from './guard.js';

export type { ChatOptions } from './chat.js';

/** The part of a client that is guarded. */
interface Client {
    chat: { completions: { create(body: any, options?: any): any } };
}

/**
 * The client with `chat.completions.create` judged on both sides: what is new in the messages before the model is called,
 * and the answer before it is returned, or while it is streamed. Other methods are the client's own, and not guarded.
 *
 * `create` of the guarded client gives a plain promise. The client that is passed in stays as it is.
 */
export function guardOpenAI<T extends Client>(client: T, guard: Guard, options: ChatOptions = {}): T {
    const { completions } = client.chat;
    async function create(body: ChatBody & { stream?: boolean; model?: string }, request?: object): Promise<unknown> {
        const [judged, refusal] = await judgeRequest(guard, body, options);
        if (refusal) {
            return body.stream ? streamOf(chunksInstead(refusal, body.model)) : completionInstead(refusal, body.model);
        }
        const answer = await completions.create(judged, request);
        if (!body.stream) return judgeCompletion(guard, judged, answer, options);
        return streamed(guard, judged, answer, options);
    }
    return over(client, { chat: over(client.chat, { completions: over(completions, { create }) }) });
}

/** The object with some properties replaced; its methods still see the object itself. */
function over<T extends object>(object: T, replaced: object): T {
    return new Proxy(object, {
        get(target, key) {
            if (Object.hasOwn(replaced, key)) return (replaced as Record<PropertyKey, unknown>)[key];
            const value = Reflect.get(target, key, target);
            return typeof value === 'function' ? value.bind(target) : value;
        },
    });
}

/** What `create` gives for a stream: chunks to iterate over, and a controller to end it with. */
interface Streamed extends AsyncIterable<object> {
    controller: AbortController;
}

function streamOf(chunks: object[]): Streamed {
    return { controller: new AbortController(), [Symbol.asyncIterator]: () => iterate(chunks) };
}

async function* iterate(chunks: object[]): AsyncGenerator<object> {
    yield* chunks;
}

function streamed(guard: Guard, body: ChatBody, answer: Streamed, options: ChatOptions): Streamed {
    async function* chunks(): AsyncGenerator<object> {
        const judged = new ChatChunks(guard, body, options);
        try {
            let head = {};
            for await (const chunk of answer) {
                const { choices: _, ...others } = chunk as { choices?: unknown };
                head = others;
                const shown = await judged.take(chunk);
                if (shown) yield shown;
                if (judged.stopped) return;
            }
            const rest = await judged.rest();
            if (rest.length > 0) yield { ...head, choices: rest };
        } finally {
            judged.close();
            answer.controller.abort();
        }
    }
    return { controller: answer.controller, [Symbol.asyncIterator]: chunks };
}
