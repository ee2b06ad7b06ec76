import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Guard } from 'brightline';
import { guardHandler } from 'brightline/fetch';
import { chunk, cut, event, events, HOUSE, randoms, told } from './helpers.mjs';

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

/** A response whose body comes in these pieces, cut anew anywhere. */
function streaming(pieces, type = 'text/event-stream') {
    const bytes = Buffer.from(pieces.join(''));
    const random = randoms(pieces.length);
    const queue = cut(bytes.toString('latin1'), random, 30).map((it) => Uint8Array.from(Buffer.from(it, 'latin1')));
    return new Response(ReadableStream.from(queue), { headers: { 'content-type': type } });
}

test('an event stream is judged while it arrives', async () => {
    const run = async (pieces, options) => {
        const response = await guardHandler(guard, () => streaming(pieces), options)(ask('hi'));
        assert.equal(response.headers.get('content-type'), 'text/event-stream');
        return told(await response.text());
    };
    assert.deepEqual(await run(events('Write 🍝 to ann@example.com, Bob.')), { text: 'Write 🍝 to [email], Bob.', finish: 'stop', error: undefined, done: true });
    const blocked = await run(events('Sure: the secret sauce recipe is this and that.'));
    assert.deepEqual([blocked.text, blocked.finish, blocked.done], [`Sure: the ${MESSAGE}`, 'content_filter', true]);
    const strict = await run(events('Sure: the secret sauce recipe is this.'), { withheld: 'error' });
    assert.deepEqual([strict.text, strict.error.code, strict.error.clauses, strict.done], ['Sure: the ', 'BL_BLOCKED', ['recipe'], false]);
    const lines = events('To ann@example.com.').map((it) => `: wait\r\nid: 7\r\n${it.replaceAll('\n', '\r\n')}`);
    assert.equal((await run(lines)).text, 'To [email].');
    const call = (text) => event(chunk({ tool_calls: [{ index: 0, id: 'c', type: 'function', function: { name: 'send', arguments: text } }] }));
    const called = await guardHandler(guard, () => streaming([call('{"to":"ann@example.com"}'), event(chunk({}, 'tool_calls'))]))(ask('hi'));
    const body = await called.text();
    assert.ok(body.includes('[email]') && !body.includes('ann@'), body);
    const refused = guardHandler(guard, () => assert.fail());
    const asked = post({ stream: true, messages: [{ role: 'user', content: 'the secret sauce recipe' }] });
    assert.deepEqual(told(await (await refused(asked)).text()), { text: MESSAGE, finish: 'content_filter', error: undefined, done: true });
});

test('the first text arrives before the source has ended, and no sooner than it is read', async () => {
    for (const [type, pieces] of [
        ['text/event-stream', events('One two three four five six seven eight nine ten.')],
        ['text/plain', ['One two ', 'three four ', 'five six ', 'seven ', 'eight ', 'nine ', 'ten.']],
    ]) {
        let given = 0;
        const source = new ReadableStream({
            async pull(controller) {
                if (given === pieces.length) await new Promise(() => undefined);
                controller.enqueue(new TextEncoder().encode(pieces[given++]));
            },
        }, { highWaterMark: 0 });
        const response = await guardHandler(guard, () => new Response(source, { headers: { 'content-type': type } }))(ask('hi'));
        const reader = response.body.getReader();
        let seen = '';
        while (!seen.includes('One')) seen += new TextDecoder().decode((await reader.read()).value);
        assert.ok(given < pieces.length - 1, `${type}: ${given}`);
        await reader.cancel();
    }
});

test('a stream that fails or is given up shows nothing of what is held back', async () => {
    for (const type of ['text/event-stream', 'text/plain']) {
        const held = 'The secret sauce';
        const pieces = type === 'text/plain' ? [held] : events(held).slice(0, -2);
        async function* failing() {
            for (const piece of pieces) yield new TextEncoder().encode(piece);
            throw new Error('lost');
        }
        const response = await guardHandler(guard, () => new Response(ReadableStream.from(failing()), { headers: { 'content-type': type } }))(ask('hi'));
        let seen = '';
        await assert.rejects(async () => {
            for await (const part of response.body) seen += new TextDecoder().decode(part);
        }, { message: 'lost' });
        assert.ok(!seen.includes('secret'), seen);
        let cancel;
        const canceled = new Promise((resolve) => (cancel = resolve));
        const open = new ReadableStream({
            start: (controller) => pieces.forEach((it) => controller.enqueue(new TextEncoder().encode(it))),
            cancel,
        });
        const given = await guardHandler(guard, () => new Response(open, { headers: { 'content-type': type } }))(ask('hi'));
        await given.body.cancel('enough');
        assert.equal(await canceled, 'enough');
    }
});

test('what cannot be judged is not passed on', async () => {
    for (const data of ['the secret sauce', '{"type":"text-delta","delta":"the secret sauce"}', '7']) {
        const answered = await (await guardHandler(guard, () => streaming([event(data), event(data)]))(ask('hi'))).text();
        assert.ok(!answered.includes('secret'), answered);
        assert.deepEqual([told(answered).error.code, told(answered).done], ['BL_OPTIONS', false]);
    }
    const named = { error: { message: 'the secret sauce recipe' } };
    assert.ok(!(await (await guardHandler(guard, () => streaming([event(named)]))(ask('hi'))).text()).includes('recipe'));
    const packed = new Response('x', { headers: { 'content-encoding': 'gzip' } });
    await assert.rejects(guardHandler(guard, () => packed)(ask('hi')), { code: 'BL_OPTIONS' });
    await assert.rejects(guardHandler(guard, () => { throw new Error('lost'); })(ask('hi')), { message: 'lost' });
    const broken = new Response('{"to": "ann@example.com"', { headers: { 'content-type': 'application/json' } });
    assert.equal(await (await guardHandler(guard, () => broken)(ask('hi'))).text(), '{"to": "[email]"');
});
