import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Guard } from 'brightline';
import { guardHandler } from 'brightline/fetch';
import { HOUSE } from './helpers.mjs';

const house = join(mkdtempSync(join(tmpdir(), 'brightline-')), 'house.md');
writeFileSync(house, HOUSE);
const guard = new Guard({ policy: house, models: false });
const MESSAGE = 'That stays with the cook.';
const post = (body) => new Request('http://chat.invalid/', { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) });
const ask = (content) => post({ messages: [{ role: 'user', content }] });
const completion = (content) => ({ choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }] });

test('a request is withheld, redacted or refused before the handler sees it', async () => {
    const seen = [];
    const handler = guardHandler(guard, async (request, context) => {
        seen.push([(await request.json()).messages[0].content, context]);
        return new Response('ok');
    });
    assert.equal((await (await handler(ask('the secret sauce recipe'))).json()).choices[0].message.content, MESSAGE);
    for (const body of ['no json', '7', '{}']) assert.equal((await handler(post(body))).status, 400);
    const wrong = await handler(post({ messages: [{ role: 'bot', content: 'x' }] }));
    assert.deepEqual([wrong.status, (await wrong.json()).error.path], [400, 'messages[0].role']);
    assert.deepEqual(seen, []);
    assert.equal(await (await handler(ask('I am ann@example.com'), 'context')).text(), 'ok');
    assert.deepEqual(seen, [['I am [email]', 'context']]);
    const strict = guardHandler(guard, () => assert.fail(), { withheld: 'error' });
    const refused = await strict(ask('the secret sauce recipe'));
    assert.deepEqual([refused.status, (await refused.json()).error.clauses], [403, ['recipe']]);
});

test('a response is withheld or redacted in each form', async () => {
    const run = async (answer, options) => guardHandler(guard, () => answer, options)(ask('hi'));
    assert.equal((await (await run(Response.json(completion('to ann@example.com')))).json()).choices[0].message.content, 'to [email]');
    assert.equal((await (await run(Response.json(completion('secret sauce recipe')))).json()).choices[0].message.content, MESSAGE);
    assert.equal((await run(Response.json(completion('secret sauce recipe')), { withheld: 'error' })).status, 403);
    assert.deepEqual(await (await run(Response.json({ to: 'ann@example.com' }))).json(), { to: '[email]' });
    const verdicts = [];
    const streamed = await run(new Response('To ann@example.com.', { status: 201 }), { onVerdict: (it) => verdicts.push(it.action) });
    assert.deepEqual([streamed.status, await streamed.text()], [201, 'To [email].']);
    assert.deepEqual(verdicts, ['allow', 'redact']);
    assert.equal(await (await run(new Response('The secret sauce recipe.'))).text(), `The ${MESSAGE}`);
    assert.equal((await run(new Response(null, { status: 204 }))).status, 204);
});

test('what cannot be judged is not passed on', async () => {
    const events = new Response('data: x\n\n', { headers: { 'content-type': 'text/event-stream' } });
    await assert.rejects(guardHandler(guard, () => events)(ask('hi')), { code: 'BL_OPTIONS' });
    await assert.rejects(guardHandler(guard, () => { throw new Error('lost'); })(ask('hi')), { message: 'lost' });
});
