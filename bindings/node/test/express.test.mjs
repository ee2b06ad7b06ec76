import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { Guard } from 'brightline';
import { guardExpress } from 'brightline/express';
import express from 'express';
import { HOUSE } from './helpers.mjs';

const house = join(mkdtempSync(join(tmpdir(), 'brightline-')), 'house.md');
writeFileSync(house, HOUSE);
const guard = new Guard({ policy: house, models: false });
const MESSAGE = 'That stays with the cook.';

/** What a server with this route answers. */
async function ask(route, content, options) {
    const app = express();
    app.post('/', express.json(), guardExpress(guard, options), route);
    app.use((error, _req, res, _next) => res.status(500).json({ code: error.code ?? error.message }));
    const server = app.listen(0);
    try {
        const body = JSON.stringify(content === undefined ? {} : { messages: [{ role: 'user', content }] });
        const headers = { 'content-type': 'application/json' };
        const response = await fetch(`http://localhost:${server.address().port}/`, { method: 'POST', headers, body });
        return { status: response.status, text: await response.text() };
    } finally {
        server.close();
        server.closeAllConnections();
    }
}

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

test('what cannot be judged is not passed on', async () => {
    const events = (_req, res) => res.type('text/event-stream').send('data: the secret sauce\n\n');
    const answered = await ask(events, 'hi');
    assert.deepEqual([answered.status, answered.text.includes('secret')], [500, false]);
    const failing = () => {
        throw new Error('lost');
    };
    assert.equal((await ask(failing, 'hi')).status, 500);
});
