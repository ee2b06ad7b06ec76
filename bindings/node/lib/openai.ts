/**
 * A guarded client of the `openai` package: chat completions and the Responses API, streamed ones included.
 *
 * @example
 * ```js
 * import OpenAI from "openai";
 * import { Guard } from "brightline";
 * import { guardOpenAI } from "brightline/openai";
 *
 * const client = guardOpenAI(new OpenAI(), new Guard());
 * const completion = await client.chat.completions.create({ model, messages });
 * const response = await client.responses.create({ model, input });
 * ```
 *
 * @packageDocumentation
 */
import { ChatChunks, chunksInstead } from './chat-stream.js';
import { completionInstead, isChatBody, judgeCompletion, judgeRequest, type ChatBody, type ChatOptions } from './chat.js';
import { BrightlineError } from './errors.js';
import type { Guard } from './guard.js';
import { streamed, type Chunks, type Streamed } from './openai-stream.js';
import { ResponseEvents } from './responses-stream.js';
import { judgeResponse, judgeResponsesRequest, responseInstead, type ResponsesBody } from './responses.js';
import type { Verdict } from './verdict.js';

export type { ChatOptions } from './chat.js';

/** A group of methods of a client. */
type Resource = { create: (body: any, options?: any) => any } & object;

/** The part of a client that is guarded. */
interface Client {
    chat: { completions: Resource };
    responses?: Resource;
    withOptions?(options: object): unknown;
}

/** What of a client is left as it is: nothing in it is a model's answer. */
const PASSED = ['models', 'embeddings', 'files', 'uploads', 'moderations', 'vectorStores', 'webhooks'];

/**
 * The client with `chat.completions` and `responses` judged on both sides: what is new in the request before the model is
 * called, and the answer before it is returned, or while it is streamed. `create`, `parse`, `stream` and `runTools` are
 * judged. What else could carry a model's text throws `BL_UNGUARDED`: use the client that was passed in, which stays as it is.
 */
export function guardOpenAI<T extends Client>(client: T, guard: Guard, options: ChatOptions = {}): T {
    const { chat, responses } = client;
    const completions = resource(chat.completions, 'chat.completions.', ofChat(guard, options));
    const guarded: T = limited(client, '', {
        ...Object.fromEntries(PASSED.filter((name) => name in client).map((name) => [name, Reflect.get(client, name)])),
        chat: limited(chat, 'chat.', { completions }),
        responses: responses && resource(responses, 'responses.', ofResponses(guard, options)),
        withOptions: (given: object) => guardOpenAI(client.withOptions?.(given) as T, guard, options),
    });
    return guarded;

    /** The methods of a resource that are judged: `create`, and those of the package that only call `create`. */
    function resource(of: Resource, path: string, api: Api): Resource {
        const create = (body: any, request?: object) => answered(() => judgedCall(of, api, body, request), body, request);
        const helpers = ['parse', 'stream', 'runTools'].filter((name) => name in of);
        // They see nothing but the guarded client, so that they cannot go another way.
        const call = (name: string) => (...given: unknown[]) => Reflect.get(of, name).apply({ _client: guarded }, given);
        return limited(of, path, { create, ...Object.fromEntries(helpers.map((name) => [name, call(name)])) });
    }
}

/** One of the two APIs, for the guard. */
interface Api {
    request(body: any): Promise<[any, Verdict?]>;
    whole(body: any, answer: any): Promise<object>;
    chunks(body: any): Chunks;
    /** What stands in for an answer that is withheld. */
    instead(verdict: Verdict, body: any): object;
    insteadChunks(verdict: Verdict, body: any): AsyncIterable<object> | Iterable<object>;
}

function ofChat(guard: Guard, options: ChatOptions): Api {
    return {
        async request(body: unknown) {
            if (isChatBody(body)) return judgeRequest(guard, body, options);
            throw new BrightlineError('BL_INPUT', '`messages` is missing: there is nothing to judge', { path: 'messages' });
        },
        whole: (body: ChatBody, answer) => judgeCompletion(guard, body, answer, options),
        chunks: (body: ChatBody) => new ChatChunks(guard, body, options),
        instead: (verdict, { model }) => completionInstead(verdict, model),
        insteadChunks: (verdict, { model }) => chunksInstead(verdict, model),
    };
}

function ofResponses(guard: Guard, options: ChatOptions): Api {
    return {
        request: (body: ResponsesBody) => judgeResponsesRequest(guard, body, options),
        whole: (body: ResponsesBody, answer) => judgeResponse(guard, body, answer, options),
        chunks: (body: ResponsesBody) => new ResponseEvents(guard, body, options),
        instead: (verdict, { model }) => responseInstead(verdict, model),
        insteadChunks: (verdict, body) => new ResponseEvents(guard, body, options).instead(verdict),
    };
}

/** An answer, and what is known of the transfer that brought it. */
interface Answered {
    data: unknown;
    response: Response;
    request_id: string | null;
}

async function judgedCall(of: Resource, api: Api, body: any, request: object | undefined): Promise<Answered> {
    const [judged, refusal] = await api.request(body);
    if (refusal) {
        const data = body.stream ? streamed(api.insteadChunks(refusal, body)) : api.instead(refusal, body);
        return { data, response: new Response(null), request_id: null };
    }
    const call = of.create(judged, request);
    const given: Answered = call.withResponse ? await call.withResponse() : { data: await call };
    const data = body.stream ? streamed(given.data as Streamed, api.chunks(judged)) : await api.whole(judged, given.data);
    // The body of the response is what was not judged.
    const { status = 200, statusText = '', headers = new Headers() } = given.response ?? {};
    return { data, response: new Response(null, { status, statusText, headers }), request_id: given.request_id ?? null };
}

/** A promise with the methods of the package's own. */
function answered(call: () => Promise<Answered>, body: object, request: object | undefined): Promise<unknown> {
    const given = call();
    const data = given.then((it) => it.data);
    // Whoever takes the answer another way is told of a failure there.
    const instead = <T>(other: T): T => (data.catch(() => undefined), other);
    return Object.assign(data, {
        withResponse: () => instead(given),
        asResponse: () => instead(Promise.reject(unguarded('asResponse'))),
        _thenUnwrap: (change: (data: unknown, props: object) => unknown) => {
            const changed = async () => {
                const answer = await given;
                return { ...answer, data: change(answer.data, { response: answer.response, options: { ...request, body } }) };
            };
            return instead(answered(changed, body, request));
        },
    });
}

/** The object with nothing but these properties and its plain values. */
function limited<T extends object>(object: T, path: string, allowed: object): T {
    return new Proxy(object, {
        get(target, key) {
            if (Object.hasOwn(allowed, key)) return (allowed as Record<PropertyKey, unknown>)[key];
            const value = Reflect.get(target, key, target);
            if (typeof key === 'symbol' || key in Object.prototype) return value;
            if (typeof value === 'function') return () => { throw unguarded(path + key); };
            if (typeof value === 'object' && value !== null && !isPlain(value)) throw unguarded(path + key);
            return value;
        },
    });
}

function isPlain(value: object): boolean {
    const prototype = Object.getPrototypeOf(value);
    return prototype === null || prototype === Object.prototype || prototype === Array.prototype;
}

function unguarded(name: string): BrightlineError {
    return new BrightlineError('BL_UNGUARDED', `\`${name}\` is not judged: use the client that was passed in`);
}
