import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Guard } from 'brightline';
import { guardOpenAI } from 'brightline/openai';
import OpenAI from 'openai';
import { cut, HOUSE, randoms } from './helpers.mjs';

const house = join(mkdtempSync(join(tmpdir(), 'brightline-')), 'house.md');
writeFileSync(house, HOUSE);
const guard = new Guard({ policy: house, models: false });
const MESSAGE = 'That stays with the cook.';

/** A client whose requests are answered here. */
function client(reply, options) {
    const sent = [];
    const fetch = async (_url, { body }) => {
        sent.push(JSON.parse(body));
        if (!sent.at(-1).stream) return Response.json(reply);
        const events = reply.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join('') + 'data: [DONE]\n\n';
        return new Response(events, { headers: { 'content-type': 'text/event-stream' } });
    };
    const plain = new OpenAI({ apiKey: 'none', baseURL: 'http://model.invalid/v1', fetch, maxRetries: 0 });
    return { client: guardOpenAI(plain, guard, options), sent };
}

const completion = (...messages) => ({
    id: 'c',
    object: 'chat.completion',
    created: 1,
    model: 'm',
    choices: messages.map((message, index) => ({
        index,
        message: { role: 'assistant', content: null, ...message },
        finish_reason: 'stop',
        logprobs: null,
    })),
});
const chunk = (delta, finish_reason = null, index = 0) => ({
    id: 'c',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'm',
    choices: [{ index, delta, finish_reason }],
});
const ask = (content) => ({ model: 'm', messages: [{ role: 'user', content }] });

async function stream({ client }, body) {
    const seen = { text: '', finish: undefined, calls: [], chunks: 0 };
    for await (const chunk of await client.chat.completions.create({ ...body, stream: true })) {
        seen.chunks += 1;
        for (const { delta, finish_reason } of chunk.choices) {
            seen.text += delta.content ?? '';
            seen.finish = finish_reason ?? seen.finish;
            seen.calls.push(...(delta.tool_calls ?? []));
        }
    }
    return seen;
}

test('a request is withheld or redacted before it is sent', async () => {
    const one = client(completion({ content: 'never' }));
    const refused = await one.client.chat.completions.create(ask('the secret sauce recipe'));
    assert.equal(refused.choices[0].message.content, MESSAGE);
    assert.equal(refused.choices[0].finish_reason, 'content_filter');
    assert.equal((await stream(one, ask('the secret sauce recipe'))).text, MESSAGE);
    assert.equal(one.sent.length, 0);
    const two = client(completion({ content: 'ok' }));
    await two.client.chat.completions.create(ask('I am ann@example.com'));
    await two.client.chat.completions.create(ask([{ type: 'text', text: 'I am ann@example.com' }]));
    assert.equal(two.sent[0].messages[0].content, 'I am [email]');
    assert.equal(two.sent[1].messages[0].content[0].text, 'I am [email]');
});

test('each choice is redacted or withheld', async () => {
    const call = { id: '1', type: 'function', function: { name: 'send', arguments: '{"to":"ann@example.com"}' } };
    const given = completion({ content: 'to ann@example.com' }, { content: 'the secret sauce recipe' }, { tool_calls: [call] });
    const { choices } = await client(given).client.chat.completions.create({ ...ask('hi'), n: 3 });
    assert.equal(choices[0].message.content, 'to [email]');
    assert.equal(choices[1].message.content, MESSAGE);
    assert.equal(choices[2].message.tool_calls[0].function.arguments, '{"to":"[email]"}');
    const { client: strict } = client(given, { withheld: 'error' });
    await assert.rejects(strict.chat.completions.create(ask('hi')), { code: 'BL_BLOCKED' });
});

test('a streamed answer is redacted while it arrives', async () => {
    const verdicts = [];
    const text = 'Write to ann@example.com, Bob.';
    const deltas = cut(text, randoms(2), 4).map((content) => chunk({ content }));
    const given = client([chunk({ role: 'assistant' }), ...deltas, chunk({}, 'stop')], { onVerdict: (it) => verdicts.push(it.action) });
    const seen = await stream(given, ask('hi'));
    assert.equal(seen.text, 'Write to [email], Bob.');
    assert.equal(seen.finish, 'stop');
    assert.deepEqual(verdicts, ['allow', 'redact']);
});

