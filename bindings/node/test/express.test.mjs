import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { once } from 'node:events';
import { request } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { Guard } from 'brightline';
import { guardExpress } from 'brightline/express';
import compression from 'compression';
import express from 'express';
import { event, events, HOUSE, told } from './helpers.mjs';

const house = join(mkdtempSync(join(tmpdir(), 'brightline-')), 'house.md');
writeFileSync(house, HOUSE);
const guard = new Guard({ policy: house, models: false });
const MESSAGE = 'That stays with the cook.';

/** Runs something against a server with this route. */
async function serve(route, run, options, before = []) {
    const app = express();
    app.set('env', 'test');
    app.post('/', ...before, express.json(), guardExpress(guard, options), route);
    app.use((error, _req, res, next) => (res.headersSent ? next(error) : res.status(500).json({ code: error.code ?? error.message })));
    const server = app.listen(0);
    try {
        return await run(`http://localhost:${server.address().port}/`);
    } finally {
        server.close();
        server.closeAllConnections();
    }
}

const post = (content) => ({
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(content === undefined ? {} : { messages: [{ role: 'user', content }] }),
});

/** What a server with this route answers. */
const ask = (route, content, options) =>
    serve(route, async (url) => {
        const response = await fetch(url, post(content));
        return { status: response.status, text: await response.text() };
    }, options);

const completion = (content) => ({ choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }] });
const shown = ({ text }) => JSON.parse(text).choices[0].message.content;

test('a request is withheld, redacted or refused before the route sees it', async () => {
    const never = () => assert.fail();
    assert.equal(shown(await ask(never, 'the secret sauce recipe')), MESSAGE);
    assert.equal((await ask(never, 'the secret sauce recipe', { withheld: 'error' })).status, 403);
    assert.equal((await ask(never, undefined)).status, 400);
    assert.equal((await ask(never, 7)).status, 400);
    const echo = (req, res) => res.send(req.body.messages[0].content);
    assert.equal((await ask(echo, 'I am ann@example.com')).text, 'I am [email]');
});

test('a response is withheld or redacted in each form', async () => {
    const json = (content) => (_req, res) => res.json(completion(content));
    assert.equal(shown(await ask(json('to ann@example.com'), 'hi')), 'to [email]');
    assert.equal(shown(await ask(json('secret sauce recipe'), 'hi')), MESSAGE);
    assert.equal((await ask(json('secret sauce recipe'), 'hi', { withheld: 'error' })).status, 403);
    const streaming = (_req, res) => {
        res.status(201).type('text/plain');
        for (const piece of ['To 🍝 ann@exa', 'mple.com. ', 'The secret sauce ', 'recipe is']) res.write(piece);
        res.end(' salt');
    };
    assert.deepEqual(await ask(streaming, 'hi'), { status: 201, text: `To 🍝 [email]. The ${MESSAGE}` });
    const slow = async (_req, res) => {
        for (const piece of ['The secret sauce ', 'recipe is', ' salt', ' and', ' never']) {
            res.write(piece);
            await setTimeout(10);
        }
        res.end();
    };
    assert.equal((await ask(slow, 'hi')).text, `The ${MESSAGE}`);
    assert.deepEqual(await ask((_req, res) => res.status(204).end(), 'hi'), { status: 204, text: '' });
});

const EVENTS = { 'content-type': 'text/event-stream' };

test('an event stream is judged however the route writes it', async () => {
    const pieces = events('Write 🍝 to ann@example.com, Bob.');
    const routes = {
        write: (_req, res) => {
            res.writeHead(201, EVENTS);
            for (const piece of pieces) res.write(piece);
            res.end();
        },
        pipe: (_req, res) => void Readable.from(pieces).pipe(res.status(201).type('text/event-stream')),
        send: (_req, res) => res.status(201).type('text/event-stream').send(pieces.join('')),
        listed: (_req, res) => res.writeHead(201, 'Made', ['content-type', 'text/event-stream']).end(pieces.join('')),
    };
    for (const [name, route] of Object.entries(routes)) {
        const { status, text } = await ask(route, 'hi');
        assert.deepEqual([name, status, told(text)], [name, 201, { text: 'Write 🍝 to [email], Bob.', finish: 'stop', error: undefined, done: true }]);
    }
    const blocked = (_req, res) => res.writeHead(200, EVENTS).end(events('Sure: the secret sauce recipe is this.').join(''));
    assert.equal(told((await ask(blocked, 'hi')).text).text, `Sure: the ${MESSAGE}`);
    const strict = told((await ask(blocked, 'hi', { withheld: 'error' })).text);
    assert.deepEqual([strict.text, strict.error.code, strict.done], ['Sure: the ', 'BL_BLOCKED', false]);
});

