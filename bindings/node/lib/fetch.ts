/**
 * A guard round handlers that take a `Request` and give a `Response`, as in Next.js, Hono, Deno or Bun.
 *
 * @example
 * ```js
 * import { Guard } from "brightline";
 * import { guardHandler } from "brightline/fetch";
 *
 * export const POST = guardHandler(new Guard(), async (request) => chat(await request.json()));
 * ```
 *
 * @packageDocumentation
 */
import { answered, completionInstead, context, isChatBody, judgeCompletion, judgeRequest, type ChatBody, type ChatOptions } from './chat.js';
import { chunksInstead } from './chat-stream.js';
import { BlockedError, BrightlineError } from './errors.js';
import type { Guard } from './guard.js';
import { described, eventTransform, parsed } from './sse.js';
import { withholds, type Verdict } from './verdict.js';

export type { ChatOptions } from './chat.js';

/** What is guarded: further arguments, such as a context, are passed on. */
export type Handler<A extends unknown[]> = (request: Request, ...rest: A) => Response | Promise<Response>;

/**
 * The handler with both sides judged. The request's body is JSON with `messages`; a body of another form is answered with
 * status 400. Of the response, a completion of the chat completions API and other text are judged; plain text, and event
 * streams of chat completion chunks, while they are streamed.
 *
 * What is withheld is answered with the verdict's message in the form of a completion, or with status 403 and the clauses
 * where `withheld` is `error`; an event stream that has begun ends with an event that holds the `error`. So does one of
 * another form, which cannot be judged: wrap the client that makes it. A compressed response is refused.
 */
export function guardHandler<A extends unknown[]>(
    guard: Guard,
    handler: Handler<A>,
    options: ChatOptions = {},
): (request: Request, ...rest: A) => Promise<Response> {
    return async (request, ...rest) => {
        try {
            const body: unknown = await request.json().catch(() => undefined);
            if (!isChatBody(body)) throw new BrightlineError('BL_INPUT', 'the body is no JSON object with `messages`');
            const [judged, refusal] = await judgeRequest(guard, body, options);
            if (refusal) return refusalTo(body, refusal);
            const headers = new Headers(request.headers);
            headers.delete('content-length');
            const passed = new Request(request.url, {
                method: request.method,
                headers,
                body: JSON.stringify(judged),
                signal: request.signal,
            });
            return await judgeResponse(guard, judged, await handler(passed, ...rest), options);
        } catch (error) {
            if (error instanceof BlockedError) return refused(403, error);
            if (error instanceof BrightlineError && error.code === 'BL_INPUT') return refused(400, error);
            throw error;
        }
    };
}

/** The answer to a request that is withheld, as a stream where one was asked for. @internal */
export function refusalTo(body: ChatBody, refusal: Verdict): Response {
    if (!body['stream']) return Response.json(completionInstead(refusal, body['model']));
    const events = chunksInstead(refusal, body['model']).map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`);
    return new Response(events.join('') + 'data: [DONE]\n\n', { headers: { 'content-type': 'text/event-stream' } });
}

/** @internal */
export function refused(status: number, error: unknown): Response {
    return Response.json({ error: described(error) }, { status });
}

/** The response with what may be shown. @internal */
export async function judgeResponse(
    guard: Guard,
    body: ChatBody,
    response: Response,
    options: ChatOptions,
): Promise<Response> {
    if (!response.body) return response;
    const type = response.headers.get('content-type') ?? '';
    if (!['', 'identity'].includes(response.headers.get('content-encoding') ?? '')) {
        await response.body.cancel();
        throw new BrightlineError('BL_OPTIONS', 'a compressed answer cannot be judged: compress it after the guard');
    }
    const { status, statusText } = response;
    const headers = new Headers(response.headers);
    headers.delete('content-length');
    if (type.startsWith('text/event-stream')) {
        return new Response(response.body.pipeThrough(eventTransform(guard, body, options)), { status, statusText, headers });
    }
    if (!type.includes('json')) {
        const transform = guard.transform(context(body), { withheld: options.withheld ?? 'message' });
        transform.verdict.then(options.onVerdict, () => undefined);
        const text = response.body.pipeThrough(transform).pipeThrough(new TextEncoderStream());
        return new Response(text, { status, statusText, headers });
    }
    const text = await response.text();
    const json = parsed(text);
    if (json && 'choices' in json) {
        return Response.json(await judgeCompletion(guard, body, json, options), { status, statusText, headers });
    }
    const verdict = await guard.checkAsync(answered(body, { role: 'assistant', content: text }));
    options.onVerdict?.(verdict);
    if (!withholds(verdict)) return new Response(verdict.redacted ?? text, { status, statusText, headers });
    if (options.withheld === 'error') throw new BlockedError(verdict);
    return Response.json(completionInstead(verdict, body['model']));
}