test('a streamed answer that is withheld ends with the message', async () => {
    const deltas = cut('Sure: the secret sauce recipe is this and that.', randoms(2), 4).map((content) => chunk({ content }));
    const given = [...deltas, chunk({ content: 'never' }), chunk({}, 'stop')];
    const seen = await stream(client(given), ask('hi'));
    assert.ok(!/recipe|never/.test(seen.text), seen.text);
    assert.ok(seen.text.endsWith(MESSAGE), seen.text);
    assert.equal(seen.finish, 'content_filter');
    await assert.rejects(stream(client(given, { withheld: 'error' }), ask('hi')), { code: 'BL_BLOCKED' });
});

test('streamed tool calls come in one piece', async () => {
    const args = (text) => chunk({ tool_calls: [{ index: 0, function: { arguments: text } }] });
    const head = chunk({ tool_calls: [{ index: 0, id: 'c1', type: 'function', function: { name: 'send', arguments: '' } }] });
    const good = [head, ...cut('{"to":"ann@example.com"}', randoms(1), 4).map(args), chunk({}, 'tool_calls')];
    assert.deepEqual((await stream(client(good), ask('hi'))).calls, [
        { index: 0, id: 'c1', type: 'function', function: { name: 'send', arguments: '{"to":"[email]"}' } },
    ]);
    const none = [head, chunk({}, 'tool_calls')];
    assert.deepEqual((await stream(client(none), ask('hi'))).calls, [
        { index: 0, id: 'c1', type: 'function', function: { name: 'send', arguments: '' } },
    ]);
    const bad = [head, args('{"what":"the secret sauce recipe"}'), chunk({}, 'tool_calls')];
    const seen = await stream(client(bad), ask('hi'));
    assert.deepEqual(seen.calls, []);
    assert.equal(seen.text, MESSAGE);
});

test('logprobs and an end without a finish reason pass on nothing of what is held back', async () => {
    const given = chunk({ content: 'the secret sauce' });
    given.choices[0].logprobs = { content: [{ token: 'the secret sauce', logprob: 0, top_logprobs: [] }] };
    let shown = '';
    const { client: guarded } = client([given, chunk({ content: ' recipe' })]);
    for await (const it of await guarded.chat.completions.create({ ...ask('hi'), stream: true })) shown += JSON.stringify(it);
    assert.ok(!shown.includes('secret sauce'), shown);
    assert.ok(shown.includes(MESSAGE), shown);
});

test('a caller that stops reading ends the stream', async () => {
    const { client: guarded } = client([chunk({ content: 'one two ' }), chunk({ content: 'three' }), chunk({}, 'stop')]);
    const answer = await guarded.chat.completions.create({ ...ask('hi'), stream: true });
    for await (const _ of answer) break;
    assert.ok(answer.controller.signal.aborted);
});

test('each streamed choice has a stream of its own', async () => {
    const texts = ['Write to ann@example.com, Bob.', 'Sure: the secret sauce recipe is this.', 'Ask Ann.'];
    const cuts = texts.map((text, at) => cut(text, randoms(at + 3), 4));
    const longest = Math.max(...cuts.map((it) => it.length));
    const given = Array.from({ length: longest }, (_, at) => cuts.flatMap((it, index) => (it[at] ? [chunk({ content: it[at] }, null, index)] : []))).flat();
    given.push(...texts.map((_, index) => chunk({}, 'stop', index)), { ...chunk({}), choices: [], usage: { total_tokens: 9 } });
    const shown = ['', '', ''];
    const finish = [];
    let usage;
    for await (const it of await client(given).client.chat.completions.create({ ...ask('hi'), n: 3, stream: true })) {
        usage = it.usage ?? usage;
        for (const { index, delta, finish_reason } of it.choices) {
            shown[index] += delta.content ?? '';
            if (finish_reason) finish[index] = finish_reason;
        }
    }
    assert.deepEqual([shown[0], shown[2]], ['Write to [email], Bob.', 'Ask Ann.']);
    assert.ok(shown[1].endsWith(MESSAGE) && !shown[1].includes('recipe'), shown[1]);
    assert.deepEqual(finish, ['stop', 'content_filter', 'stop']);
    assert.equal(usage.total_tokens, 9);
});

