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
import { isChatBody, judgeRequest, type ChatOptions } from './chat.js';
import { BlockedError, BrightlineError } from './errors.js';
import { judgeResponse, refusalTo, refused } from './fetch.js';
import type { Guard } from './guard.js';

export type { ChatOptions } from './chat.js';

/** A request whose body was read by `express.json()`. */
type Parsed = IncomingMessage & { body?: unknown };

/** Middleware, as Express takes it. */
export type Middleware = (req: Parsed, res: ServerResponse, next: (error?: unknown) => void) => Promise<void>;

/**
 * Judges both sides of a route as `guardHandler` of `brightline/fetch` does. It stands after `express.json()`: a request
 * without a parsed body of `messages` is answered with status 400.
 *
 * What the route writes is judged as it is written, whether by `send`, `json`, `write`, `end` or a pipe, and the route is
 * asked to pause while the client does not read. `compression` stands before the guard: what is compressed already cannot be
 * judged, and is answered with status 500.
 */
export function guardExpress(guard: Guard, options: ChatOptions = {}): Middleware {
    return async (req, res, next) => {
        try {
            if (!isChatBody(req.body)) throw new BrightlineError('BL_INPUT', 'the body is no JSON object with `messages`');
            const [body, refusal] = await judgeRequest(guard, req.body, options);
            if (refusal) return await send(refusalTo(body, refusal), res);
            req.body = body;
            intercept(res, (response) => judgeResponse(guard, body, response, options));
        } catch (error) {
            const answer = answerTo(error, 400);
            return answer ? send(answer, res) : next(error);
        }
        next();
    };
}

/** The methods that reach the client. */
interface Sink {
    write(chunk: Uint8Array): boolean;
    end(): unknown;
    flushHeaders(): void;
}

/** How many bytes of the route's text wait to be judged before it is asked to pause. */
const HIGH_WATER_MARK = 16 << 10;

type Done = (() => void) | undefined;

/** Leads what a route writes through `judge` before it is sent. The route never gets the response's own methods back. */
function intercept(res: ServerResponse, judge: (response: Response) => Promise<Response>): void {
    const { writeHead } = res;
    const [write, end, flushHeaders] = [res.write.bind(res), res.end.bind(res), res.flushHeaders.bind(res)];
    /** The head is written with the first bytes, by the methods that stood here before. */
    const open = () => void (Object.assign(res, { writeHead }) && Reflect.deleteProperty(res, 'headersSent'));
    const sink: Sink = {
        write: (chunk) => (open(), write(chunk)),
        end: () => (open(), end()),
        flushHeaders: () => (open(), flushHeaders()),
    };
    const headersSent = () => Reflect.get(Object.getPrototypeOf(res), 'headersSent', res) as boolean;
    let source: ReadableStreamDefaultController<Uint8Array> | undefined;
    /** Nothing more is read: the route has ended, or a finding or the client has ended the answer while the route goes on. */
    let over = false;
    let paused = false;

    /** Begins with the first bytes: by then the route has set status and headers. */
    function begin(): ReadableStreamDefaultController<Uint8Array> {
        if (source) return source;
        const resume = () => {
            if (!paused) return;
            paused = false;
            res.emit('drain');
        };
        const body = new ReadableStream<Uint8Array>(
            {
                start: (controller) => void (source = controller),
                pull: resume,
                cancel() {
                    over = true;
                    resume();
                },
            },
            new ByteLengthQueuingStrategy({ highWaterMark: HIGH_WATER_MARK }),
        );
        const headers = new Headers({ 'content-type': String(res.getHeader('content-type') ?? 'text/plain') });
        const encoding = res.getHeader('content-encoding');
        if (encoding) headers.set('content-encoding', String(encoding));
        res.once('close', () => {
            if (!over) source?.error(new Error('the client is gone'));
            over = true;
        });
        judge(new Response(body, { status: res.statusCode, headers })).then(
            (response) => send(response, res, sink),
            (error: unknown) => {
                over = true;
                return send(answerTo(error, 500) ?? refused(500, error), res, sink);
            },
        );
        return source as unknown as ReadableStreamDefaultController<Uint8Array>;
    }

    const take = (chunk: unknown, encoding: unknown) => {
        if (over) return;
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encodingOf(encoding)) : (chunk as Uint8Array);
        if (bytes.byteLength === 0) return;
        const to = begin();
        // What cannot be judged was refused on the spot.
        if (!over) to.enqueue(bytes);
    };
    Object.assign(res, {
        writeHead(status: number, ...others: unknown[]) {
            res.statusCode = status;
            if (typeof others[0] === 'string') res.statusMessage = others[0];
            const headers = others.find((it) => typeof it === 'object' && it !== null) ?? {};
            const pairs = Array.isArray(headers) ? paired(headers) : Object.entries(headers);
            for (const [name, value] of pairs) if (value !== undefined) res.setHeader(name, value);
            return res;
        },
        flushHeaders: () => void begin(),
        write(chunk: unknown, encoding?: unknown, done?: Done) {
            take(chunk, encoding);
            const called = typeof encoding === 'function' ? (encoding as Done) : done;
            if (called) queueMicrotask(called);
            paused = !over && (source?.desiredSize ?? 1) <= 0;
            return !paused;
        },
        end(chunk?: unknown, encoding?: unknown, done?: Done) {
            const called = [chunk, encoding, done].find((it) => typeof it === 'function') as Done;
            if (called) res.once('finish', called);
            if (chunk !== undefined && chunk !== null && typeof chunk !== 'function') take(chunk, encoding);
            if (!source) sink.end();
            else if (!over) source.close();
            over = true;
            return res;
        },
    });
    // Who looks whether an answer has begun, such as a handler of errors, must not add to it.
    Object.defineProperty(res, 'headersSent', { configurable: true, get: () => source !== undefined || headersSent() });
}

