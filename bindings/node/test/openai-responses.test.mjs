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

/** A client whose requests are answered here: with a response, or with events. */
function client(reply, options) {
    const sent = [];
    const fetch = async (_url, { body }) => {
        sent.push(JSON.parse(body));
        if (!Array.isArray(reply)) return Response.json(reply);
        const events = reply.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('');
        return new Response(events, { headers: { 'content-type': 'text/event-stream' } });
    };
    const plain = new OpenAI({ apiKey: 'none', baseURL: 'http://model.invalid/v1', fetch, maxRetries: 0 });
    return { client: guardOpenAI(plain, guard, options), sent };
}

const response = (...output) => ({ id: 'r', object: 'response', created_at: 1, model: 'm', status: 'completed', output });
const message = (text, id = 'm1') => ({
    id,
    type: 'message',
    role: 'assistant',
    status: 'completed',
    content: [{ type: 'output_text', text, annotations: [], logprobs: [] }],
});
const call = (args) => ({ id: 'f1', type: 'function_call', call_id: 'c1', name: 'send', arguments: args, status: 'completed' });
const thought = (text) => ({ id: 't1', type: 'reasoning', summary: [{ type: 'summary_text', text }] });

/** The events in which an output comes. */
function events(...output) {
    const told = output.flatMap((item, output_index) => {
        const random = randoms(output_index + 7);
        const around = (inside) => [
            { type: 'response.output_item.added', output_index, item: { ...item, content: [], summary: [], arguments: '', status: 'in_progress' } },
            ...inside,
            { type: 'response.output_item.done', output_index, item },
        ];
        const text = (stem, index, value, field) => [
            ...cut(value, random, 5).map((delta) => ({ type: `${stem}.delta`, item_id: item.id, output_index, ...index, delta })),
            { type: `${stem}.done`, item_id: item.id, output_index, ...index, [field]: value },
        ];
        if (item.type === 'function_call') return around(text('response.function_call_arguments', {}, item.arguments, 'arguments'));
        const reasons = item.type === 'reasoning';
        const [part, index] = reasons ? [item.summary[0], { summary_index: 0 }] : [item.content[0], { content_index: 0 }];
        const [begin, stem] = reasons
            ? ['response.reasoning_summary_part', 'response.reasoning_summary_text']
            : ['response.content_part', 'response.output_text'];
        return around([
            { type: `${begin}.added`, item_id: item.id, output_index, ...index, part: { ...part, text: '' } },
            ...text(stem, index, part.text, 'text'),
            { type: `${begin}.done`, item_id: item.id, output_index, ...index, part },
        ]);
    });
    const all = [
        { type: 'response.created', response: { ...response(), status: 'in_progress' } },
        ...told,
        { type: 'response.completed', response: response(...output) },
    ];
    return all.map((event, sequence_number) => ({ ...event, sequence_number }));
}

async function read(given, input = 'hi') {
    const seen = [];
    for await (const event of await given.client.responses.create({ model: 'm', input, stream: true })) seen.push(event);
    return seen;
}

const deltas = (seen, type) => seen.filter((it) => it.type === `response.${type}.delta`).map((it) => it.delta).join('');

test('a request is withheld or redacted before it is sent', async () => {
    const one = client(response(message('never')));
    const refused = await one.client.responses.create({ model: 'm', input: 'the secret sauce recipe' });
    assert.deepEqual([refused.output_text, refused.incomplete_details.reason], [MESSAGE, 'content_filter']);
    const seen = await read(one, 'the secret sauce recipe');
    assert.equal(deltas(seen, 'output_text'), MESSAGE);
    assert.equal(seen.at(-1).type, 'response.incomplete');
    assert.equal(one.sent.length, 0);
    const two = client(response(message('ok')));
    await two.client.responses.create({ model: 'm', input: 'I am ann@example.com' });
    const given = [{ role: 'user', content: [{ type: 'input_text', text: 'I am ann@example.com' }] }, { type: 'function_call_output', call_id: 'c', output: 'to bob@example.com' }];
    await two.client.responses.create({ model: 'm', input: given });
    assert.equal(two.sent[0].input, 'I am [email]');
    assert.deepEqual([two.sent[1].input[0].content[0].text, two.sent[1].input[1].output], ['I am [email]', 'to [email]']);
    assert.equal(given[1].output, 'to bob@example.com');
    await assert.rejects(two.client.responses.create({ model: 'm' }), { code: 'BL_INPUT', path: 'input' });
    await assert.rejects(two.client.responses.create({ model: 'm', input: 'x', prompt: { id: 'p', variables: { a: 'b' } } }), { code: 'BL_UNGUARDED' });
});

test('a response is redacted or withheld in each of its forms', async () => {
    const given = client(response(thought('Hm, bob@example.com'), message('to ann@example.com'), call('{"to":"ann@example.com"}')));
    const { output, output_text } = await given.client.responses.create({ model: 'm', input: 'hi' });
    assert.equal(output_text, 'to [email]');
    assert.deepEqual([output[0].summary[0].text, output[1].content[0].text, output[2].arguments], ['Hm, [email]', 'to [email]', '{"to":"[email]"}']);
    for (const item of [message('the secret sauce recipe'), call('{"what":"the secret sauce recipe"}')]) {
        const blocked = await client(response(item)).client.responses.create({ model: 'm', input: 'hi' });
        assert.deepEqual([blocked.output_text, blocked.output.length, blocked.status], [MESSAGE, 1, 'incomplete']);
        const strict = client(response(item), { withheld: 'error' }).client;
        await assert.rejects(strict.responses.create({ model: 'm', input: 'hi' }), { code: 'BL_BLOCKED' });
    }
    // What no placeholder can stand for is withheld, and so are words in fields that the guard does not know.
    const search = { id: 's', type: 'web_search_call', status: 'completed', action: { query: 'ann@example.com' } };
    assert.equal((await client(response(search)).client.responses.create({ model: 'm', input: 'hi' })).output[0].type, 'message');
    const noted = message('see below');
    noted.content[0].annotations = [{ type: 'url_citation', title: 'ann@example.com' }];
    assert.deepEqual((await client(response(noted)).client.responses.create({ model: 'm', input: 'hi' })).output[0].content[0].annotations, []);
});