test('the helpers of the package see what was judged', async () => {
    const deltas = cut('Write to ann@example.com.', randoms(2), 4).map((content) => chunk({ content }));
    const streaming = client([chunk({ role: 'assistant' }), ...deltas, chunk({}, 'stop')]).client.chat.completions.stream(ask('hi'));
    let seen = '';
    streaming.on('content', (delta) => (seen += delta));
    assert.equal((await streaming.finalChatCompletion()).choices[0].message.content, 'Write to [email].');
    assert.equal(seen, 'Write to [email].');
    const { client: parsing } = client(completion({ content: '{"to":"ann@example.com"}' }));
    const response_format = { type: 'json_schema', json_schema: { name: 'x', strict: true, schema: { type: 'object' } } };
    const parsed = await parsing.chat.completions.parse({ ...ask('hi'), response_format });
    assert.equal(parsed.choices[0].message.content, '{"to":"[email]"}');
    const called = [];
    const sending = { id: '1', type: 'function', function: { name: 'send', arguments: '{"to":"ann@example.com"}' } };
    const { client: running } = client(completion({ tool_calls: [sending] }));
    const tools = [{ type: 'function', function: { name: 'send', function: (it) => (called.push(it), 'sent'), parse: JSON.parse, parameters: {} } }];
    await running.chat.completions.runTools({ ...ask('hi'), tools }, { maxChatCompletions: 1 }).done();
    assert.deepEqual(called, [{ to: '[email]' }]);
    const strict = client([chunk({ content: 'the secret sauce recipe' }), chunk({}, 'stop')], { withheld: 'error' }).client.chat.completions;
    for (const content of ['hi', 'the secret sauce recipe']) {
        await assert.rejects(strict.stream(ask(content)).finalChatCompletion(), (error) => (error.cause ?? error).code === 'BL_BLOCKED');
    }
    await assert.rejects(strict.parse(ask('the secret sauce recipe')), { code: 'BL_BLOCKED' });
    await assert.rejects(strict.create(ask('the secret sauce recipe')).withResponse(), { code: 'BL_BLOCKED' });
    const lines = await client([...deltas, chunk({}, 'stop')]).client.chat.completions.create({ ...ask('hi'), stream: true });
    assert.ok(!(await new Response(lines.toReadableStream()).text()).includes('example.com'));
});

test('nothing of the client passes unjudged in silence', async () => {
    const { client: guarded } = client(completion({ content: 'to ann@example.com' }));
    const unguarded = { code: 'BL_UNGUARDED' };
    for (const name of ['beta', 'completions', 'realtime', 'audio', 'images', 'batches', 'conversations', '_client']) {
        assert.throws(() => (name === '_client' ? guarded.chat : guarded)[name], unguarded, name);
    }
    for (const name of ['post', 'get', 'request']) assert.throws(() => guarded[name]('/x'), unguarded, name);
    for (const name of ['retrieve', 'list', 'update', 'delete']) assert.throws(() => guarded.chat.completions[name]('x'), unguarded, name);
    for (const name of ['retrieve', 'cancel', 'compact']) assert.throws(() => guarded.responses[name]('x'), unguarded, name);
    assert.equal(guarded.baseURL, 'http://model.invalid/v1');
    assert.equal(typeof guarded.models.list, 'function');
    const again = guarded.withOptions({ timeout: 5 });
    assert.equal((await again.chat.completions.create(ask('hi'))).choices[0].message.content, 'to [email]');
    await assert.rejects(guarded.chat.completions.create({ model: 'm' }), { code: 'BL_INPUT', path: 'messages' });
    await assert.rejects(guarded.chat.completions.create(ask('hi')).asResponse(), unguarded);
});

