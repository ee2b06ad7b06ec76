/**
 * Middleware for Express: the body of a request with `messages`, and what the route answers.
 *
 * @example
 * ```js
 * import express from "express";
 * import { Guard } from "brightline";
 * import { guardExpress } from "brightline/express";
 *
 * app.post("/chat", express.json(), guardExpress(new Guard()), async (req, res) => res.json(await chat(req.body)));
 * ```
 *
 * @packageDocumentation
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { completionInstead, isChatBody, judgeRequest, type ChatOptions } from './chat.js';
import { BlockedError, BrightlineError } from './errors.js';
import { judgeResponse, refused } from './fetch.js';
import type { Guard } from './guard.js';

export type { ChatOptions } from './chat.js';

/** A request whose body was read by `express.json()`. */
type Parsed = IncomingMessage & { body?: unknown };

/** Middleware, as Express takes it. */
export type Middleware = (req: Parsed, res: ServerResponse, next: (error?: unknown) => void) => Promise<void>;

/**
 * Judges both sides of a route as `guardHandler` of `brightline/fetch` does. It stands after `express.json()`: a request
 * without a parsed body of `messages` is answered with status 400.
 */
export function guardExpress(guard: Guard, options: ChatOptions = {}): Middleware {
    return async (req, res, next) => {
        try {
            if (!isChatBody(req.body)) throw new BrightlineError('BL_INPUT', 'the body is no JSON object with `messages`');
            const [body, refusal] = await judgeRequest(guard, req.body, options);
            if (refusal) return await send(Response.json(completionInstead(refusal, body['model'])), res);
            req.body = body;
            intercept(res, (response) => judgeResponse(guard, body, response, options));
        } catch (error) {
            const answer = answerTo(error, 400);
            return answer ? send(answer, res) : next(error);
        }
        next();
    };
}

/** Leads what a route writes through `judge` before it is sent. The route never gets the response's own methods back. */
function intercept(res: ServerResponse, judge: (response: Response) => Promise<Response>): void {
    const sink: Sink = { write: res.write.bind(res), end: res.end.bind(res) };
    let source: ReadableStreamDefaultController<Uint8Array> | undefined;
    /** Nothing more is read: the route has ended, or a finding has ended the answer while the route goes on. */
    let over = false;

    /** Begins with the first bytes: by then the route has set status and headers. */
    function begin(): ReadableStreamDefaultController<Uint8Array> {
        const body = new ReadableStream<Uint8Array>({
            start: (controller) => void (source = controller),
            cancel: () => void (over = true),
        });
        const headers = { 'content-type': String(res.getHeader('content-type') ?? 'text/plain') };
        judge(new Response(body, { status: res.statusCode, headers })).then(
            (response) => send(response, res, sink),
            (error: unknown) => {
                over = true;
                const unknown = () => refused(500, new BrightlineError('BL_INTERNAL', 'the answer could not be judged'));
                return send(answerTo(error, 500) ?? unknown(), res, sink);
            },
        );
        return source as unknown as ReadableStreamDefaultController<Uint8Array>;
    }

    const take = (chunk: unknown, encoding: unknown) => {
        if (over) return;
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encodingOf(encoding)) : (chunk as Uint8Array);
        (source ?? begin()).enqueue(bytes);
    };
    Object.assign(res, {
        write(chunk: unknown, encoding?: unknown) {
            take(chunk, encoding);
            return true;
        },
        end(chunk?: unknown, encoding?: unknown) {
            if (chunk !== undefined && chunk !== null && typeof chunk !== 'function') take(chunk, encoding);
            if (!source) sink.end();
            else if (!over) source.close();
            over = true;
            return res;
        },
    });
}

function encodingOf(encoding: unknown): BufferEncoding {
    return typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8';
}

/** The methods that reach the client. */
interface Sink {
    write(chunk: Uint8Array): unknown;
    end(): unknown;
}

async function send(response: Response, res: ServerResponse, sink: Sink = res): Promise<void> {
    res.statusCode = response.status;
    if (!res.headersSent) {
        for (const name of ['content-length', 'etag']) res.removeHeader(name);
        res.setHeader('content-type', response.headers.get('content-type') ?? 'text/plain');
    }
    try {
        if (response.body) for await (const chunk of response.body) sink.write(chunk);
        sink.end();
    } catch (error) {
        // The client sees that the answer is not complete.
        res.destroy(error instanceof Error ? error : undefined);
    }
}

/** The answer to an error of the guard; `status` is for what cannot be judged. */
function answerTo(error: unknown, status: number): Response | undefined {
    if (error instanceof BlockedError) return refused(403, error, error.verdict.findings.map((it) => it.clause));
    return error instanceof BrightlineError ? refused(status, error) : undefined;
}