test('a streamed response is redacted while it arrives', async () => {
    const verdicts = [];
    const output = [thought('Hm, bob@example.com?'), message('Write to ann@example.com, Bob.'), call('{"to":"ann@example.com"}')];
    const seen = await read(client(events(...output), { onVerdict: (it) => verdicts.push(it.action) }));
    assert.equal(deltas(seen, 'reasoning_summary_text'), 'Hm, [email]?');
    assert.equal(deltas(seen, 'output_text'), 'Write to [email], Bob.');
    assert.equal(deltas(seen, 'function_call_arguments'), '{"to":"[email]"}');
    assert.ok(!JSON.stringify(seen).includes('example.com'));
    assert.deepEqual(seen.map((it) => it.sequence_number), seen.map((_, at) => at));
    assert.equal(seen.at(-1).response.output_text, 'Write to [email], Bob.');
    assert.equal(seen.filter((it) => it.type === 'response.output_item.done').length, 3);
    assert.deepEqual(verdicts, ['allow', 'allow']);
});

test('a streamed response that is withheld ends with the message', async () => {
    for (const output of [
        [message('Sure: the secret sauce recipe is this.')],
        [message('Sure.'), call('{"what":"the secret sauce recipe"}')],
        [message('Well, you will get a refund.')],
    ]) {
        const seen = await read(client(events(...output)));
        const shown = JSON.stringify(seen);
        assert.ok(!/recipe|get a refund/.test(shown), shown);
        const { type, response } = seen.at(-1);
        assert.deepEqual([type, response.incomplete_details.reason], ['response.incomplete', 'content_filter']);
        assert.ok(/cook\.$|refunds\.$/.test(response.output_text), response.output_text);
        assert.equal(deltas(seen, 'output_text'), response.output_text);
        const strict = client(events(...output), { withheld: 'error' });
        await assert.rejects(read(strict), { code: 'BL_BLOCKED' });
    }
});

test('a stream that breaks off shows nothing of what is held back', async () => {
    const whole = events(message('Here: the secret sauce'));
    const seen = await read(client(whole.slice(0, whole.findIndex((it) => it.type === 'response.output_text.done'))));
    assert.equal(deltas(seen, 'output_text'), 'Here: the ');
    const unknown = [{ type: 'response.shell_call_command.delta', output_index: 0, delta: 'secret' }, { type: 'response.new', text: 'secret' }];
    assert.deepEqual(await read(client(unknown)), []);
});

test('a connection that breaks and a caller that stops release nothing of what is held back', async () => {
    const sent = events(message('One two. The secret sauce')).filter((it) => !/done|completed/.test(it.type));
    for (const ends of ['fails', 'stops']) {
        let signal;
        const fetch = async (_url, init) => {
            signal = init.signal;
            const body = new ReadableStream({
                start: (to) => sent.forEach((it) => to.enqueue(new TextEncoder().encode(`event: ${it.type}\ndata: ${JSON.stringify(it)}\n\n`))),
                pull: (to) => void (ends === 'fails' && to.error(new Error('lost'))),
            });
            return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
        };
        const guarded = guardOpenAI(new OpenAI({ apiKey: 'none', baseURL: 'http://model.invalid/v1', fetch, maxRetries: 0 }), guard);
        const seen = [];
        const reading = (async () => {
            for await (const event of await guarded.responses.create({ model: 'm', input: 'hi', stream: true })) {
                seen.push(event);
                if (ends === 'stops' && deltas(seen, 'output_text').includes('two')) return;
            }
        })();
        if (ends === 'fails') await assert.rejects(reading);
        else await reading;
        assert.ok(!JSON.stringify(seen).includes('secret'));
        assert.ok(signal.aborted);
    }
});

test('the helpers of the package see what was judged', async () => {
    const text = 'Write to ann@example.com.';
    const one = client(events(message(text))).client.responses.stream({ model: 'm', input: 'hi' });
    assert.equal((await one.finalResponse()).output_text, 'Write to [email].');
    const withheld = client(events(message('The secret sauce recipe is this.'))).client.responses.stream({ model: 'm', input: 'hi' });
    assert.equal((await withheld.finalResponse()).output_text, `The ${MESSAGE}`);
    const two = await client(response(message(text))).client.responses.parse({ model: 'm', input: 'hi' });
    assert.equal(two.output_text, 'Write to [email].');
    const three = client(response(message(text))).client.responses.create({ model: 'm', input: 'hi' });
    const { data, response: raw } = await three.withResponse();
    assert.deepEqual([data.output_text, raw.status, raw.body], ['Write to [email].', 200, null]);
    await assert.rejects(three.asResponse(), { code: 'BL_UNGUARDED' });
});