test('what stands beside an answer is judged with it', async () => {
    const given = completion({ content: 'ok', audio: { id: 'a', data: 'UklG', transcript: 'to ann@example.com' } });
    const { choices } = await client(given).client.chat.completions.create(ask('hi'));
    assert.deepEqual(choices[0].message, { role: 'assistant', content: 'ok' });
    const cited = { ...completion({ content: 'ok' }), citations: ['ann@example.com'], search: { size: 'low' } };
    assert.equal((await client(cited).client.chat.completions.create(ask('hi'))).citations, undefined);
    const repeating = { ...chunk({ content: 'to ann@exam' }), citations: ['ann@example.com'] };
    repeating.choices[0].message = { role: 'assistant', content: 'to ann@example.com' };
    const pieces = [repeating, chunk({ content: 'ple.com' }), chunk({}, 'stop')];
    let seen = '';
    for await (const it of await client(pieces).client.chat.completions.create({ ...ask('hi'), stream: true })) seen += JSON.stringify(it);
    assert.ok(seen.includes('[email]') && !seen.includes('example.com'), seen);
    const prefilled = { model: 'm', messages: [{ role: 'user', content: 'go on' }, { role: 'assistant', content: 'the secret sauce recipe is' }] };
    const { client: guarded, sent } = client(completion({ content: 'never' }));
    assert.equal((await guarded.chat.completions.create(prefilled)).choices[0].message.content, MESSAGE);
    assert.equal(sent.length, 0);
});

test('a message of before is redacted again', async () => {
    const { client: guarded, sent } = client(completion({ content: 'ok' }));
    const messages = [
        { role: 'system', content: 'Our address is us@example.com' },
        { role: 'user', content: 'I am ann@example.com' },
        { role: 'assistant', content: 'Hello.' },
        { role: 'user', content: 'Who am I?' },
    ];
    await guarded.chat.completions.create({ model: 'm', messages });
    assert.deepEqual(sent[0].messages.map((it) => it.content), ['Our address is us@example.com', 'I am [email]', 'Hello.', 'Who am I?']);
});

test('a connection that breaks and a caller that aborts release nothing of what is held back', async () => {
    const pieces = [chunk({ content: 'One two. ' }), chunk({ content: 'The secret sauce' })];
    for (const ends of ['fails', 'aborts']) {
        let signal;
        const fetch = async (_url, init) => {
            signal = init.signal;
            const body = new ReadableStream({
                start: (controller) => pieces.forEach((it) => controller.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(it)}\n\n`))),
                pull: (controller) => void (ends === 'fails' && controller.error(new Error('lost'))),
            });
            return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
        };
        const guarded = guardOpenAI(new OpenAI({ apiKey: 'none', baseURL: 'http://model.invalid/v1', fetch, maxRetries: 0 }), guard);
        const answer = await guarded.chat.completions.create({ ...ask('hi'), stream: true });
        let shown = '';
        const reading = (async () => {
            for await (const { choices } of answer) {
                shown += choices[0]?.delta.content ?? '';
                if (ends === 'aborts') answer.controller.abort();
                if (ends === 'aborts' && shown !== '') return;
            }
        })();
        if (ends === 'fails') await assert.rejects(reading);
        else await reading;
        assert.ok(!shown.includes('secret'), shown);
        assert.equal(signal.aborted, true);
    }
});

test('what custom tools are called with is judged', async () => {
    const custom = (input, index) => ({ ...(index !== undefined && { index }), id: 'c', type: 'custom', custom: { name: 'note', input } });
    const given = completion({ tool_calls: [custom('to ann@example.com')] }, { tool_calls: [custom('the secret sauce recipe')] });
    const { client: guarded } = client(given);
    const messages = [...ask('hi').messages, { role: 'assistant', tool_calls: [custom('x')] }, { role: 'tool', tool_call_id: 'c', content: 'ok' }];
    const { choices } = await guarded.chat.completions.create({ model: 'm', messages, n: 2 });
    assert.deepEqual(choices[0].message.tool_calls, [custom('to [email]')]);
    assert.equal(choices[1].message.content, MESSAGE);
    const pieces = [chunk({ tool_calls: [custom('to ann@', 0)] }), chunk({ tool_calls: [{ index: 0, custom: { input: 'example.com' } }] }), chunk({}, 'tool_calls')];
    assert.deepEqual((await stream(client(pieces), ask('hi'))).calls, [custom('to [email]', 0)]);
});