/** Headers in one list, name after value. */
function paired(list: unknown[]): [string, any][] {
    if (Array.isArray(list[0])) return list as [string, any][];
    return list.flatMap((name, at): [string, any][] => (at % 2 === 0 ? [[String(name), list[at + 1]]] : []));
}

function encodingOf(encoding: unknown): BufferEncoding {
    return typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8';
}

async function send(response: Response, res: ServerResponse, sink: Sink = res): Promise<void> {
    res.statusCode = response.status;
    for (const name of ['content-length', 'etag', 'content-encoding']) res.removeHeader(name);
    res.setHeader('content-type', response.headers.get('content-type') ?? 'text/plain');
    const reader = response.body?.getReader();
    const cancel = () => void reader?.cancel().catch(() => undefined);
    res.once('close', cancel);
    try {
        if (response.headers.get('content-type')?.startsWith('text/event-stream')) sink.flushHeaders();
        for (let read = await reader?.read(); read && !read.done; read = await reader?.read()) {
            if (!sink.write(read.value)) await drained(res);
            // Where `compression` stands before the guard, it would wait for more.
            (res as { flush?: () => void }).flush?.();
        }
        if (!res.destroyed) sink.end();
    } catch (error) {
        // The client sees that the answer is not complete.
        res.destroy(error instanceof Error ? error : undefined);
    } finally {
        res.off('close', cancel);
    }
}

async function drained(res: ServerResponse): Promise<void> {
    do {
        if (res.destroyed) return;
        await new Promise<void>((resolve) => {
            const ready = () => {
                for (const name of ['drain', 'close']) res.off(name, ready);
                resolve();
            };
            for (const name of ['drain', 'close']) res.on(name, ready);
        });
    } while (res.writableNeedDrain);
}

/** The answer to an error of the guard; `status` is for what cannot be judged. */
function answerTo(error: unknown, status: number): Response | undefined {
    if (error instanceof BlockedError) return refused(403, error);
    return error instanceof BrightlineError ? refused(status, error) : undefined;
}