test('headers and the first text arrive before the route has ended', async () => {
    let go;
    const held = new Promise((resolve) => (go = resolve));
    const route = async (_req, res) => {
        res.writeHead(200, EVENTS);
        res.flushHeaders();
        for (const piece of events('One two three.').slice(0, -2)) res.write(piece);
        await held;
        res.end(event('[DONE]'));
    };
    await serve(route, async (url) => {
        const response = await fetch(url, post('hi'));
        assert.equal(response.headers.get('content-type'), 'text/event-stream');
        const reader = response.body.getReader();
        let seen = '';
        while (!seen.includes('two')) seen += new TextDecoder().decode((await reader.read()).value);
        assert.ok(!told(seen).done);
        go();
        while (!seen.includes('[DONE]')) seen += new TextDecoder().decode((await reader.read()).value);
        assert.equal(told(seen).text, 'One two three.');
    });
});

test('a client that goes away and a route that fails release nothing of what is held back', async () => {
    for (const type of ['text/event-stream', 'text/plain']) {
        const pieces = type === 'text/plain' ? ['One two. ', 'The secret sauce'] : events('One two. The secret sauce').slice(0, -2);
        let closed;
        const leaving = async (_req, res) => {
            res.type(type);
            for (const piece of pieces) res.write(piece);
            closed = once(res, 'close');
            await closed;
            assert.equal(res.write(' recipe'), true);
            res.end();
        };
        await serve(leaving, async (url) => {
            const away = new AbortController();
            const response = await fetch(url, { ...post('hi'), signal: away.signal });
            const { value } = await response.body.getReader().read();
            assert.ok(!new TextDecoder().decode(value).includes('secret'));
            away.abort();
            await closed;
        });
        const failing = (_req, res) => {
            res.type(type);
            for (const piece of pieces) res.write(piece);
            assert.ok(res.headersSent);
            throw new Error('lost');
        };
        const seen = await serve(failing, async (url) => {
            try {
                return await (await fetch(url, post('hi'))).text();
            } catch (error) {
                return `${error.message} ${error.cause}`;
            }
        });
        assert.ok(!/secret|lost/.test(seen), seen);
    }
});

test('what is compressed after the guard is judged, and comes as it is written', async () => {
    let go;
    const held = new Promise((resolve) => (go = resolve));
    const routes = {
        json: (_req, res) => res.json(completion('to ann@example.com')),
        stream: async (_req, res) => {
            res.type('text/event-stream');
            for (const piece of events('To ann@example.com, Bob.').slice(0, -2)) res.write(piece);
            await held;
            res.end(event('[DONE]'));
        },
    };
    for (const route of Object.values(routes)) {
        const run = async (url) => {
            const response = await fetch(url, post('hi'));
            assert.equal(response.headers.get('content-encoding'), 'gzip');
            let seen = '';
            for await (const part of response.body) {
                go();
                seen += new TextDecoder().decode(part);
            }
            assert.ok(seen.includes('[email]') && !seen.includes('@example'), seen);
        };
        await serve(route, run, {}, [compression({ threshold: 0 })]);
    }
    const before = (req, res, next) => compression({ threshold: 0 })(req, res, () => next());
    const late = (req, res) => before(req, res, () => res.json(completion('to ann@example.com')));
    const { status, text } = await ask(late, 'hi');
    assert.deepEqual([status, JSON.parse(text).error.code], [500, 'BL_OPTIONS']);
});

test('a route is asked to pause while the client does not read', async () => {
    const piece = event({ choices: [{ index: 0, delta: { content: 'so it goes on and on '.repeat(400) }, finish_reason: null }] });
    let written = 0;
    let called = 0;
    let paused;
    const whenPaused = new Promise((resolve) => (paused = resolve));
    const route = async (_req, res) => {
        res.writeHead(200, EVENTS);
        for (let at = 0; at < 4000 && !res.destroyed; at += 1) {
            written += 1;
            if (res.write(piece, () => (called += 1))) continue;
            const drained = once(res, 'drain');
            if (await Promise.race([drained, setTimeout(300)])) continue;
            paused();
            await Promise.race([drained, once(res, 'close')]);
        }
    };
    await serve(route, async (url) => {
        const { hostname, port } = new URL(url);
        const { body, ...options } = post('hi');
        const asked = request({ hostname, port, ...options });
        asked.end(body);
        const [response] = await once(asked, 'response');
        response.pause();
        await whenPaused;
        assert.ok(written < 4000 && called > 0, `${written} written, ${called} called back`);
        response.destroy();
    });
});

test('what cannot be judged is not passed on', async () => {
    const other = (_req, res) => res.type('text/event-stream').send('data: the secret sauce\n\n');
    const answered = await ask(other, 'hi');
    assert.ok(!answered.text.includes('secret'), answered.text);
    assert.equal(told(answered.text).error.code, 'BL_OPTIONS');
    const packed = (_req, res) => res.set('content-encoding', 'gzip').send(Buffer.from([31, 139, 8]));
    assert.deepEqual([(await ask(packed, 'hi')).status], [500]);
    const failing = () => {
        throw new Error('lost');
    };
    assert.equal((await ask(failing, 'hi')).status, 500);
});
